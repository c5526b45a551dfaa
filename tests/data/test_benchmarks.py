from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.data.media import moving_texture, write_folder, write_video
from tests.paths import SHARED_DATA, needs_shared_data
from vrestore.data import REDS4, SPMCS, UDM10, FolderBenchmark, Vid4, VideoLQ, VrestoreBench, clip_collate
from vrestore.degradations import BicubicDown
from vrestore.errors import ConfigError, DataError
from vrestore.registry import DATASETS

BIX4 = {"type": "BicubicDown", "scale": 4}


def frames(n, h, w, seed=0):
    return moving_texture(n, h, w, seed)


def lay_out(root, layout, hq_size=(16, 24), scale=4):
    """A whole test set of tiny frames."""
    clips = dict(layout.clips) or {f"{i:03d}": layout.n_frames or 3 for i in range(layout.n_clips)}
    for name, n in clips.items():
        if layout.hq:
            write_folder(root / layout.hq / name, frames(n, *hq_size))
        for folder in layout.lq.values():
            write_folder(root / folder / name, frames(n, hq_size[0] // scale, hq_size[1] // scale, seed=1))
    return root


def as_tensor(array):
    return torch.from_numpy(array).permute(0, 3, 1, 2).float() / 255


def test_vid4(tmp_path):
    data = DATASETS.build({"type": "Vid4", "root": str(lay_out(tmp_path, Vid4.layout))})
    assert (data.name, data.degradation_name, len(data), data.scale) == ("Vid4", "BIx4", 4, 4)
    assert data.clips == ["calendar", "city", "foliage", "walk"]
    assert data.metainfo == {"name": "Vid4", "degradation": "BIx4", "scale": 4}
    sample = data[3]
    assert sorted(sample) == ["clip", "fps", "hq", "lq", "record"]
    assert sample["clip"] == "walk"
    assert sample["fps"] is None
    assert torch.equal(sample["hq"], as_tensor(frames(47, 16, 24)))
    assert torch.equal(sample["lq"], as_tensor(frames(47, 4, 6, seed=1)))
    assert sample["record"] == {"name": "BIx4", "scale": 4, "given": True}
    assert Vid4(tmp_path, "BDx4").degradation_name == "BDx4"
    made = Vid4(tmp_path, BIX4, clips=["city"])
    assert made.degradation_name == "BIx4"
    assert torch.equal(made[0]["lq"], BicubicDown(4)(made[0]["hq"], np.random.default_rng(0))[0])


@pytest.mark.parametrize(("kind", "n_clips"), [(REDS4, 4), (UDM10, 10), (SPMCS, 30), (VideoLQ, 50)])
def test_other_layouts(tmp_path, kind, n_clips):
    data = kind(lay_out(tmp_path, kind.layout, hq_size=(8, 8)))
    assert len(data) == n_clips
    assert data.name == kind.__name__
    sample = data[0]
    if kind is VideoLQ:
        assert sample["hq"] is None
        assert data.degradation_name == "real"
        assert sample["lq"].shape == (3, 3, 2, 2)
    else:
        assert data.degradation_name == "BIx4"
        assert sample["hq"].shape[-2:] == (8, 8)
        assert sample["lq"].shape[-2:] == (2, 2)


def test_a_missing_set_shows_the_tree_and_the_source(tmp_path):
    with pytest.raises(DataError) as error:
        Vid4(tmp_path / "Vid4")
    told = str(error.value)
    assert "lacks the folder" in told
    assert "├── GT/  (clean)\n│   ├── calendar/  (41 images)\n" in told
    assert "└── BDx4/  (degraded)" in told
    assert "https://" in told
    with pytest.raises(DataError, match=r"└── train_sharp_bicubic/X4/  \(degraded\)"):
        REDS4(tmp_path)
    with pytest.raises(DataError, match=r"000/  \(images\)\n└── …  \(50 folders, whatever their names\)"):
        VideoLQ(tmp_path / "nothing")


def test_an_incomplete_set_says_what_is_missing(tmp_path):
    lay_out(tmp_path, Vid4.layout)
    (tmp_path / "GT" / "walk" / "00000046.png").unlink()
    for image in (tmp_path / "BIx4" / "city").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"BIx4/city, frames of \S+GT/walk \(it has 46, the set has 47\)"):
        Vid4(tmp_path)
    (tmp_path / "BIx4" / "walk" / "00000046.png").unlink()
    part = Vid4(tmp_path, partial=True)
    assert part.name == "Vid4 (part)"
    assert part.clips == ["calendar", "foliage", "walk"]
    assert len(part[2]["lq"]) == 46


def test_a_set_with_too_few_clips(tmp_path):
    lay_out(tmp_path, UDM10.layout, hq_size=(8, 8))
    for side in ("GT", "BIx4"):
        (tmp_path / side / "009").rename(tmp_path / side / ".009")
    with pytest.raises(DataError, match=r"it lacks 1 clips \(it holds 9\)"):
        UDM10(tmp_path)
    assert len(UDM10(tmp_path, partial=True)) == 9


def test_sides_that_do_not_match(tmp_path):
    lay_out(tmp_path, UDM10.layout, hq_size=(8, 8))
    write_folder(tmp_path / "BIx4" / "003", frames(32, 3, 3))
    with pytest.raises(DataError, match=r"clip 003 is 8x8 clean and 3x3 degraded \(width x height\), .* factor of 4"):
        UDM10(tmp_path)
    (tmp_path / "BIx4" / "004" / "00000031.png").unlink()
    with pytest.raises(DataError, match="clip 004 has 32 clean and 31 degraded frames"):
        UDM10(tmp_path, partial=True, clips=["004"])


def test_other_folders_and_choices(tmp_path):
    lay_out(tmp_path / "set", Vid4.layout)
    (tmp_path / "set" / "BIx4").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="lacks the folder"):
        Vid4(tmp_path / "set")
    assert len(Vid4(tmp_path / "set", lq_root=tmp_path / "elsewhere")) == 4
    only = Vid4(tmp_path / "set", lq_root=tmp_path / "elsewhere", clips=["walk"], max_frames=2)
    assert (only.name, len(only), len(only[0]["lq"])) == ("Vid4 (part)", 1, 2)
    with pytest.raises(ConfigError, match="Vid4 has no clip wlak; it has calendar, city"):
        Vid4(tmp_path / "set", lq_root=tmp_path / "elsewhere", clips=["wlak"])
    with pytest.raises(ConfigError, match=r"no published version 'BIx2', only BIx4, BDx4; .*dict\(type='BicubicDown'"):
        Vid4(tmp_path / "set", "BIx2")


