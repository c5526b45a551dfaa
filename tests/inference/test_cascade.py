"""Cascades from file to file, whole and in blocks."""

from fractions import Fraction

import pytest
import torch

from tests.inference.restorers import Between, Plain, Smooth
from tests.inference.test_blocks import COUNT, clip, run  # noqa: F401  (a fixture)
from tests.video.clips import encode, smooth_frames
from vrestore.inference import restore_video
from vrestore.registry import MODELS
from vrestore.restorers import CascadeRestorer
from vrestore.video import probe, read_clip

TINY = dict(
    type="BasicVSR",
    **dict(mid_channels=4, num_blocks=1, hr_channels=4),
    spynet=dict(type="SPyNet", num_levels=2, channels=(4, 4, 4, 4), kernel_size=3),
)


def blend():
    return MODELS.build(dict(type="ResampleRestorer", temporal="blend", scale=1))


CHAINS = {
    "smooth, between": lambda: [Smooth(), Between()],
    "between, smooth": lambda: [Between(), Smooth()],
    "blend, smooth": lambda: [blend(), Smooth()],
    "smooth, blend": lambda: [Smooth(), blend()],
    "between, between": lambda: [Between(), Between()],
    "smooth, smooth, blend": lambda: [Smooth(), Smooth(), blend()],
}


@pytest.mark.parametrize("block", [1, 3, 7, 16])
@pytest.mark.parametrize("factor", [Fraction(1), Fraction(2), Fraction(3), Fraction(5, 2)], ids=str)
@pytest.mark.parametrize("chain", CHAINS)
def test_blocks_give_the_frames_of_the_whole_clip(clip, chain, factor, block):  # noqa: F811
    if "between" in chain and factor.denominator != 1:
        pytest.skip("that stage makes whole numbers of frames")
    whole, times = run(CascadeRestorer(CHAINS[chain]()), clip, factor, COUNT * 2)
    frames, block_times = run(CascadeRestorer(CHAINS[chain]()), clip, factor, block)
    torch.testing.assert_close(frames, whole, atol=1e-5, rtol=0)
    assert block_times == times
    assert times == [k / (25 * factor) for k in range(len(times))]


@pytest.mark.parametrize("block", [2, 5])
def test_two_stages_that_both_raise_the_rate(clip, block):  # noqa: F811
    def chain():
        return CascadeRestorer(
            [Between(), Smooth(), blend()], requests=[dict(temporal_scale=2), {}, dict(temporal_scale=4 / 3)]
        )

    whole, _ = run(chain(), clip, Fraction(8, 3), COUNT * 2)
    frames, _ = run(chain(), clip, Fraction(8, 3), block)
    assert len(whole) >= (COUNT - 1) * 8 / 3
    torch.testing.assert_close(frames, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("order", ["time first", "space first"])
def test_from_file_to_file(tmp_path, order):
    source = encode(tmp_path / "in.mp4", smooth_frames(9, 24, 32), options={"crf": "4"})
    torch.manual_seed(0)
    stages = [
        dict(type="ResampleRestorer", temporal="blend"),
        dict(type="RegressionRestorer", backbone=TINY, chunk_overlap_frames=9),
    ]
    model = dict(type="CascadeRestorer", stages=stages if order == "time first" else stages[::-1])
    restorer = MODELS.build(model).eval()
    reports = {}
    for block in (3, 9):
        target = tmp_path / f"{block}.mkv"
        reports[block] = restore_video(
            source, target, restorer, fps=50, block_frames=block, codec="ffv1", progress=False
        )
        info = probe(target)
        assert (info.width, info.height, info.fps) == (128, 96, 50)
        assert reports[block].frames_out == 18
    assert reports[3].block_frames == 3
    assert reports[3].overlap_frames == 1 + 9
    assert torch.equal(read_clip(tmp_path / "3.mkv"), read_clip(tmp_path / "9.mkv"))


def test_a_stage_that_needs_the_whole_clip_makes_the_cascade_need_it(clip):  # noqa: F811
    chain = CascadeRestorer([Smooth(), Plain(context_frames=None)])
    run(chain, clip, block_frames=4)
    assert chain.stages[0].windows == [COUNT]
