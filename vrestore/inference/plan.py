"""How many frames to restore at a time, from what a restorer says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from vrestore.errors import RequestError
from vrestore.memory import free_memory_bytes
from vrestore.restorers.capabilities import Capabilities

BLOCK_BYTES = 512 * 2**20  # input and output frames of a block together, when nobody says how many frames
MOST_BLOCK_FRAMES = 64


@dataclass(frozen=True)
class BlockPlan:
    """How a clip is cut in time.

    Attributes:
        block_frames: frames restored and kept at a time.
        overlap_frames: frames of context on either side of a block.
        multiple: blocks start at multiples of this many frames, so that output frames keep their raster.
        reasons: sentences on what a person may not expect.
    """

    block_frames: int
    overlap_frames: int = 0
    multiple: int = 1
    reasons: list[str] = field(default_factory=list)


def plan_blocks(
    capabilities: Capabilities,
    factor: Fraction,
    frame_count: int,
    bytes_a_frame: int,
    block_frames: int | None = None,
) -> BlockPlan:
    """Choose the size of the blocks.

    A restorer without temporal context needs no overlap; one that declares `chunk_overlap_frames` gets that many frames
    on either side; any other sees the whole clip at once.

    Args:
        capabilities: of the restorer.
        factor: multiple of the frame rate.
        frame_count: frames of the clip.
        bytes_a_frame: memory of one input frame and what becomes of it.
        block_frames: the person's choice; None takes what fits `BLOCK_BYTES`, at most `MOST_BLOCK_FRAMES`.

    Raises:
        RequestError: `block_frames` is below 1, or the whole clip is needed and the memory cannot hold it.
    """
    if block_frames is not None and (isinstance(block_frames, bool) or block_frames < 1):
        raise RequestError(f"block_frames must be a whole number of at least 1, got {block_frames!r}")
    if capabilities.chunk_overlap_frames is None and capabilities.context_frames != 0:
        return _whole_clip(frame_count, bytes_a_frame, block_frames)
    multiple = factor.denominator
    if multiple % 2 == 0:
        multiple *= 2  # half a frame at the end is rounded to even; so it is rounded alike, however the clip is cut
    overlap = _round_up(capabilities.chunk_overlap_frames or 0, multiple)
    wanted = block_frames or max(min(BLOCK_BYTES // bytes_a_frame, MOST_BLOCK_FRAMES), 1)
    block = _round_up(max(wanted, capabilities.least_frames), multiple)
    reasons = []
    if block_frames is not None and block != block_frames and block < frame_count:
        reasons.append(
            f"blocks have {block} frames in place of {block_frames}, so that the new frame rate keeps its raster"
        )
    return BlockPlan(min(block, _round_up(frame_count, multiple)), overlap, multiple, reasons)


def _whole_clip(frame_count: int, bytes_a_frame: int, block_frames: int | None) -> BlockPlan:
    need = frame_count * bytes_a_frame
    free = free_memory_bytes()
    if free is not None and need > free:
        raise RequestError(
            f"this model looks at the whole clip at once, and its {frame_count} frames alone take "
            f"{need / 2**30:.1f} GiB with {free / 2**30:.1f} GiB free; restore shorter or smaller clips, or choose a "
            f"model that works in blocks"
        )
    reasons = [
        f"the model looks at the whole clip at once: its {frame_count} frames and what becomes of them take "
        f"{need / 2**20:.0f} MiB, beside what the model itself needs"
    ]
    if block_frames is not None and block_frames < frame_count:
        reasons.append(f"block_frames={block_frames} is not used, because cutting the clip would change the result")
    return BlockPlan(frame_count, reasons=reasons)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