@pytest.fixture
def clean_clips(tmp_path):
    root = tmp_path / "my clips"
    write_video(root / "video.mkv", frames(4, 38, 50), fps=30)
    write_folder(root / "shots" / "one", frames(3, 32, 40, seed=2))
    return root


def test_folder_with_made_partners(clean_clips):
    data = FolderBenchmark(clean_clips, BIX4)
    assert (data.name, data.degradation_name, data.clips) == ("my clips", "BIx4", ["shots/one", "video"])
    video = data[1]
    assert video["hq"].shape == (4, 3, 36, 48)
    assert torch.equal(video["hq"], as_tensor(frames(4, 38, 50))[..., :36, :48])
    assert torch.equal(video["lq"], BicubicDown(4)(video["hq"], np.random.default_rng(0))[0])
    assert video["fps"] == Fraction(30)
    assert data[0]["fps"] is None
    assert [sample["clip"] for sample in data] == data.clips
    assert FolderBenchmark(clean_clips, {"type": "BlurDown"}, name="mine").degradation_name == "BDx4-duf"


def test_folder_with_given_partners(clean_clips, tmp_path):
    write_folder(tmp_path / "small" / "video", frames(4, 9, 12, seed=3))
    with pytest.raises(DataError, match=r"1 of 2 clips of .* have no partner of the same name in .*small: shots/one"):
        FolderBenchmark(clean_clips, lq_root=tmp_path / "small")
    data = FolderBenchmark(clean_clips, lq_root=tmp_path / "small", include=["video*"])
    assert data.degradation_name == "small"
    assert data[0]["hq"].shape == (4, 3, 36, 48)
    assert torch.equal(data[0]["lq"], as_tensor(frames(4, 9, 12, seed=3)))


def test_folder_of_degraded_clips(clean_clips):
    data = FolderBenchmark(clean_clips)
    assert data.degradation_name == "real"
    assert data[0]["hq"] is None
    assert torch.equal(data[0]["lq"], as_tensor(frames(3, 32, 40, seed=2)))
    with pytest.raises(ConfigError, match="degradation or lq_root, not both"):
        FolderBenchmark(clean_clips, BIX4, lq_root=clean_clips)


def test_centre_crops_and_short_clips(clean_clips, tmp_path):
    whole = FolderBenchmark(clean_clips, BIX4)[1]["hq"]
    data = FolderBenchmark(clean_clips, BIX4, crop_to=(16, 24), max_frames=2)
    assert torch.equal(data[1]["hq"], whole[:2, :, 10:26, 12:36])
    assert data[1]["lq"].shape == (2, 3, 4, 6)
    write_folder(tmp_path / "small" / "video", frames(4, 9, 12, seed=3))
    given = FolderBenchmark(clean_clips, lq_root=tmp_path / "small", include=["video*"], crop_to=(20, 16))[0]
    assert torch.equal(given["lq"], as_tensor(frames(4, 9, 12, seed=3))[..., 2:7, 4:8])
    assert torch.equal(given["hq"], as_tensor(frames(4, 38, 50))[..., 8:28, 16:32])
    with pytest.raises(ConfigError, match="crop_to must be a multiple of the scale 4, got 18"):
        FolderBenchmark(clean_clips, BIX4, crop_to=18)
    with pytest.raises(DataError, match=r"clip shots/one of 40x32 pixels .* too small for 36x36"):
        FolderBenchmark(clean_clips, BIX4, crop_to=36)
    for bad in (0, True, -2):
        with pytest.raises(ConfigError, match="max_frames must be a whole number >= 1"):
            FolderBenchmark(clean_clips, BIX4, max_frames=bad)


