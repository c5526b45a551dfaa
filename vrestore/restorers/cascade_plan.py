"""Stages in a row: their capabilities as those of one restorer, and one request as theirs."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from vrestore.errors import RequestError
from vrestore.restorers.capabilities import ONLY_ONE, Capabilities, Scales
from vrestore.restorers.request import Request

# Fields that may be fixed for one stage; size and rates are those of the whole.
PINNABLE = tuple(name for name in Request.names() if name not in ("size", "fps", "source_fps"))
SAME = 1e-9


@dataclass(frozen=True)
class Stage:
    """One restorer of a chain.

    Attributes:
        label: what messages call it.
        capabilities: its own.
        pinned: fields of its request that are fixed.
    """

    label: str
    capabilities: Capabilities
    pinned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spatial(self) -> Scales:
        """The spatial factors that it may be asked."""
        return _only(self.pinned.get("scale")) or self.capabilities.spatial_scales

    @property
    def temporal(self) -> Scales:
        """The multiples of the frame rate that it may be asked."""
        return _only(self.pinned.get("temporal_scale")) or self.capabilities.temporal_scales

    @property
    def default_scale(self) -> float:
        return self.capabilities.factor(Request(scale=self.pinned.get("scale")))


def compose(stages: Sequence[Stage]) -> Capabilities:
    """The capabilities of the chain.

    Scales multiply. A length of a later stage counts in its own pixels and frames; it is divided by what the stages
    before make at least of one pixel and of one frame, and rounded up; overlaps and contexts add up, least sizes and
    multiples must all hold. The chain may be cut in time where every stage may. So that no later stage looks further
    than it says, only the last stage may shrink frames, and the frame rate is lowered only where no later stage looks
    at neighbours. Precisions are those of all; a licence is the list of all.
    """
    capabilities = [stage.capabilities for stage in stages]
    spatial, temporal = spatial_scales(stages), temporal_scales(stages)
    larger = list(itertools.accumulate((_least(s) for s in spatial[:-1]), operator.mul, initial=1.0))
    more = list(itertools.accumulate((_least(s) for s in temporal[:-1]), operator.mul, initial=1.0))
    overlaps = [c.chunk_overlap_frames if c.context_frames != 0 else c.chunk_overlap_frames or 0 for c in capabilities]
    dtypes = [c.dtypes for c, stage in zip(capabilities, stages, strict=True) if "precision" not in stage.pinned]
    licences = dict.fromkeys(c.weights_licence for c in capabilities if c.weights_licence)
    return Capabilities(
        spatial_scales=_multiply(spatial),
        default_scale=math.prod(default_scales(stages)),
        temporal_scales=_multiply(temporal),
        size_multiple=math.lcm(*(_multiple(c.size_multiple, s) for c, s in zip(capabilities, larger, strict=True))),
        least_size_px=max(_up(c.least_size_px / s) for c, s in zip(capabilities, larger, strict=True)),
        least_frames=max(
            _up(c.least_frames / f) if c.least_frames > 1 else 1 for c, f in zip(capabilities, more, strict=True)
        ),
        context_frames=_sum([c.context_frames for c in capabilities], more),
        tile_overlap_px=_sum([c.tile_overlap_px for c in capabilities], larger),
        chunk_overlap_frames=_sum(overlaps, more),
        dtypes=tuple(d for d in dtypes[0] if all(d in other for other in dtypes)) if dtypes else ("fp32",),
        takes_prompt=any(c.takes_prompt for c in capabilities),
        weights_licence="; ".join(licences) or None,
    )


def plan_requests(stages: Sequence[Stage], request: Request, height: int, width: int) -> list[Request]:
    """Split a request over the stages.

    - Scale: where none is asked, the stages that cannot keep the size take their own factor and the others keep it;
      where all can, the last one whose default is another takes that. An asked one is split so that the fewest stages
      change the size, and the first ones do.
    - Size: the last stage that serves any scale reaches it, if those after it keep the size; else the last stage.
    - Frame rate: split like the scale; a stage that takes all of it gets the rates as they were asked.
    - Prompts: to the stages that take one. Everything else: to all.

    Args:
        stages: first to last.
        request: of the whole.
        height, width: of the input frames, in pixels.

    Raises:
        RequestError: no split serves it.
    """
    scales = default_scales(stages) if request.scale is None else _split_space(stages, float(request.scale))
    factors = _split_time(stages, request.time_factor())
    size = request.size or (_side(height, math.prod(scales)), _side(width, math.prod(scales)))
    taker = _size_taker(stages, scales) if request.size else _rounding_taker(scales, height, width, size)
    requests = []
    rate = Fraction(1)
    for i, (stage, scale, factor) in enumerate(zip(stages, scales, factors, strict=True)):
        fields = {name: getattr(request, name) for name in Request.names()}
        fields |= {"scale": None, "size": size} if i == taker else {"scale": scale, "size": None}
        whole = rate == 1 and abs(factor - request.time_factor()) < SAME
        if request.source_fps is not None and rate != 1:
            fields["source_fps"] = Fraction(request.source_fps) * rate
        if not whole or abs(factor - 1) < SAME:
            fields |= {"fps": None, "temporal_scale": None if abs(factor - 1) < SAME else factor}
        if not stage.capabilities.takes_prompt:
            fields |= {"prompt": None, "negative_prompt": None}
        pinned = {k: v for k, v in stage.pinned.items() if k not in ("scale", "temporal_scale")}  # the split has them
        requests.append(Request(**{**fields, **pinned}))
        rate *= _fraction(factor)
    return requests


def default_scales(stages: Sequence[Stage]) -> list[float]:
    """The spatial factor of each stage where none is asked (see `plan_requests`)."""
    forced = ["scale" in stage.pinned or 1 not in stage.spatial for stage in stages]
    scales = [stage.default_scale if must else 1.0 for stage, must in zip(stages, forced, strict=True)]
    if not any(must and scale != 1 for must, scale in zip(forced, scales, strict=True)):
        willing = [i for i, stage in enumerate(stages) if not forced[i] and stage.default_scale != 1]
        if willing:
            scales[willing[-1]] = stages[willing[-1]].default_scale
    return scales


def spatial_scales(stages: Sequence[Stage]) -> list[Scales]:
    """The spatial factors that each stage may be asked within the chain (see `compose`)."""
    return [*(_at_least_one(stage.spatial) for stage in stages[:-1]), stages[-1].spatial]


def temporal_scales(stages: Sequence[Stage]) -> list[Scales]:
    """The multiples of the frame rate that each stage may be asked within the chain (see `compose`)."""
    served = []
    for i, stage in enumerate(stages):
        watched = any(later.capabilities.context_frames != 0 for later in stages[i + 1 :])
        served.append(_at_least_one(stage.temporal) if watched else stage.temporal)
    return served


def _split_space(stages: Sequence[Stage], scale: float) -> list[float]:
    served = spatial_scales(stages)
    found = min(_splits(scale, served), key=_effort, default=None)
    if found is None:
        each = "; ".join(f"{stage.label} serves {s}" for stage, s in zip(stages, served, strict=True))
        raise RequestError(f"scale={scale:g} cannot be split over the stages: {each}")
    return found


def _split_time(stages: Sequence[Stage], factor: float) -> list[float]:
    served = temporal_scales(stages)
    splits = list(_splits(factor, served))
    found = min((split for split in splits if _keeps_raster(split)), key=_effort, default=None)
    if found is not None:
        return found
    each = "; ".join(f"{stage.label} serves {s} times" for stage, s in zip(stages, served, strict=True))
    why = " so that a clip can be cut into blocks" if splits else ""
    raise RequestError(f"{factor:g} times the frame rate cannot be split over the stages{why}: {each}")


def _splits(target: float, scales: Sequence[Scales]) -> Iterator[list[float]]:
    """Factors of the stages whose product is `target`, with at most one stage of any scale off its rest."""
    rests = [s.fixed or (1.0 if 1 in s else s.between[0],) for s in scales]  # type: ignore[index]
    for choice in itertools.product(*rests):
        left = target / math.prod(choice)
        if abs(left - 1) < SAME:
            yield list(choice)
            continue
        for i, s in enumerate(scales):
            if s.between is not None and choice[i] * left in s:
                yield [*choice[:i], choice[i] * left, *choice[i + 1 :]]


def _effort(factors: Sequence[float]) -> tuple:
    """What makes one split better than another: few stages that change anything, and early ones."""
    changed = [i for i, factor in enumerate(factors) if abs(factor - 1) > SAME]
    return len(changed), changed


def _keeps_raster(factors: Sequence[float]) -> bool:
    """Whether a clip may be cut where the whole factor allows it, so that every stage begins on its own raster."""
    fractions = [_fraction(factor) for factor in factors]
    start = Fraction(_raster(math.prod(fractions, start=Fraction(1))))
    for fraction in fractions:
        if start % _raster(fraction):
            return False
        start *= fraction
    return True


def _raster(factor: Fraction) -> int:
    """Frames between which a clip may be cut at this factor (see `vrestore.inference.plan.plan_blocks`)."""
    return factor.denominator * (2 if factor.denominator % 2 == 0 else 1)


def _size_taker(stages: Sequence[Stage], scales: Sequence[float]) -> int:
    for i in reversed(range(len(stages))):
        if stages[i].spatial.between is not None:
            return i
        if abs(scales[i] - 1) > SAME:
            break
    return len(stages) - 1


def _rounding_taker(scales: Sequence[float], height: int, width: int, size: tuple[int, int]) -> int | None:
    """The last stage, where rounding after every stage would miss the size of the whole."""
    for scale in scales:
        height, width = _side(height, scale), _side(width, scale)
    return None if (height, width) == size else len(scales) - 1


def _side(side: int, scale: float) -> int:
    return max(round(side * scale), 1)


def _fraction(factor: float) -> Fraction:
    return Fraction(factor).limit_denominator(10**5)


def _only(factor: float | None) -> Scales | None:
    return None if factor is None else Scales(fixed=(float(factor),))


def _at_least_one(scales: Scales) -> Scales:
    if scales.between is not None:
        return Scales(between=(max(scales.between[0], 1.0), scales.between[1])) if scales.between[1] >= 1 else scales
    return Scales(fixed=tuple(f for f in scales.fixed if f >= 1)) if max(scales.fixed) >= 1 else scales


def _multiply(scales: Sequence[Scales]) -> Scales:
    if all(s.between is None for s in scales):
        products = {round(math.prod(factors), 9) for factors in itertools.product(*(s.fixed for s in scales))}
        return Scales(fixed=tuple(sorted(products)))
    bounds = [s.between or (min(s.fixed), max(s.fixed)) for s in scales]
    return Scales(between=(math.prod(low for low, _ in bounds), math.prod(high for _, high in bounds)))


def _least(scales: Scales) -> float:
    return scales.between[0] if scales.between is not None else min(scales.fixed or ONLY_ONE.fixed)


def _multiple(multiple: int, scale: float) -> int:
    """What sides must be multiples of, so that `scale` makes multiples of `multiple` of them."""
    return multiple // math.gcd(multiple, round(scale)) if scale >= 1 and scale == round(scale) else multiple


def _sum(lengths: Sequence[int | None], units: Sequence[float]) -> int | None:
    if any(length is None for length in lengths):
        return None
    return sum(_up(length / unit) for length, unit in zip(lengths, units, strict=True) if length)


def _up(value: float) -> int:
    return math.ceil(value - SAME)
