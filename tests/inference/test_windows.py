"""Windows keep every frame once and bring the context that was asked."""

from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.inference.windows import windows
from vrestore.video import FrameBlock


def stream(count, block):
    """Frames that hold their own number."""
    for start in range(0, count, block):
        numbers = range(start, min(start + block, count))
        frames = torch.tensor([float(n) for n in numbers]).view(-1, 1, 1, 1).expand(-1, 3, 1, 1)
        yield FrameBlock(frames, [Fraction(n, 25) for n in numbers], start)


def numbers(window):
    return window.frames[:, 0, 0, 0].int().tolist()


@settings(max_examples=300, deadline=None)
@given(
    count=st.integers(1, 60),
    block=st.integers(1, 20),
    keep_blocks=st.integers(1, 8),
    overlap_blocks=st.integers(0, 4),
    least=st.integers(1, 12),
    multiple=st.sampled_from([1, 1, 2, 5]),
)
def test_every_frame_is_kept_once_with_its_context(count, block, keep_blocks, overlap_blocks, least, multiple):
    keep, overlap = keep_blocks * multiple, overlap_blocks * multiple
    cut = list(windows(stream(count, block), keep, overlap, least, multiple))
    kept = [n for w in cut for n in range(w.keep_start, w.keep_start + w.keep_count)]
    assert kept == list(range(count))
    for w in cut:
        assert numbers(w) == list(range(w.start, w.start + len(w.frames)))
        end = w.start + len(w.frames)
        assert w.start % multiple == 0
        assert w.start <= max(w.keep_start - overlap, 0)
        assert end >= min(w.keep_start + w.keep_count + overlap, count)
        assert len(w.frames) >= min(least, count)
        assert w.times == [Fraction(n, 25) for n in range(w.keep_start, w.keep_start + w.keep_count)]
        assert w.is_last == (w.keep_start + w.keep_count == count)
        assert w.after == (None if w.is_last else Fraction(w.keep_start + w.keep_count, 25))
        # Bounded: what is kept, context and what a block or the least length may add.
        assert len(w.frames) <= keep + 2 * overlap + max(overlap, 1) + least + 2 * multiple


def test_no_frame_gives_no_window():
    assert list(windows(iter(()), 4, 1)) == []


def test_windows_come_before_the_stream_ends():
    """A window is handed on as soon as its context is there: memory is bounded by the window, not by the clip."""
    read = []

    def watched():
        for block in stream(100, 2):
            read.append(block.start)
            yield block

    first = next(windows(watched(), 6, 2))
    assert first.keep_count == 6
    assert max(read) < 10
