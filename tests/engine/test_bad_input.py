"""What `vrestore train` answers to bad input: one sentence, status 2, and nothing opened, moved or written before."""

import json
import os
import re
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.media import write_folder
from tests.engine.parts import TinyNet, clip_dataset, tiny_config
from tests.rights import permissions_enforced
from vrestore.cli import main
from vrestore.engine.train import train
from vrestore.registry import BACKBONES


@BACKBONES.register_module()
class OtherTinyNet(TinyNet):
    """The same weights in another class."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The work dir of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    train(tiny_config(**{"train_cfg.max_iters": 4}), work_dir=folder / "run")
    return folder / "run"


def answer(tmp_path, capfd, config: dict, *options: str, work_dir: Path | None = None) -> str:
    """What the command says; its status is 2, and the work dir is as it was."""
    file = tmp_path / "config.py"
    lines = (f"{key} = {value!r}" for key, value in config.items())
    file.write_text("\n".join(["nan = float('nan')", *lines, "del nan"]))
    work_dir = work_dir or tmp_path / "run"
    before = state_of(work_dir)
    capfd.readouterr()
    assert main(["train", str(file), "--work-dir", str(work_dir), *options]) == 2
    told = capfd.readouterr()
    assert state_of(work_dir) == before, "the work dir was touched"
    assert "Traceback" not in told.err + told.out
    lines = told.err.strip().splitlines()
    assert lines[-1].startswith("vrestore: ")
    return lines[-1]


def state_of(folder: Path) -> dict:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*"))}


def on_clips(root, **dataset) -> dict:
    loader = {"batch_size": 2, "num_workers": 0, "dataset": {**clip_dataset(root), **dataset}}
    return tiny_config(train_dataloader=loader)


DATA = [
    ({"degradation": {"type": "RandomBlur", "sigma_x": (3, 1)}}, r"RandomBlur .*sigma_x must be .*got \(3, 1\)"),
    (
        {"degradation": {"type": "Compose", "steps": [{"type": "VideoCompression", "bitrate": (1e5, 1e4)}]}},
        r"bitrate must be \(low, high\), numbers with 1 <= low <= high, got \(100000\.0, 10000\.0\)",
    ),
    (
        {"degradation": {"type": "VideoCompression", "codecs": "libx266"}},
        r"codecs names 'libx266', .*did you mean 'libx26[45]'.*there are: .*mpeg4",
    ),
    ({"degradation": {"type": "BicubicDwn"}}, r"'BicubicDwn' is not registered in DEGRADATIONS; closest: BicubicDown"),
    ({"frames": 9}, r"2 of 2 clips are smaller than a window of 9 frames of 16x16 pixels: noise_0 \(4 fra"),
    ({"frames": 9, "too_small": "skip"}, r"2 of 2 clips are smaller than a window of 9 frames"),
    ({"crop_px": 64}, r"2 of 2 clips are smaller than a window of 2 frames of 64x64 pixels"),
    ({"crop_px": 15}, r"crop_px=15 is no multiple of the scale 2; the next smaller one is 14"),
    ({"frame_stride": (3, 1)}, r"frame_stride must be \(least, most\), whole numbers >= 1, got \(3, 1\)"),
    ({"include": ["*.mov"]}, r"no clip under .* \(include=\['\*\.mov'\], exclude=\[\] left none of 2\)"),
    ({"names": "nowhere.txt"}, r"the list of clips nowhere\.txt cannot be read: No such file"),
    ({"fps": float("nan")}, r"ClipDataset: fps must be .*got nan"),
    ({"fps": "fast"}, r"ClipDataset: fps must be .*got 'fast'"),
    ({"cache": "disk", "cache_bytes": -1}, r"ClipDataset: cache_bytes must be .*got -1"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "message"), DATA)
def test_data_that_cannot_be_trained_on(tmp_path, capfd, dataset, message):
    told = answer(tmp_path, capfd, on_clips(tmp_path / "clips", **dataset))
    assert re.search(message, told), told


def test_validation_data_too(tmp_path, capfd):
    benchmark = {"type": "FolderBenchmark", "root": str(tmp_path / "nowhere"), "scale": 2}
    told = answer(tmp_path, capfd, tiny_config(val_dataloader={"dataset": benchmark}))
    assert re.search(r"nowhere does not exist; expected a folder of clips", told), told


@pytest.mark.parametrize("content", ["nothing", "text", "no folder", "damage"])
def test_folders_without_clips(tmp_path, capfd, content):
    root = tmp_path / "clips"
    config = on_clips(root)  # makes the folder
    shutil.rmtree(root)
    expected = r"no clip under .*clips; expected video files or folders of frames"
    if content != "no folder":
        root.mkdir()
    if content == "text":
        (root / "notes.txt").write_text("to do: record clips")
    if content == "damage":
        (root / "a.mp4").touch()
        expected = r"1 of 1 clips under .*clips cannot be read: a\.mp4; the first says: .*a\.mp4' is empty \(0 bytes\)"
    if content == "no folder":
        expected = r"clips does not exist; expected a folder of clips"
    told = answer(tmp_path, capfd, config)
    assert re.search(expected, told), told


@pytest.fixture
def closable_folder(tmp_path):
    """A folder whose content a test may close; opened again so that it can be deleted."""
    yield tmp_path
    for folder, names, files in os.walk(tmp_path):
        for name in names + files:
            path = Path(folder, name)
            path.chmod(path.stat().st_mode | stat.S_IRWXU)


def test_folders_that_may_not_be_read(closable_folder, capfd):
    root = closable_folder / "clips"
    config = on_clips(root)
    root.chmod(0)
    with permissions_enforced():
        told = answer(closable_folder, capfd, config)
    assert re.search(
        r"no clip under .*clips can be read: the folder .*clips cannot be read: Permission denied", told
    ), told


def test_what_may_not_be_read_is_left_out_and_named(closable_folder, recwarn):
    from vrestore.data.clips import open_clips

    root = closable_folder / "clips"
    clip_dataset(root)
    write_folder(root / "private" / "a", np.zeros((2, 24, 24, 3), np.uint8))
    (root / "noise_1" / "0000.png").chmod(0)
    (root / "private").chmod(0)
    with permissions_enforced():
        clips, unreadable = open_clips(root)
    assert [clip.name for clip in clips] == ["noise_0"]
    assert sorted(unreadable) == ["noise_1", "private"]
    assert "2 of 3 clips" in str(recwarn[0].message)


def test_a_work_dir_that_cannot_be_made(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    config = on_clips(tmp_path / "clips")
    (tmp_path / "config.py").write_text("\n".join(f"{key} = {value!r}" for key, value in config.items()))
    assert main(["train", str(tmp_path / "config.py"), "--work-dir", str(tmp_path / "file" / "run")]) == 2
    assert re.search(r"vrestore: the work dir .*run cannot be made: Not a directory", capfd.readouterr().err)


# --- resuming what is none of this training's

ADAMW = {"type": "AdamW", "lr": 1e-3}
RESUMED = {
    "another size": ({"model.backbone.channels": 8}, "iter_4.pth", r"holds the weights of another model .*flow"),
    "another class": (
        {"model.backbone.type": "OtherTinyNet"}, "iter_4.pth",
        r"is of another model: its backbone is TinyNet, the config's is OtherTinyNet; .*use load_from",
    ),
    "another optimiser": (
        {"optim_wrapper.optimizer": ADAMW}, "iter_4.pth",
        r"was trained with Adam, the config's optimiser is AdamW; .*use load_from",
    ),
    "beyond the end": ({"train_cfg.max_iters": 2}, "iter_4.pth", r"is at iteration 4, beyond train_cfg\.max_iters=2"),
    "weights": ({}, "weights.safetensors", r"is no training checkpoint: .*weights alone, from which load_from starts"),
    "best": ({}, "best.pth", r"holds weights only, no state of a run; resume from an iter_N\.pth, or use load_from"),
    "plain state dict": ({}, "plain.pth", r"is no training checkpoint: .*weights alone, from which load_from starts"),
    "results": ({}, "results.json", r"results\.json is a text file \(JSON, or the like\), not weights"),
    "truncated": ({}, "truncated.pth", r"truncated\.pth is damaged or no weight file"),
    "empty": ({}, "empty.pth", r"empty\.pth are an empty file"),
    "missing": ({}, "missing.pth", r"missing\.pth do not exist"),
    "folder": ({}, ".", r"is a folder; give the file in it"),
    "release": ({}, "release.pth", r"is no training checkpoint: it has no 'state_dict'"),
}  # fmt: skip


@pytest.mark.parametrize("case", RESUMED)
def test_checkpoints_of_something_else(tmp_path, capfd, finished, case):
    changes, name, message = RESUMED[case]
    folder = shutil.copytree(finished, tmp_path / "run")
    state = torch.load(folder / "iter_4.pth", weights_only=True)["state_dict"]
    torch.save(state, folder / "plain.pth")
    torch.save({"params_ema": state}, folder / "release.pth")
    (folder / "results.json").write_text(json.dumps({"benchmark": "quickstart", "rows": []}))
    content = (folder / "iter_4.pth").read_bytes()
    (folder / "truncated.pth").write_bytes(content[: len(content) // 2])
    (folder / "empty.pth").touch()
    next(folder.glob("best_*.pth")).rename(folder / "best.pth")
    # The clips are nowhere: the checkpoint is refused before anyone looks for them.
    dataset = {**tiny_config()["train_dataloader"], "dataset": {**clip_dataset(tmp_path / "c"), "roots": "nowhere"}}
    config = tiny_config(train_dataloader=dataset, **changes)
    told = answer(tmp_path, capfd, config, "--resume", str(folder / name), work_dir=folder)
    assert re.search(message, told), told
    if name == "iter_4.pth":  # found by itself, too
        assert re.search(message, answer(tmp_path, capfd, config, "--resume", work_dir=folder))


def test_a_fault_of_the_data_leaves_an_earlier_run_where_it_is(tmp_path, capfd, finished):
    folder = shutil.copytree(finished, tmp_path / "run")
    config = tiny_config(train_dataloader=on_clips(tmp_path / "clips", frames=99)["train_dataloader"])
    assert "smaller than a window of 99 frames" in answer(tmp_path, capfd, config, work_dir=folder)
    assert "smaller than a window of 99 frames" in answer(tmp_path, capfd, config, "--resume", work_dir=folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_dataloader.num_worker": 2}, r"train_dataloader has no key 'num_worker'; did you mean 'num_workers'"),
        ({"train_dataloader.timeout": -1}, r"train_dataloader\.timeout must be a number of seconds >= 0, got -1"),
        ({"train_dataloader.timeout": "1h"}, r"train_dataloader\.timeout must be a number of seconds >= 0, got '1h'"),
        ({"train_dataloader.batch_size": "2"}, r"train_dataloader\.batch_size must be a whole number >= 1, got '2'"),
        ({"train_dataloader.collate_fn": {"type": "colate"}}, r"collate_fn 'colate' is not registered in FUNCTIONS"),
        ({"train_dataloader.prefetch_factor": 2}, r"train_dataloader cannot be built: prefetch_factor .*num_workers"),
    ],
)
def test_loaders_that_cannot_be(tmp_path, capfd, changes, message):
    told = answer(tmp_path, capfd, tiny_config(**changes))
    assert re.search(message, told), told
