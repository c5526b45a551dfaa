"""BasicSRArch: every architecture of BasicSR's own registry as a network of ours, by its name there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch.nn as nn

from vrestore._compat import alias_functional_tensor
from vrestore.errors import ConfigError, MissingDependencyError, require
from vrestore.registry import BACKBONES

Rule = int | str | Callable[[Mapping[str, Any]], Any]

INPUTS = ("image", "clip", "window")


@dataclass(frozen=True)
class Kind:
    """How an architecture is called.

    Attributes:
        input: ``image`` (N, C, h, w), ``clip`` (B, T, C, h, w), or ``window`` (B, T, C, h, w) -> its centre frame.
        scale: a number, the name of the argument that holds it, or a function of all arguments.
        size_multiple: what sides must be multiples of; likewise.
        attributes: further attributes of the network that restorers read; likewise.
    """

    input: str
    scale: Rule = "upscale"
    size_multiple: Rule = 1
    attributes: Mapping[str, Rule] = field(default_factory=dict)


def _centre(arguments: Mapping[str, Any]) -> int:
    given = arguments["center_frame_idx"]
    return arguments["num_frame"] // 2 if given is None else given


KINDS = {
    "BasicVSR": Kind("clip", 4),
    "BasicVSRPlusPlus": Kind("clip", lambda a: 4 if a["is_low_res_input"] else 1),
    "DUF": Kind("window", "scale", attributes={"num_frames": 7, "center_frame_idx": 3}),
    "ECBSR": Kind("image", "scale"),
    "EDSR": Kind("image"),
    "EDVR": Kind(
        "window",
        lambda a: 1 if a["hr_in"] else 4,
        lambda a: 16 if a["hr_in"] else 4,
        {"num_frames": "num_frame", "center_frame_idx": _centre},
    ),
    "IconVSR": Kind("clip", 4),
    "MSRResNet": Kind("image"),
    "RCAN": Kind("image"),
    "RIDNet": Kind("image", 1),
    "RRDBNet": Kind("image", "scale", lambda a: {2: 2, 1: 4}.get(a["scale"], 1)),
    "SRVGGNetCompact": Kind("image"),
    "SwinIR": Kind("image", lambda a: a["upscale"] if a["upsampler"] else 1, "window_size"),
    "TOFlow": Kind("window", 1, 16, {"num_frames": 7, "center_frame_idx": 3}),
}


@BACKBONES.register_module()
def BasicSRArch(name: str, input: str | None = None, output_scale: int | None = None, **arguments: Any) -> nn.Module:
    """A network of BasicSR, built by its own registry, with its own parameter names.

    It gets the attributes by which restorers know a network: ``input`` (what it takes), ``scale``, ``size_multiple``,
    and of windows ``num_frames`` and ``center_frame_idx``. `FramewiseRestorer` runs images, `RegressionRestorer` clips,
    `SlidingWindowRestorer` windows.

    Args:
        name: what BasicSR's registry calls it.
        input: ``image``, ``clip`` or ``window``; None is what is known of the architecture, see `KINDS`.
        output_scale: factor of height and width; None is what is known.
        arguments: of the architecture.

    Raises:
        MissingDependencyError: basicsr is not installed.
        ConfigError: no such architecture, a wrong argument, or one of which is not known what it takes.
    """
    registry = _registry()
    known = {key.removesuffix("_basicsr"): architecture for key, architecture in registry}
    if name not in known:
        raise ConfigError(f"BasicSR has no architecture '{name}'; it has: {', '.join(sorted(known))}")
    kind = KINDS.get(name) if input is None else Kind(input, 1 if output_scale is None else output_scale)
    if kind is None or kind.input not in INPUTS:
        raise ConfigError(
            f"BasicSRArch: it is not known what {name} takes; say input='image', 'clip' or 'window', and output_scale"
        )
    architecture = known[name]
    told = _bind(architecture, name, arguments)
    network = architecture(**arguments)
    if name == "BasicVSRPlusPlus" and not len(network.deform_align):
        raise ConfigError(
            "BasicSR builds BasicVSR++ without its alignment on a machine without CUDA, so that its numbers are wrong; "
            "type='BasicVSRPlusPlus' is our own"
        )
    scale = kind.scale if output_scale is None else output_scale
    for key, rule in {"scale": scale, "size_multiple": kind.size_multiple, **kind.attributes}.items():
        if not hasattr(network, key):  # some keep their own, and need it
            setattr(network, key, _value(rule, told))
    network.input = kind.input  # type: ignore[assignment]
    return network


def _registry() -> Any:
    alias_functional_tensor()
    try:
        return require("basicsr.utils.registry", "basicsr", "a network of BasicSR").ARCH_REGISTRY
    except MissingDependencyError:
        raise MissingDependencyError(
            "a network of BasicSR needs the package 'basicsr', which is not installed; install it with: "
            "pip install --no-deps --no-build-isolation basicsr==1.4.2 && pip install 'vrestore[basicsr]'"
        ) from None


def _bind(architecture: Any, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of an architecture, defaults included."""
    try:
        bound = inspect.signature(architecture).bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"BasicSR's {name}{inspect.signature(architecture)}: {error}") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _value(rule: Rule, arguments: Mapping[str, Any]) -> Any:
    if callable(rule):
        return rule(arguments)
    return arguments[rule] if isinstance(rule, str) else rule
