"""From a name or a config to a sampler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vrestore.errors import ConfigError
from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Sampler

DIFFUSERS_PREFIX = "diffusers:"
INJECTED = ("noise_sampler", "callback")


def build_sampler(cfg: str | Mapping[str, Any] | Callable) -> Sampler:
    """A sampler with its arguments filled in.

    Args:
        cfg: a name of SAMPLERS (``'heun'``); ``'diffusers:EulerDiscreteScheduler'`` for any scheduler of that package;
            ``dict(type='heun', s_churn=2.0)``; or a sampler, which comes back as it is.

    Raises:
        RegistryError: no sampler has that name.
        ConfigError: an argument that the sampler does not take.
    """
    if isinstance(cfg, str):
        scheduler = cfg.removeprefix(DIFFUSERS_PREFIX)
        cfg = {"type": cfg} if scheduler == cfg else {"type": "DiffusersSampler", "scheduler": scheduler}
    elif not isinstance(cfg, Mapping):
        return cfg
    arguments = dict(cfg)
    kind = arguments.pop("type", None)
    entry = SAMPLERS.get(kind) if isinstance(kind, str) else kind
    if entry is None or inspect.isclass(entry):
        return SAMPLERS.build(dict(cfg))  # which raises where there is no such entry
    allowed = [p.name for p in inspect.signature(entry).parameters.values() if p.kind is p.KEYWORD_ONLY]
    allowed = [name for name in allowed if name not in INJECTED]
    for name in arguments:
        if name not in allowed:
            raise ConfigError(f"sampler '{kind}' takes no argument '{name}' (allowed: {', '.join(allowed) or 'none'})")
    return functools.partial(entry, **arguments) if arguments else entry
