"""docs/training.md does what it says: its commands are run as they stand, on tiny clips and for few steps."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.data.media import moving_texture, write_video
from vrestore.cli import main
from vrestore.video import probe

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SIZES = {  # so that a command of hours takes a second
    "basicvsr_small_x4.py": [
        "train_cfg.max_iters=4", "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=2",
        "default_hooks.checkpoint.max_keep_ckpts=2",
        "train_dataloader.batch_size=1", "train_dataloader.dataset.frames=2", "train_dataloader.dataset.crop_px=64",
        "train_dataloader.dataset.cache=None", "val_dataloader.dataset.max_frames=2",
        "model.backbone.mid_channels=4", "model.backbone.num_blocks=1", "model.backbone.hr_channels=4",
    ],
    "venhancer_tiny_train.py": [
        "train_cfg.max_iters=1", "train_dataloader.batch_size=1", "train_dataloader.dataset.frames=3",
        "train_dataloader.dataset.crop_px=(24, 32)", "train_dataloader.dataset.cache=None",
        "val_dataloader.dataset.max_frames=2", "val_dataloader.dataset.crop_to=64", "model.steps=1",
        "model.backbone.dim_mult=[1, 1, 1]", "model.backbone.num_res_blocks=1",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Runs commands of the page in a folder that has clips where it says."""
    folder = tmp_path_factory.mktemp("reader")
    for place, names in (("clips", "ab"), ("held_out", "c")):
        for seed, name in enumerate(names):
            write_video(folder / place / f"{name}.mkv", moving_texture(6, 80, 96, seed))
    write_video(folder / "in.mp4.mkv", moving_texture(5, 24, 32, 3))
    (folder / "in.mp4.mkv").rename(folder / "in.mp4")

    def run(command: str) -> int:
        words = shlex.split(command.replace("\\\n", " ").replace("/my/", f"{folder}/"))
        assert words[0] == "vrestore"
        config = next((Path(word).name for word in words if Path(word).name in SIZES), None)
        if config and words[1] == "train":
            at = words.index("--cfg-options") + 1
            words[at:at] = SIZES[config]
        words = [str(ROOT / word) if word.startswith("configs/") else word for word in words]
        return main(words[1:])

    return folder, run


def commands(starting: str) -> list[str]:
    """The commands of the page's first block that begins with some text."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(starting)][:1]
    lines = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
    return [command for command in re.split(r"(?<!\\)\n", lines) if command.strip()]


def test_a_reader_with_clips_gets_weights_and_a_restored_video(page, monkeypatch, capfd):
    folder, run = page
    monkeypatch.chdir(folder)
    train, restore = commands("vrestore train configs/basicvsr/basicvsr_small_x4.py")
    assert run(train) == 0
    left = PAGE.split("## What a run leaves")[1].split("## ")[0]
    work_dir = folder / "work_dirs" / "mine"
    for named in ("weights.safetensors", "last_checkpoint", "log.jsonl", "samples"):
        assert f"`{named}" in left or f", `{named}`" in left
        assert (work_dir / named).exists()
    assert list(work_dir.glob("best_*.pth"))
    assert run(restore) == 0
    before, after = probe(folder / "in.mp4"), probe(folder / "out.mp4")
    assert (after.height, after.width) == (4 * before.height, 4 * before.width)
    assert "Traceback" not in capfd.readouterr().err


def test_a_cut_run_goes_on(page, monkeypatch):
    folder, run = page
    monkeypatch.chdir(folder)
    (resume,) = (block for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) if "--resume" in block)
    work_dir = folder / "work_dirs" / "mine"
    if not work_dir.exists():
        assert run(commands("vrestore train configs/basicvsr/basicvsr_small_x4.py")[0]) == 0
    whole = (work_dir / "weights.safetensors").read_bytes()
    for name in ("weights.safetensors", "iter_4.pth"):  # as if it had been killed before
        (work_dir / name).unlink()
    assert run(resume) == 0
    assert (work_dir / "weights.safetensors").read_bytes() == whole


def test_venhancer_in_small_trains_from_nothing(page, monkeypatch):
    pytest.importorskip("torchsde")
    folder, run = page
    monkeypatch.chdir(folder)
    (command, *_) = commands("# from nothing")
    assert run(command) == 0
    (weights,) = folder.glob("work_dirs/venhancer_tiny_train/weights.safetensors")
    assert weights.stat().st_size > np.float32().nbytes * 1000


def test_every_option_on_the_page_fits_its_config():
    from vrestore.config import load_config

    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL):
        for command in re.split(r"(?<!\\)\n", block):
            words = shlex.split(command.replace("\\\n", " "), comments=True)
            if "--cfg-options" in words:
                config = next(word for word in words if word.startswith("configs/"))
                options = [w for w in words[words.index("--cfg-options") + 1 :] if "=" in w and not w.startswith("--")]
                load_config(ROOT / config, options)
