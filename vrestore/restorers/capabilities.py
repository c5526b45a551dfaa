"""Capabilities: what a restorer can do, as data, so that nobody has to ask which method it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from vrestore.errors import RequestError


@dataclass(frozen=True)
class Scales:
    """The scale factors that a restorer serves: a fixed set, or every number of an interval.

    Attributes:
        fixed: the served factors; empty when `between` holds.
        between: (least, most), both served, with everything in between.
    """

    fixed: tuple[float, ...] = ()
    between: tuple[float, float] | None = None

    def __contains__(self, factor: float) -> bool:
        if self.between is not None:
            return self.between[0] <= factor <= self.between[1]
        return any(abs(factor - f) < 1e-9 for f in self.fixed)

    def __str__(self) -> str:
        if self.between is not None:
            return f"{self.between[0]:g} to {self.between[1]:g}"
        return ", ".join(f"{f:g}" for f in self.fixed)

    @property
    def default(self) -> float:
        """The factor that is meant when none is asked: 1 where served, else the only or the largest one."""
        if 1 in self:
            return 1.0
        return float(max(self.fixed)) if self.fixed else float(self.between[0])  # type: ignore[index]


ONLY_ONE = Scales(fixed=(1.0,))


@dataclass(frozen=True)
class Capabilities:
    """What the engine and the evaluator must know of a restorer.

    Attributes:
        spatial_scales: served factors of height and width.
        default_scale: the spatial factor meant when a request names none.
        temporal_scales: served multiples of the frame count.
        size_multiple: the restorer pads height and width up to a multiple of this, in pixels, and crops back.
        least_size_px: smallest height and width of an input frame.
        least_frames: smallest number of frames of a clip.
        frames_multiple: the restorer adds frames at a clip's end up to a multiple of this, and drops them again.
        context_frames: frames on either side that still change a frame; None means the whole clip does.
        tile_overlap_px: input pixels of overlap that make spatial tiling safe; None means tiling is not safe.
        chunk_overlap_frames: frames of overlap that make temporal chunks safe; None means chunking is not safe.
        chunk_drift_db: PSNR in dB between a clip restored in chunks with that overlap and the same clip restored whole,
            as measured; None where chunks change nothing, or nobody has measured what they change.
        dtypes: precisions it runs in.
        takes_prompt: whether text steers it.
        weights_licence: licence of its official weights, or None where it has no weights.
    """

    spatial_scales: Scales
    default_scale: float | None = None
    temporal_scales: Scales = ONLY_ONE
    size_multiple: int = 1
    least_size_px: int = 1
    least_frames: int = 1
    frames_multiple: int = 1
    context_frames: int | None = 0
    tile_overlap_px: int | None = None
    chunk_overlap_frames: int | None = None
    chunk_drift_db: float | None = None
    dtypes: tuple[str, ...] = ("fp32",)
    takes_prompt: bool = False
    weights_licence: str | None = None

    def check(self, request, n_frames: int, height: int, width: int) -> None:
        """Refuse what this restorer cannot do.

        Raises:
            RequestError: names the field, the value and what is served.
        """
        if n_frames < self.least_frames:
            raise RequestError(f"the clip has {n_frames} frame(s); this model needs at least {self.least_frames}")
        if min(height, width) < self.least_size_px:
            raise RequestError(
                f"the frames are {width}x{height} (width x height); this model needs at least "
                f"{self.least_size_px} pixels on each side"
            )
        if request.scale is not None and request.scale not in self.spatial_scales:
            raise RequestError(f"scale={request.scale:g} is not served; this model serves scale {self.spatial_scales}")
        if request.time_factor() not in self.temporal_scales:
            raise RequestError(
                f"{request.time_factor():g} times the frame rate is not served; this model serves "
                f"{self.temporal_scales} times"
            )
        if request.precision not in self.dtypes:
            raise RequestError(
                f"precision={request.precision} is not served; this model serves {', '.join(self.dtypes)}"
            )

    def factor(self, request) -> float:
        """The spatial factor that `request` means for this restorer (target sizes are resampled to afterwards)."""
        if request.scale is not None:
            return float(request.scale)
        return float(self.default_scale if self.default_scale is not None else self.spatial_scales.default)

    def as_dict(self) -> dict:
        """Plain data for reports and the zoo."""
        data = asdict(self)
        data["spatial_scales"], data["temporal_scales"] = str(self.spatial_scales), str(self.temporal_scales)
        return data
