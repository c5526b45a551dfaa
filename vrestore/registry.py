"""Every registry of vrestore on one page: what it holds, where it lives, and the contract in a line.

A class joins with ``@BACKBONES.register_module()`` and is built from a config ``dict(type='Name', …)``.
Entries whose kind MMEngine knows too (models, datasets, transforms, metrics, hooks, …) sit in children of MMEngine's
roots, so ``type='mmengine.EMAHook'`` and plain MMEngine names resolve as well.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import mmengine.registry as roots
from mmengine.registry import DefaultScope

from vrestore.errors import ConfigError, RegistryError
from vrestore.plugins import load_installed_plugins

SCOPE = "vrestore"


class Registry(roots.Registry):
    """MMEngine's registry with errors for the person who made the mistake.

    A miss names the registry, the closest entries and the import that would add the missing one; a second class
    under a taken name names both places; an unknown or missing argument names the class, the argument and what is
    allowed. The same holds for what MMEngine's Runner builds from its own registries while the default scope is
    `vrestore`.

    Args:
        name: name of the registry, as this page spells it.
        type_key: the key of a config that names the entry.
        build_keys: keys that the build function takes out before it calls the entry.
    """

    def __init__(self, name: str, *, type_key: str = "type", build_keys: Sequence[str] = (), **settings: Any):
        super().__init__(name, **settings)
        self._type_key = type_key
        self._build_keys = tuple(build_keys)

    def get(self, key: str) -> Any:
        """The entry called `key`, here or in MMEngine's root above; None where there is none.

        Installed plug-ins are imported only when a name is missing, so that they cost nothing to anybody else.
        """
        entry = self._find(key)
        if entry is None and load_installed():
            entry = self._find(key)
        return entry

    def build(self, cfg: dict, *args: Any, **kwargs: Any) -> Any:
        """Build ``dict(type='Name', argument=…)``.

        Raises:
            RegistryError: no entry has that name.
            ConfigError: `cfg` names no type, or an argument is unknown or missing.
        """
        self.check(cfg, kwargs.get("default_args"))
        # The registries of vrestore mean vrestore, whatever scope a Runner of another project has made the default.
        scope = DefaultScope.get_current_instance()
        foreign = scope is not None and scope.scope_name != self.scope
        with DefaultScope.overwrite_default_scope(self.scope if foreign else None), self.blame(cfg):
            return super().build(cfg, *args, **kwargs)

    def check(self, cfg: Any, default_args: dict | None = None) -> None:
        """Refuse a config that cannot be built (see `build`)."""
        if isinstance(cfg, (list, tuple)):  # MMEngine builds a list of models into a sequence
            for item in cfg:
                self.check(item, default_args)
            return
        if self._type_key != "type":  # a whole config, whose other keys are no arguments
            kind = cfg.get(self._type_key)
            if isinstance(kind, str) and self.get(kind) is None:
                raise RegistryError(self._explain_miss(kind))
            return
        if not hasattr(cfg, "get") or "type" not in {*cfg, *(default_args or {})}:
            raise ConfigError(
                f"{self.name} is built from dict(type='Name', …); got {type(cfg).__name__} without a 'type': {cfg!r}"
            )
        kind = cfg["type"] if "type" in cfg else default_args["type"]  # type: ignore[index]
        entry = self.get(kind) if isinstance(kind, str) else kind
        if entry is None:
            raise RegistryError(self._explain_miss(kind))
        self._check_arguments(entry, cfg, default_args or {})

    @contextmanager
    def blame(self, cfg: Any) -> Iterator[None]:
        """Turn the TypeError of an unknown argument that a base class refused into a ConfigError."""
        try:
            yield
        except TypeError as error:
            match = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
            if match is None or not hasattr(cfg, "get") or match[2] not in cfg:
                raise
            raise ConfigError(
                f"{cfg.get('type')} ({self.name}) takes no argument '{match[2]}': its base {match[1]} refuses it"
            ) from error

    def import_from_location(self) -> None:
        """Import every module that registers an entry of vrestore here."""
        if self._imported:
            return
        super().import_from_location()
        for location in self._locations:
            for home in dict.fromkeys(getattr(import_module(location), "HOMES", {}).values()):
                import_module(f"{location}.{home}")

    def _import_home(self, key: str) -> None:
        """Import the module of the entry `key`, where its package declares one (see `vrestore._lazy`)."""
        for location in self._locations:
            home = getattr(import_module(location), "HOMES", {}).get(key)
            if home is not None:
                import_module(f"{location}.{home}")

    def _find(self, key: str) -> Any:
        if not isinstance(key, str) or "." in key:
            entry = super().get(key)
            return entry if callable(entry) else None
        # A plain name is looked up here and above; MMEngine would go on and import any module of that name.
        self._import_home(key)
        if key in self.module_dict:
            return self.module_dict[key]
        self.import_from_location()
        registry: roots.Registry | None = self
        while registry is not None:
            if key in registry.module_dict:
                return registry.module_dict[key]
            registry = registry.parent
        return None

    def _check_arguments(self, entry: Any, cfg: Any, default_args: dict) -> None:
        try:
            parameters = dict(inspect.signature(entry).parameters)
        except (TypeError, ValueError):
            return
        kinds = {p.kind for p in parameters.values()}
        named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        title = f"{getattr(entry, '__name__', entry)} ({self.name})"
        allowed = ", ".join(named) or "none"
        for key in cfg:
            if key in ("type", "_scope_", *self._build_keys, *named) or inspect.Parameter.VAR_KEYWORD in kinds:
                continue
            close = difflib.get_close_matches(key, named, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"{title} takes no argument '{key}'{hint} (allowed: {allowed})")
        for key, parameter in named.items():
            if parameter.default is parameter.empty and key not in cfg and key not in default_args:
                raise ConfigError(f"{title} needs the argument '{key}', which its config lacks (allowed: {allowed})")

    def _explain_miss(self, name: str) -> str:
        self.import_from_location()
        names = sorted(self.module_dict)
        wanted = name.rpartition(".")[2]
        lowered = {n.lower(): n for n in names}
        close = [lowered[n] for n in difflib.get_close_matches(wanted.lower(), lowered, n=3, cutoff=0.5)]
        near = f"closest: {', '.join(close)}" if close else f"it holds: {', '.join(names) or 'nothing yet'}"
        elsewhere = [r.name for r in all_registries() if r is not self and wanted in r.module_dict]
        where = f" ('{wanted}' is registered in {', '.join(elsewhere)} instead)" if elsewhere else ""
        return (
            f"'{name}' is not registered in {self.name}{where}; {near}. If it is your own, import the file that "
            f"registers it: custom_imports = dict(imports=['your_module.py']) in the config, or --plugin your_module.py"
        )

    def _register_module(
        self, module: Callable, module_name: str | list[str] | None = None, force: bool = False
    ) -> None:
        names = [module_name] if isinstance(module_name, str) else module_name or [module.__name__]
        for name in names:
            if not any(str(module.__module__).startswith(f"{location}.") for location in self._locations):
                self._import_home(name)  # a name of ours is taken, even where its module is not imported yet
            taken = self._module_dict.get(name)
            # The same file loaded again, by path and by name, is no second class.
            if taken is not None and not force and _place(taken) != _place(module):
                raise RegistryError(
                    f"'{name}' is already registered in {self.name} by {_place(taken)}; {_place(module)} cannot take "
                    f"the same name: rename one, or register with force=True to replace it"
                )
        super()._register_module(module, module_name, force=True)


def _place(entry: Any) -> str:
    """``file:line`` where a registered class or function is defined."""
    try:
        return f"{inspect.getsourcefile(entry)}:{inspect.getsourcelines(entry)[1]}"
    except (OSError, TypeError):
        return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', entry)}"


def _registry(name: str, folder: str | None, parent: roots.Registry | None = None, **settings: Any) -> Registry:
    locations = [f"{SCOPE}.{folder}"] if folder else []
    registry = Registry(name, parent=parent, scope=SCOPE, locations=locations, **settings)
    if parent is not None:
        _check_what_the_root_builds(parent)
    return registry


def _check_what_the_root_builds(root: roots.Registry) -> None:
    """Send MMEngine's own builds through our checks first, where they end in a registry of ours.

    The Runner builds models, datasets, hooks, … from MMEngine's root registries, which look our entries up but report a
    typo in their own words.
    """
    build = root.build_func

    def checked(cfg: Any, *args: Any, registry: roots.Registry, **kwargs: Any) -> Any:
        scope = cfg.get("_scope_") if hasattr(cfg, "get") else None
        with registry.switch_scope_and_registry(scope) as target:
            ours = target if isinstance(target, Registry) else None
        if ours is None:
            return build(cfg, *args, registry=registry, **kwargs)
        ours.check(cfg, kwargs.get("default_args"))
        with ours.blame(cfg):
            return build(cfg, *args, registry=registry, **kwargs)

    root.build_func = checked


def _build_model(cfg: Any, *args: Any, **kwargs: Any) -> Any:
    """Build one model, or a sequence from a list; `mmengine.model` is slow to import and only needed for a list."""
    build = roots.build_model_from_cfg if isinstance(cfg, (list, tuple)) else roots.build_from_cfg
    return build(cfg, *args, **kwargs)


# Whole methods: restore(frames_TCHW, request) -> frames_TCHW, and the three modes of forward for the Runner.
MODELS = _registry("MODELS", "restorers", roots.MODELS, build_func=_build_model)
# Networks: frames or latents in, frames or latents out (of those that training alone needs: scores, features), with the
# parameter names of the official release.
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
RUNNERS = _registry("RUNNERS", "engine", roots.RUNNERS, type_key="runner_type")
# Optimisers, their construction and schedules, wrappers for many processes, and where curves and images are drawn.
OPTIMIZERS = _registry("OPTIMIZERS", "engine", roots.OPTIMIZERS)
OPTIM_WRAPPER_CONSTRUCTORS = _registry("OPTIM_WRAPPER_CONSTRUCTORS", "engine", roots.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _registry(
    "PARAM_SCHEDULERS", "engine", roots.PARAM_SCHEDULERS, build_keys=("convert_to_iter_based", "epoch_length")
)
STRATEGIES = _registry("STRATEGIES", "engine", roots.STRATEGIES)
MODEL_WRAPPERS = _registry("MODEL_WRAPPERS", "engine", roots.MODEL_WRAPPERS)
VISUALIZERS = _registry("VISUALIZERS", "engine", roots.VISUALIZERS)
VISBACKENDS = _registry("VISBACKENDS", "engine", roots.VISBACKENDS)


def all_registries() -> list[Registry]:
    """Every registry on this page, in its order."""
    return [value for value in globals().values() if isinstance(value, Registry)]


def load_installed() -> bool:
    """Import the plug-ins of installed packages, after every folder of ours; whether this call imported anything."""
    return load_installed_plugins(_import_everything)


def _import_everything() -> None:
    for registry in all_registries():
        registry.import_from_location()
