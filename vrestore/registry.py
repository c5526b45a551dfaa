"""Every registry of vrestore on one page: what it holds, where it lives, and the contract in a line.

A class joins with ``@BACKBONES.register_module()`` and is built from a config ``dict(type='Name', …)``.
Entries whose kind MMEngine knows too (models, datasets, transforms, metrics, hooks, …) sit in children of MMEngine's
roots, so ``type='mmengine.EMAHook'`` and plain MMEngine names resolve as well.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

import mmengine.registry as roots

from vrestore.errors import ConfigError, RegistryError

SCOPE = "vrestore"


class Registry(roots.Registry):
    """MMEngine's registry with errors for the person who made the mistake.

    A miss names the registry, the closest entries and the import that would add the missing one; a second class
    under a taken name names both places; an unknown or missing argument names the class, the argument and what is allowed.
    """

    def build(self, cfg: dict, *args: Any, **kwargs: Any) -> Any:
        self._check(cfg)
        return super().build(cfg, *args, **kwargs)

    def _check(self, cfg: Any) -> None:
        if not hasattr(cfg, "get") or "type" not in cfg:
            raise ConfigError(
                f"{self.name} is built from dict(type='Name', …); got {type(cfg).__name__} without a 'type': {cfg!r}"
            )
        kind = cfg["type"]
        if not isinstance(kind, str):
            entry = kind
        else:
            entry = self.get(kind)
            if entry is None:
                raise RegistryError(self._explain_miss(kind))
        self._check_arguments(entry, cfg)

    def _check_arguments(self, entry: Any, cfg: Any) -> None:
        target = entry.__init__ if inspect.isclass(entry) else entry
        try:
            parameters = inspect.signature(target).parameters
        except (TypeError, ValueError):
            return
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        allowed = [n for n, p in parameters.items() if n != "self" and p.kind is not p.VAR_POSITIONAL]
        for key in cfg:
            if key not in ("type", "_scope_", *allowed):
                close = difflib.get_close_matches(key, allowed, n=1)
                hint = f"; did you mean '{close[0]}'?" if close else ""
                raise ConfigError(
                    f"{entry.__name__} ({self.name}) takes no argument '{key}'{hint} "
                    f"(allowed: {', '.join(allowed) or 'none'})"
                )

    def _explain_miss(self, name: str) -> str:
        self.import_from_location()
        names = sorted(self.module_dict)
        close = difflib.get_close_matches(name.rpartition(".")[2], names, n=3, cutoff=0.5)
        near = f"closest: {', '.join(close)}" if close else f"it holds: {', '.join(names) or 'nothing yet'}"
        elsewhere = [r.name for r in all_registries() if r is not self and name in r.module_dict]
        where = f" ('{name}' is registered in {', '.join(elsewhere)} instead)" if elsewhere else ""
        return (
            f"'{name}' is not registered in {self.name}{where}; {near}. If it is your own, import the file that registers it: "
            f"custom_imports = dict(imports=['your_module']) in the config, or --plugin your_module.py"
        )

    def _register_module(
        self, module: Callable, module_name: str | list[str] | None = None, force: bool = False
    ) -> None:
        names = [module_name] if isinstance(module_name, str) else module_name or [module.__name__]
        for name in names:
            taken = self._module_dict.get(name)
            if taken is not None and not force:
                if _place(taken) == _place(module):  # the same file loaded again, by path and by name
                    force = True
                    continue
                raise RegistryError(
                    f"'{name}' is already registered in {self.name} by {_place(taken)}; {_place(module)} cannot take the "
                    f"same name: rename one, or register with force=True to replace it"
                )
        super()._register_module(module, module_name, force)


def _place(entry: Any) -> str:
    """``file:line`` where a registered class or function is defined."""
    try:
        return f"{inspect.getsourcefile(entry)}:{inspect.getsourcelines(entry)[1]}"
    except (OSError, TypeError):
        return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', entry)}"


def _registry(name: str, folder: str | None, parent: roots.Registry | None = None) -> Registry:
    locations = [f"{SCOPE}.{folder}"] if folder else []
    return Registry(name, parent=parent, scope=SCOPE, locations=locations)


# Whole methods: restore(frames_TCHW, request) -> frames_TCHW, and the three modes of forward for the Runner.
MODELS = _registry("MODELS", "restorers", roots.MODELS)
# Networks: frames or latents in, frames or latents out, with the parameter names of the official release.
BACKBONES = _registry("BACKBONES", "backbones")
# Conditioning: turns conditions (video, text, noise level, …) into what a backbone adds to its features.
ADAPTERS = _registry("ADAPTERS", "adapters")
# Pixels <-> latents.
AUTOENCODERS = _registry("AUTOENCODERS", "autoencoders")
# Noise schedules: timestep -> alpha, sigma, log-SNR.
SCHEDULES = _registry("SCHEDULES", "diffusion")
# Solvers: sample(denoise, x, sigmas, *, noise_sampler, callback) -> x.
SAMPLERS = _registry("SAMPLERS", "samplers")
# degrade(frames_TCHW, rng) -> frames_TCHW, record.
DEGRADATIONS = _registry("DEGRADATIONS", "degradations")
# Sample transforms: transform(sample: dict, rng) -> dict.
TRANSFORMS = _registry("TRANSFORMS", "data", roots.TRANSFORMS)
# Training clips and benchmark pairs.
DATASETS = _registry("DATASETS", "data", roots.DATASETS)
# loss(prediction, target) -> scalar.
LOSSES = _registry("LOSSES", "losses")
# One class, one name, one protocol: score(pred_TCHW, hq_TCHW) -> a value a frame.
METRICS = _registry("METRICS", "evaluation", roots.METRICS)
# What the Runner calls at fixed points of a run.
HOOKS = _registry("HOOKS", "engine", roots.HOOKS)
# What MMEngine's Runner needs beside those: samplers of data, loops, optimiser wrappers, runners.
DATA_SAMPLERS = _registry("DATA_SAMPLERS", "data", roots.DATA_SAMPLERS)
LOOPS = _registry("LOOPS", "engine", roots.LOOPS)
OPTIM_WRAPPERS = _registry("OPTIM_WRAPPERS", "engine", roots.OPTIM_WRAPPERS)
RUNNERS = _registry("RUNNERS", "engine", roots.RUNNERS)
# Optimisers, their construction and schedules, wrappers for many processes, and where curves and images are drawn.
OPTIMIZERS = _registry("OPTIMIZERS", "engine", roots.OPTIMIZERS)
OPTIM_WRAPPER_CONSTRUCTORS = _registry("OPTIM_WRAPPER_CONSTRUCTORS", "engine", roots.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _registry("PARAM_SCHEDULERS", "engine", roots.PARAM_SCHEDULERS)
MODEL_WRAPPERS = _registry("MODEL_WRAPPERS", "engine", roots.MODEL_WRAPPERS)
VISUALIZERS = _registry("VISUALIZERS", "engine", roots.VISUALIZERS)
VISBACKENDS = _registry("VISBACKENDS", "engine", roots.VISBACKENDS)


def all_registries() -> list[Registry]:
    """Every registry on this page, in its order."""
    return [value for value in globals().values() if isinstance(value, Registry)]
