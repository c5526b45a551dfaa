"""Which architecture a state dict is of: descriptors, one small file a family under `families/`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch.nn as nn
from torch import Tensor

from vrestore.checkpoints.files import StateDict
from vrestore.checkpoints.weightless import weightless
from vrestore.errors import RegistryError, WeightsError
from vrestore.registry import BACKBONES, Registry

Rules = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Architecture:
    """How the weights of one architecture are told from others and turned into a network of ours.

    Attributes:
        name: what people call it.
        backbone: its entry in BACKBONES, or in `registry`.
        detect: whether a state dict, renamed, is of this architecture.
        infer: the backbone's arguments that names and shapes tell, of a state dict that `detect` took. It may raise
            KeyError or IndexError where weights are missing.
        rules: regular expressions and replacements, applied one after the other to every name, that turn the names of
            other releases into ours. Names of ours must pass through unchanged.
        keywords: the backbone's arguments that shapes cannot tell, with the official values.
        constants: regular expression of buffers that never change and that some releases leave out.
        others: regular expression of renamed names that belong to other networks in the same file; they are left aside.
        complete: given all these arguments and the weights, the arguments with those that follow from both, such as a
            number of heads. It may raise WeightsError where they do not fit each other.
        registry: where the network is registered.
        restorer: config of the restorer that runs the network, without its ``backbone``: with it a bare weight file
            restores a video. None where the network alone is no restorer.
    """

    name: str
    backbone: str
    detect: Callable[[Mapping[str, Tensor]], bool]
    infer: Callable[[Mapping[str, Tensor]], dict[str, Any]]
    rules: Rules = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    constants: str | None = None
    others: str | None = None
    complete: Callable[[dict[str, Any], Mapping[str, Tensor]], dict[str, Any]] | None = None
    registry: Registry = BACKBONES
    restorer: Mapping[str, Any] | None = None

    def rename(self, state_dict: Mapping[str, Tensor]) -> StateDict:
        """The same weights under our names, without those of other networks."""
        renamed = {}
        for name, value in state_dict.items():
            for pattern, replacement in self.rules:
                name = re.sub(pattern, replacement, name)
            if self.others is None or not re.search(self.others, name):
                renamed[name] = value
        return renamed

    def arguments(self, renamed: Mapping[str, Tensor], given: Mapping[str, Any]) -> dict[str, Any]:
        """The backbone's arguments: those that shapes tell, and the keywords.

        Raises:
            WeightsError: `given` holds an unknown keyword, or contradicts the shapes.
        """
        told = self.infer(renamed)
        for key, value in given.items():
            if key in told and value != told[key]:
                raise WeightsError(f"{key}={value!r} contradicts the weights: their shapes say {key}={told[key]!r}")
            if key not in told and key not in self.keywords:
                known = ", ".join(dict.fromkeys([*self.keywords, *told]))
                raise WeightsError(f"{self.name} takes no keyword '{key}' (allowed: {known or 'none'})")
        arguments = {**self.keywords, **told, **given}
        return self.complete(arguments, renamed) if self.complete else arguments

    def build(self, arguments: Mapping[str, Any]) -> nn.Module:
        """The network with fresh weights."""
        return self.registry.build({"type": self.backbone, **arguments})

    def likely_shapes(self, renamed: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the network that these weights most likely belong to, without allocating it."""
        with weightless():
            try:
                network = self.build(self.arguments(renamed, {}))
            except Exception:  # too little is left to infer anything: the official sizes are the best guess
                network = self.build({name: value for name, value in self.keywords.items() if value is not None})
        return {name: tuple(value.shape) for name, value in network.state_dict().items()}


ARCHITECTURES: dict[str, Architecture] = {}