def test_a_fractional_scale(clean_clips):
    sample = FolderBenchmark(clean_clips, {"type": "BicubicDown", "scale": 2.5})[1]
    assert sample["hq"].shape[-2:] == (35, 50)
    assert sample["lq"].shape[-2:] == (14, 20)


def test_batches_of_one_for_validation(clean_clips):
    loader = DataLoader(FolderBenchmark(clean_clips, BIX4), batch_size=1, collate_fn=clip_collate)
    batches = list(loader)
    assert [batch["clip"] for batch in batches] == [["shots/one"], ["video"]]
    assert batches[1]["lq"].shape == (1, 4, 3, 9, 12)
    assert batches[1]["fps"] == [Fraction(30)]


@pytest.fixture
def bench(tmp_path):
    root = tmp_path / "bench"
    write_video(root / "film" / "gt.mp4.mkv", frames(3, 16, 16))
    (root / "film" / "gt.mp4.mkv").rename(root / "film" / "gt.mp4")
    write_folder(root / "shots" / "gt", frames(2, 18, 21, seed=1))
    write_folder(root / "shots" / "lr_bicubic_x4", frames(2, 4, 5, seed=2))
    (root / "notes").mkdir()
    return root


def test_bench_folder(bench):
    data = VrestoreBench(bench)
    assert (data.name, data.degradation_name, data.clips) == ("bench", "BIx4", ["film", "shots"])
    assert data[0]["hq"].shape == (3, 3, 16, 16)
    assert data[1]["hq"].shape == (2, 3, 16, 20)
    given = VrestoreBench(bench, "lr_bicubic_x4")
    assert (given.degradation_name, given.clips) == ("lr_bicubic_x4", ["shots"])
    assert torch.equal(given[0]["lq"], as_tensor(frames(2, 4, 5, seed=2)))
    assert VrestoreBench(bench, clips=["shots"], max_frames=1)[0]["hq"].shape == (1, 3, 16, 20)


def test_bench_folder_errors(bench, tmp_path):
    with pytest.raises(DataError, match=r"lacks any clip. Expected:\n.*\n.*\n.*gt.mp4"):
        VrestoreBench(tmp_path / "nowhere")
    with pytest.raises(DataError, match="lacks flim"):
        VrestoreBench(bench, clips=["flim"])
    with pytest.raises(DataError, match=r"no clip of .* has a folder 'lr_blur'"):
        VrestoreBench(bench, "lr_blur")
    (bench / "film" / "gt.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"clip film of .* cannot be read: .*empty"):
        VrestoreBench(bench)


@needs_shared_data
def test_the_bench_of_real_clips():
    data = VrestoreBench(SHARED_DATA / "bench", max_frames=1)
    sizes = {sample["clip"]: tuple(sample["hq"].shape[-2:]) for sample in data}
    assert sizes == {
        "car_turn_360p": (360, 640),
        "toy_pig_480p": (480, 720),
        "vid4_calendar": (576, 720),
        "vid4_city": (576, 704),
    }
    made = VrestoreBench(SHARED_DATA / "bench", clips=["vid4_calendar"], max_frames=2)[0]
    published = VrestoreBench(SHARED_DATA / "bench", "lr_bicubic_x4", max_frames=2)[0]
    assert torch.equal(made["lq"], published["lq"])
    assert torch.equal(made["hq"], published["hq"])


def test_clips_degraded_in_time_too(tmp_path):
    write_folder(tmp_path / "a" / "gt", frames(7, 16, 24))
    data = VrestoreBench(tmp_path, degradation=BIX4, time_step=3, max_frames=7)
    sample = data[0]
    assert data.degradation_name == "BIx4, 1 of 3 frames"
    assert len(sample["hq"]) == 6  # two whole steps
    assert torch.equal(sample["lq"], VrestoreBench(tmp_path, degradation=BIX4)[0]["lq"][[0, 3]])
    with pytest.raises(DataError, match="fewer than 8 frames"):
        VrestoreBench(tmp_path, degradation=BIX4, time_step=8)
    with pytest.raises(ConfigError, match="time_step must be a whole number >= 1"):
        FolderBenchmark(tmp_path, degradation=BIX4, time_step=0)
