"""Request: every field is checked at the door, and the message names field, value and range."""

from fractions import Fraction

import pytest

from vrestore.errors import RequestError
from vrestore.restorers import Capabilities, Request, Scales


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": 0}, r"scale must be a finite number > 0, got 0"),
        ({"scale": float("nan")}, r"scale must be a finite number"),
        ({"scale": "4"}, r"scale must be a finite number > 0, got '4'"),
        ({"scale": True}, r"scale must be"),
        ({"size": (10,)}, r"size must be \(height, width\)"),
        ({"size": (0, 5)}, r"size must be"),
        ({"scale": 2, "size": (4, 4)}, r"give scale or size, not both"),
        ({"fps": 30}, r"fps=30 needs source_fps"),
        ({"fps": -1, "source_fps": 24}, r"fps must be"),
        ({"fps": 30, "source_fps": 24, "temporal_scale": 2}, r"give fps or temporal_scale"),
        ({"strength": 301}, r"strength must be a whole number from 0 to 300, got 301"),
        ({"steps": 0}, r"steps must be a whole number from 1"),
        ({"seed": -1}, r"seed must be a whole number from 0"),
        ({"guidance_scale": -0.1}, r"guidance_scale must be a finite number >= 0"),
        ({"prompt": 3}, r"prompt must be text, got int"),
        ({"precision": "half"}, r"precision must be one of fp32, bf16, fp16"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    with pytest.raises(RequestError, match=message):
        Request(**fields)


def test_time_factor():
    assert Request().time_factor() == 1
    assert Request(temporal_scale=3).time_factor() == 3
    assert Request(fps=Fraction(60), source_fps=24).time_factor() == 2.5


class TestCapabilities:
    caps = Capabilities(spatial_scales=Scales(fixed=(4.0,)), least_size_px=8, least_frames=2)

    @pytest.mark.parametrize(
        ("request_", "clip", "message"),
        [
            (Request(scale=3), (5, 16, 16), r"scale=3 is not served; this model serves scale 4"),
            (Request(temporal_scale=2), (5, 16, 16), r"2 times the frame rate is not served"),
            (Request(precision="bf16"), (5, 16, 16), r"precision=bf16 is not served; this model serves fp32"),
            (Request(), (1, 16, 16), r"the clip has 1 frame\(s\); this model needs at least 2"),
            (Request(), (5, 16, 7), r"the frames are 7x16 .* at least 8 pixels"),
        ],
    )
    def test_what_is_not_served_is_refused(self, request_, clip, message):
        with pytest.raises(RequestError, match=message):
            self.caps.check(request_, *clip)

    def test_what_is_served_passes(self):
        self.caps.check(Request(scale=4), 2, 8, 8)
        assert self.caps.factor(Request()) == 4

    def test_scales(self):
        between = Scales(between=(1, 8))
        assert 2.5 in between
        assert 0.5 not in between
        assert str(between) == "1 to 8"
        assert Scales(fixed=(2.0, 4.0)).default == 4
        assert between.default == 1
