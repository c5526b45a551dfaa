import numpy as np
import torch
import torch.nn.functional as F

from vrestore.degradations import yuv
from vrestore.video.colour import ColourTags, from_rgb
from vrestore.video.colour import to_rgb as rgb_of_frame
from vrestore.video.pixels import layout_of

LAYOUT, TAGS = layout_of("yuv420p"), ColourTags("bt601", "limited")


def test_a_clip_at_once_is_what_its_frames_are():
    frames = torch.rand(3, 3, 18, 26)
    luma, chroma = yuv.to_yuv420(frames)
    back = yuv.to_rgb(luma, chroma)
    for t, frame in enumerate(frames):
        planes = from_rgb(frame, LAYOUT, TAGS)
        for own, expected in zip((luma[t], *chroma[t]), planes, strict=True):
            differences = np.abs(own.astype(int) - expected.astype(int))
            assert differences.max() <= 1  # a value on a half may round either way
            assert (differences > 0).mean() < 0.01
        torch.testing.assert_close(back[t], rgb_of_frame([luma[t], *chroma[t]], LAYOUT, TAGS), atol=1e-5, rtol=0)


def test_there_and_back_keeps_smooth_colours():
    smooth = F.interpolate(torch.rand(2, 3, 3, 3) * 0.6 + 0.2, size=(32, 32), mode="bilinear")
    back = yuv.to_rgb(*yuv.to_yuv420(smooth))
    assert (back - smooth)[..., 2:-2, 2:-2].abs().max() < 0.06
    assert (back - smooth).mean().abs() < 1e-3
