"""Folders of images."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.video.clips import smooth_frames, write_png
from vrestore.errors import MediaError
from vrestore.video import VideoReader, count_frames, probe, read_clip
from vrestore.video.folder import FrameFolder, natural_key


def fill(folder: Path, names, frames=None) -> torch.Tensor:
    frames = smooth_frames(len(names), 12, 16) if frames is None else frames
    for name, image in zip(names, frames, strict=True):
        write_png(folder / name, image)
    return (frames * 255).round() / 255


def test_frames_are_read_exactly_in_natural_order(tmp_path):
    frames = fill(tmp_path, ["f1.png", "f2.png", "f10.png", "f9.png"])
    found = read_clip(tmp_path)
    assert torch.equal(found, frames[[0, 1, 3, 2]])
    assert torch.equal(read_clip(tmp_path, 1, 2), found[1:3])
    assert read_clip(tmp_path, dtype="uint8").dtype == torch.uint8


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["10.png", "9.png", "1.png"], ["1.png", "9.png", "10.png"]),
        (["b2.png", "a10.png", "a2.png"], ["a2.png", "a10.png", "b2.png"]),
        (["x_007.png", "x_7.jpg", "x_06.png"], ["x_06.png", "x_007.png", "x_7.jpg"]),
    ],
)
def test_natural_order(names, order):
    assert [p.name for p in sorted(map(Path, names), key=natural_key)] == order


def test_a_gap_in_the_numbers_is_told_and_the_order_kept(tmp_path):
    fill(tmp_path, [f"{n:03d}.png" for n in (1, 2, 3, 5, 6, 9)])
    info = probe(tmp_path)
    assert info.frame_count == 6
    assert len(info.warnings) == 1
    assert "missing" in info.warnings[0]
    assert "4, 7 to 8" in info.warnings[0]
    assert len(read_clip(tmp_path)) == 6


def test_no_gap_is_told_where_there_is_none(tmp_path):
    fill(tmp_path, ["0.png", "1.png", "2.png"])
    assert probe(tmp_path).warnings == ()


def test_mixed_sizes_name_both_files(tmp_path):
    fill(tmp_path, ["1.png", "2.png"])
    write_png(tmp_path / "3.png", smooth_frames(1, 10, 16)[0])
    with pytest.raises(MediaError, match=r"1\.png is 16x12 .* 3\.png is 16x10"):
        read_clip(tmp_path)


def test_mixed_types_of_one_size_are_one_clip_and_strangers_do_not_count(tmp_path):
    frames = fill(tmp_path, ["1.png", "3.png"])
    Image.fromarray((frames[0] * 255).byte().permute(1, 2, 0).numpy()).save(
        tmp_path / "2.jpg", quality=98, subsampling=0
    )
    (tmp_path / "Thumbs.db").write_bytes(b"\0" * 100)
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "sub.png").mkdir()
    found = read_clip(tmp_path)
    assert len(found) == 3
    assert torch.equal(found[0], frames[0])
    assert torch.equal(found[2], frames[1])
    assert (found[1] - frames[0]).abs().mean() < 0.02


def test_sixteen_bits_are_kept(tmp_path):
    image = torch.rand(3, 9, 11, dtype=torch.float64)
    write_png(tmp_path / "0.png", image.float(), bits=16)
    info = probe(tmp_path)
    assert (info.bit_depth, info.pix_fmt) == (16, "rgb48be")
    codes = (image.float().double() * 65535).round()
    assert torch.equal((read_clip(tmp_path)[0].double() * 65535).round(), codes)


def test_gray_and_transparent_images_become_rgb(tmp_path):
    Image.linear_gradient("L").resize((16, 12)).save(tmp_path / "0.png")
    Image.new("RGBA", (16, 12), (10, 200, 30, 7)).save(tmp_path / "1.png")
    found = read_clip(tmp_path, dtype="uint8")
    assert torch.equal(found[0][0], found[0][2])
    assert found[1][:, 0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff", "webp", "ppm"])
def test_every_image_format_equals_pillow(tmp_path, suffix):
    rgb = (smooth_frames(1, 20, 28)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    options = {"lossless": True} if suffix == "webp" else {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    Image.fromarray(rgb).save(tmp_path / f"0.{suffix}", **options)
    with Image.open(tmp_path / f"0.{suffix}") as image:
        expected = torch.from_numpy(__import__("numpy").array(image.convert("RGB"))).permute(2, 0, 1)
    found = read_clip(tmp_path, dtype="uint8")[0]
    assert (found.int() - expected.int()).abs().max() <= (2 if suffix == "jpg" else 0)  # the two IDCTs differ


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_damaged_image_is_named(tmp_path, suffix):
    for n in range(3):
        Image.effect_noise((40, 30), 80).convert("RGB").save(tmp_path / f"{n}.{suffix}")
    whole = (tmp_path / f"1.{suffix}").read_bytes()
    (tmp_path / f"1.{suffix}").write_bytes(whole[: len(whole) // 2])
    assert len(read_clip(tmp_path, 0, 1)) == 1
    with pytest.raises(MediaError, match=rf"1\.{suffix}' is a damaged image"):
        read_clip(tmp_path)


def test_an_image_that_is_none_is_named(tmp_path):
    fill(tmp_path, ["0.png"])
    (tmp_path / "1.png").write_text("hello")
    with pytest.raises(MediaError, match=r"1\.png' is a damaged image or none at all"):
        probe(tmp_path)


def test_an_empty_folder_says_what_it_looked_for(tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    for ask in (probe, read_clip, count_frames, FrameFolder):
        with pytest.raises(MediaError, match=r"holds no frames: none of its files ends in \.png"):
            ask(tmp_path)


def test_a_folder_takes_the_clock_it_is_given(tmp_path):
    fill(tmp_path, ["0.png", "1.png", "2.png"])
    with VideoReader(tmp_path) as reader:
        assert [float(t) for t in reader.read(0, 3).times] == [0, 0.04, 0.08]
    with VideoReader(tmp_path, fps=10) as reader:
        assert [float(t) for block in reader.blocks(2) for t in block.times] == [0, 0.1, 0.2]
    assert probe(tmp_path).fps is None


def test_a_folder_that_changes_is_looked_at_anew(tmp_path):
    fill(tmp_path, ["0.png", "1.png"])
    assert len(read_clip(tmp_path)) == 2
    fill(tmp_path, ["2.png"])
    assert len(read_clip(tmp_path)) == 3
