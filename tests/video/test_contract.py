"""The media contract notices what is not as promised."""

from fractions import Fraction

import pytest

from tests.video.clips import encode, smooth_frames, write_png
from vrestore.errors import MediaError
from vrestore.video import ColourTags, VideoWriter
from vrestore.video.contract import check_contract

TIMES = [Fraction(i, 25) for i in range(5)]
PROMISE = {"width": 64, "height": 48, "times": TIMES, "tags": ColourTags("bt709", "limited"), "sound_streams": 0}


@pytest.fixture(scope="module", params=["a.mp4", "a.mkv"])
def written(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("contract") / request.param
    with VideoWriter(path) as writer:
        writer.write(smooth_frames(5))
    return path


def test_a_promise_that_is_kept(written):
    check_contract(written, **PROMISE)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"width": 66}, "frames of 64x48 in place of 66x48"),
        ({"times": TIMES[:4]}, "5 frames in place of 4"),
        ({"times": [*TIMES, Fraction(1)]}, "5 frames in place of 6"),
        ({"times": [*TIMES[:4], Fraction(1)]}, r"frame 4 at 0\.160000 s in place of 1\.000000 s"),
        ({"tags": ColourTags("bt601", "limited")}, "colour matrix bt709 in place of bt601"),
        ({"tags": ColourTags(range="full")}, "colour range limited in place of full"),
        ({"sound_streams": 1}, "no sound"),
    ],
)
def test_every_broken_promise_is_named(written, changed, sentence):
    with pytest.raises(MediaError, match=f"read back and holds {sentence}"):
        check_contract(written, **(PROMISE | changed))


def test_damage_is_noticed(tmp_path):
    path = encode(tmp_path / "a.mkv", smooth_frames(5), tags=ColourTags("bt709", "limited"), options={"crf": "1"})
    data = bytearray(path.read_bytes())
    for position in range(len(data) // 2, len(data) // 2 + 60):
        data[position] ^= 0x5A
    path.write_bytes(bytes(data))
    with pytest.raises(MediaError, match="read back and holds"):
        check_contract(path, **PROMISE)


def test_folders(tmp_path):
    for i, image in enumerate(smooth_frames(5)):
        write_png(tmp_path / f"{i}.png", image)
    check_contract(tmp_path, **PROMISE)
    with pytest.raises(MediaError, match="5 frames in place of 4"):
        check_contract(tmp_path, **(PROMISE | {"times": TIMES[:4]}))
    whole = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match="damaged image"):
        check_contract(tmp_path, **PROMISE)