def register_architecture(architecture: Architecture) -> Architecture:
    """Make an architecture known to `load_network`; a plug-in may call this too.

    Raises:
        RegistryError: another one has the name.
    """
    known = ARCHITECTURES.get(architecture.name)
    if known is not None and known.infer.__code__ is not architecture.infer.__code__:
        place = f"{known.infer.__code__.co_filename}:{known.infer.__code__.co_firstlineno}"
        raise RegistryError(f"the architecture '{architecture.name}' is already registered by {place}; rename one")
    ARCHITECTURES[architecture.name] = architecture
    return architecture


def identify(
    state_dict: Mapping[str, Tensor], source: str = "the weights", wanted: str | None = None
) -> tuple[Architecture, StateDict]:
    """The architecture of a state dict, and the weights under our names.

    Args:
        state_dict: flat weights.
        source: where they come from, for the message.
        wanted: name of the architecture to take them for, where a file holds several networks; None finds it out.

    Raises:
        WeightsError: it is of no known one; the closest is named, with what matches, misses and is left over.
    """
    if wanted is not None:
        if wanted not in _known():
            raise WeightsError(f"no architecture is called '{wanted}'; there are: {', '.join(_known())}")
        return _known()[wanted], _known()[wanted].rename(state_dict)
    renamed = {name: architecture.rename(state_dict) for name, architecture in _known().items()}
    fitting = [a for name, a in _known().items() if a.detect(renamed[name])]
    if len(fitting) > 1:  # one may contain another: the one with the fewest unexplained names is meant
        fitting.sort(key=lambda a: compare(renamed[a.name], a.likely_shapes(renamed[a.name])).faults)
    if fitting:
        return fitting[0], renamed[fitting[0].name]
    closest = [(compare(r, ARCHITECTURES[name].likely_shapes(r)), name) for name, r in renamed.items()]
    best, name = max(closest, key=lambda pair: (pair[0].named, pair[0].share), default=(Comparison(), ""))
    if not best.named:
        raise WeightsError(
            f"{source} belongs to no known architecture and shares no name with one (known: "
            f"{', '.join(ARCHITECTURES)}); its names begin with: {_few(list(state_dict))}"
        )
    raise WeightsError(f"{source} belongs to no known architecture; closest is {name}: {best}")


@dataclass
class Comparison:
    """How the names and shapes of weights fit a network."""

    matching: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return len(self.missing) + len(self.extra) + len(self.reshaped)

    @property
    def named(self) -> float:
        """What part of all names on both sides is on both, whatever the shapes, 0 to 1."""
        return (self.matching + len(self.reshaped)) / max(self.matching + self.faults, 1)

    @property
    def share(self) -> float:
        """What part of all names on both sides matches, 0 to 1."""
        return self.matching / max(self.matching + self.faults, 1)

    def __str__(self) -> str:
        parts = [f"{self.matching} of {self.matching + len(self.missing) + len(self.reshaped)} names match"]
        parts += [f"{len(self.missing)} missing ({_few(self.missing)})"] if self.missing else []
        parts += [f"{len(self.extra)} left over ({_few(self.extra)})"] if self.extra else []
        parts += [f"{len(self.reshaped)} of another shape ({_few(self.reshaped)})"] if self.reshaped else []
        return "; ".join(parts)


def compare(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor | tuple[int, ...]]) -> Comparison:
    """Hold names and shapes of weights against those that a network expects."""
    result = Comparison(extra=[name for name in weights if name not in expected])
    for name, value in expected.items():
        want = tuple(value.shape) if isinstance(value, Tensor) else value
        if name not in weights:
            result.missing.append(name)
        elif tuple(weights[name].shape) != want:
            result.reshaped.append(f"{name}: {tuple(weights[name].shape)} instead of {want}")
        else:
            result.matching += 1
    return result


def count(names: Mapping[str, Any], pattern: str) -> int:
    """How many different first groups of a regular expression the names hold: the length of a numbered list."""
    return len({match[1] for name in names if (match := re.match(pattern, name))})


def _known() -> dict[str, Architecture]:
    import vrestore.checkpoints.families  # noqa: F401  (each family registers its architectures)

    return ARCHITECTURES


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
