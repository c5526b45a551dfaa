"""Rotation and mirroring."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from tests.video.clips import encode, psnr, smooth_frames
from vrestore.video import probe, read_clip
from vrestore.video.orientation import Orientation, _from_matrix

FIXED = 65536


def shown_by_definition(matrix, image):
    """x' = a x + c y, y' = b x + d y for every pixel, shifted to start at 0."""
    a, b, c, d = matrix
    height, width = image.shape[1:]
    placed = {(b * x + d * y, a * x + c * y): image[:, y, x] for y in range(height) for x in range(width)}
    rows, columns = (sorted({key[i] for key in placed}) for i in (0, 1))
    return torch.stack([torch.stack([placed[r, q] for q in columns], -1) for r in rows], -2)


@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 1),
        (0, 1, -1, 0),
        (-1, 0, 0, -1),
        (0, -1, 1, 0),
        (-1, 0, 0, 1),
        (0, 1, 1, 0),
        (1, 0, 0, -1),
        (0, -1, -1, 0),
    ],
)
def test_every_turn_and_mirror_follows_the_definition(matrix):
    image = torch.rand(3, 4, 5)
    a, b, c, d = (value * FIXED for value in matrix)
    orientation = _from_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    assert torch.equal(orientation.apply(image), shown_by_definition(matrix, image))


def test_a_slanted_angle_is_left_alone_and_told():
    half = round(0.7071 * FIXED)
    found = _from_matrix((half, half, 0, -half, half, 0, 0, 0, 1 << 30))
    assert found == Orientation(ignored_degrees=pytest.approx(45, abs=0.1))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_of_a_file_is_applied(tmp_path, degrees):
    frames = smooth_frames(3, 48, 64)
    path = encode(
        tmp_path / "turned.mp4", frames, options={"crf": "1"}, prepare=lambda s: s.set_display_rotation(degrees)
    )
    info = probe(path)
    assert (info.coded_width, info.coded_height) == (64, 48)
    assert (info.width, info.height) == ((64, 48) if degrees == 180 else (48, 64))
    found = read_clip(path)
    matches = {
        turn: psnr(found, torch.rot90(frames, turn, (-2, -1))) for turn in range(4) if (turn % 2) == (degrees % 180 > 0)
    }
    assert max(matches.values()) > 38
    # The upright clip is the stored one turned clockwise by `rotation`.
    assert max(matches, key=matches.get) == -info.rotation // 90 % 4


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("code", range(1, 9))
def test_photographs_are_turned_by_exif_as_pillow_does(tmp_path, code, suffix):
    exif = Image.Exif()
    exif[274] = code
    gradient = (smooth_frames(1, 16, 24)[0] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(gradient).save(tmp_path / f"0.{suffix}", exif=exif)
    with Image.open(tmp_path / f"0.{suffix}") as image:
        upright = torch.from_numpy(np.array(ImageOps.exif_transpose(image).convert("RGB"))).permute(2, 0, 1)
    info = probe(tmp_path)
    found = read_clip(tmp_path, dtype="uint8")[0]
    assert (info.height, info.width) == tuple(found.shape[1:]) == tuple(upright.shape[1:])
    assert (found.int() - upright.int()).abs().max() <= (4 if suffix == "jpg" else 0)
