"""Vimeo-90K-T: what a restorer is given and what is judged, on a tiny tree."""

import pytest
import torch

from tests.data.media import moving_texture, write_folder
from vrestore.data import ClipDataset, clip_collate
from vrestore.data.benchmarks import Vimeo90KT
from vrestore.errors import ConfigError, DataError
from vrestore.registry import DATASETS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales

NAMES = ["00001/0266", "00001/0268", "00002/0003"]
BIX4 = {"type": "BicubicDown", "scale": 4}


@pytest.fixture
def root(tmp_path):
    """Three septuplets of 16x24 pixels, with the fourth one left out of the list."""
    for i, name in enumerate([*NAMES, "00009/0001"]):
        for folder, (h, w) in {"sequences": (16, 24), "BIx4": (4, 6), "BDx4": (4, 6)}.items():
            frames = moving_texture(7, h, w, seed=10 * i + len(folder))
            write_folder(tmp_path / folder / name, frames)
            for number, file in enumerate(sorted((tmp_path / folder / name).iterdir()), start=1):
                file.rename(file.with_name(f"im{number}.png"))
    (tmp_path / "sep_testlist.txt").write_text("\n".join([*NAMES, ""]))
    return tmp_path


class Counting(BaseRestorer):
    """Gives frame t the value t / 20, whatever it gets, and notes how many frames that were."""

    seen: list[int] = []
    capabilities = Capabilities(spatial_scales=Scales(fixed=(4.0,)))

    def restore_frames(self, frames_TCHW, request):
        t, _, h, w = frames_TCHW.shape
        self.seen.append(t)
        return (torch.arange(t) / 20).view(-1, 1, 1, 1).expand(t, 3, 4 * h, 4 * w)


def test_mirrored(root):
    data = DATASETS.build({"type": "Vimeo90KT", "root": str(root)})
    assert (data.name, data.degradation_name, data.clips) == ("Vimeo-90K-T", "BIx4", NAMES)
    assert data.frames_protocol == "7 frames mirrored to 14, mean of both centre frames"
    sample, plain = data[1], Vimeo90KT(root, protocol="centre")[1]
    assert sample["lq"].shape == (14, 3, 4, 6)
    assert torch.equal(sample["lq"][:7], plain["lq"])
    assert torch.equal(sample["lq"], sample["lq"].flip(0))
    assert sample["judged"] == (3, 10)
    assert sample["hq"].shape == (1, 3, 16, 24)


def test_centre_frame_is_im4(root):
    data = Vimeo90KT(root, "BDx4", protocol="centre")
    assert (data.frames_protocol, data.degradation_name) == ("7 frames, the centre frame", "BDx4")
    sample = data[0]
    assert sample["lq"].shape == (7, 3, 4, 6)
    assert sample["judged"] == (3,)
    clean = torch.from_numpy(moving_texture(7, 16, 24, seed=len("sequences"))).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(sample["hq"], clean[3:4])


def test_made_by_a_degradation(root):
    sample = Vimeo90KT(root, BIX4, clips=[NAMES[2]])[0]
    assert sample["record"]["name"] == "BicubicDown"
    assert sample["lq"].shape == (14, 3, 4, 6)


def test_part_of_it_says_so(root):
    assert Vimeo90KT(root, first=2).name == "Vimeo-90K-T (part)"
    assert Vimeo90KT(root, first=2).clips == NAMES[:2]


@pytest.mark.parametrize(("protocol", "given", "value"), [("mirrored", 14, (3 + 10) / 40), ("centre", 7, 3 / 20)])
def test_a_benchmark_judges_the_mean_of_both_centre_frames(root, tmp_path, protocol, given, value):
    from vrestore.evaluation.benchmark import run_benchmark

    restorer = Counting()
    restorer.seen = []
    config = {
        "methods": [{"name": "counting", "model": restorer}],
        "benchmarks": [
            {
                "dataset": Vimeo90KT(root, protocol=protocol),
                "metrics": [{"type": "PSNR", "round_to_uint8": False}, {"type": "SSIM"}],
            }
        ],
        "output": {"save_frames": True},
    }
    result = run_benchmark(config, work_dir=tmp_path / "out", device="cpu")
    assert not result.failures
    assert restorer.seen == [given] * 3
    for cell, sample in zip(result.cells, Vimeo90KT(root, protocol=protocol), strict=True):
        judged = torch.full_like(sample["hq"], value)
        psnr = next(score for score in cell.scores if score.name.startswith("PSNR"))
        (expected,) = result.benchmarks[0].metrics[0].score(judged, sample["hq"])
        assert psnr.frames == pytest.approx([expected], abs=1e-4)
        assert psnr.protocol["frames"] == Vimeo90KT(root, protocol=protocol).frames_protocol
        assert (cell.frames, cell.restored_frames) == (1, given)
        assert cell.seconds_per_frame == pytest.approx(cell.cost["seconds"] / given)


def test_the_val_loop_judges_alike(root):
    batch = clip_collate([Vimeo90KT(root)[0], Vimeo90KT(root)[1]])
    outputs = Counting()(**batch, mode="predict")
    assert [tuple(output["pred"].shape) for output in outputs] == [(1, 3, 16, 24)] * 2
    assert all(torch.allclose(output["pred"], torch.tensor(6.5 / 20)) for output in outputs)


def test_what_is_missing_is_named(root):
    with pytest.raises(ConfigError, match="protocol must be one of mirrored, centre, got 'center'"):
        Vimeo90KT(root, protocol="center")
    with pytest.raises(ConfigError, match="no published version 'x8', only BIx4, BDx4"):
        Vimeo90KT(root, "x8")
    with pytest.raises(ConfigError, match="Vimeo-90K-T has no clip 00005/0001"):
        Vimeo90KT(root, clips=["00005/0001"])
    (root / "sequences" / NAMES[0] / "im4.png").unlink()
    with pytest.raises(DataError, match=r"0266 has 6 frames, not 7\. Expected:"):
        Vimeo90KT(root)
    (root / "sep_testlist.txt").unlink()
    with pytest.raises(DataError, match=r"the list of clips .*sep_testlist\.txt cannot be read"):
        Vimeo90KT(root)


def test_training_on_a_list_of_mirrored_septuplets(root):
    data = ClipDataset(
        root / "sequences",
        BIX4,
        frames=7,
        crop_px=16,
        names=root / "sep_testlist.txt",
        transforms=[{"type": "MirrorExtend"}],
        progress=False,
    )
    assert [clip.name for clip in data.clips] == NAMES
    sample = data[0]
    assert sample["hq"].shape == (14, 3, 16, 16)
    assert sample["lq"].shape == (14, 3, 4, 4)
    for frames in (sample["hq"], sample["lq"]):
        assert torch.equal(frames, frames.flip(0))
        assert not torch.equal(frames[:7], frames[:7].flip(0))
    assert sample["record"]["source"]["mirrored"] is True
    (root / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match=r"empty\.txt is empty"):
        ClipDataset(root / "sequences", BIX4, names=root / "empty.txt", progress=False)
    (root / "other.txt").write_text("00007/0001\n")
    with pytest.raises(DataError, match="left none of 4"):
        ClipDataset(root / "sequences", BIX4, names=root / "other.txt", progress=False)
