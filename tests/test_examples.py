"""The example plug-in, from outside the package and through the command line: train, test, restore."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.paths import ROOT
from vrestore import load_restorer
from vrestore.cli import main
from vrestore.plugins import FILES_VARIABLE, load_plugins
from vrestore.registry import BACKBONES, DEGRADATIONS, METRICS
from vrestore.video import read_clip

EXAMPLE = ROOT / "examples" / "plugin"
TINY = [
    *("train_cfg.max_iters=3", "train_cfg.val_interval=3", "train_dataloader.batch_size=1"),
    *(
        "train_dataloader.dataset.crop_px=32",
        "train_dataloader.dataset.frames=2",
        "val_dataloader.dataset.max_frames=2",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The example copied to a place of its own, with footage of a few frames."""
    pytest.importorskip("skimage", reason="the example's footage needs scikit-image")
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "mine")
    sys.path.insert(0, str(EXAMPLE))
    try:
        from footage import make_footage

        make_footage(folder / "work_dirs" / "plugin_clips", n_frames=3, size=(48, 64))
    finally:
        sys.path.remove(str(EXAMPLE))
        sys.modules.pop("footage", None)
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv(FILES_VARIABLE, "[]")
    yield
    for registry, name in ((DEGRADATIONS, "Haze"), (BACKBONES, "TwoConvolutions"), (METRICS, "MeanError")):
        registry.module_dict.pop(name, None)
    for name in [n for n, m in sys.modules.items() if str(getattr(m, "__file__", "")).endswith("my_plugin.py")]:
        del sys.modules[name]


def test_train_test_restore(folder, capsys):
    assert main(["train", "mine/config.py", "--work-dir", "w", "--cfg-options", *TINY]) == 0
    log = [json.loads(line) for line in Path("w/log.jsonl").read_text().splitlines()]
    assert any("MeanError" in entry for entry in log)

    weights = "w/weights.safetensors"
    capsys.readouterr()
    assert main(["test", "mine/config.py", weights, "--work-dir", "t", "--cfg-options", *TINY]) == 0
    shown = capsys.readouterr().out
    assert "MeanError" in shown
    assert "Haze" in shown
    rows = list(csv.DictReader(Path("t/results.csv").read_text().splitlines()))
    assert {row["clip"] for row in rows} == {"astronaut", "cat", "coffee", "motorcycle"}

    clip = "work_dirs/plugin_clips/cat.mkv"
    options = ["--codec", "ffv1", "--config", "mine/config.py", "--weights", weights]
    assert main(["restore", clip, "clear.mkv", *options]) == 0
    frames = read_clip(clip)
    expected = load_restorer("mine/config.py", weights, "cpu").restore(frames)
    assert (read_clip("clear.mkv") - expected).abs().max() <= 0.5 / 255 + 1e-6

    # The weights alone tell their model; the plug-in that knows it comes by the command line.
    assert (
        main(["restore", clip, "again.mkv", "--codec", "ffv1", "--model", weights, "--plugin", "mine/my_plugin.py"])
        == 0
    )
    assert torch.equal(read_clip("again.mkv"), read_clip("clear.mkv"))


def test_without_the_plugin_the_miss_says_what_to_do(capsys):
    text = Path("mine/config.py").read_text()
    Path("bare.py").write_text(text.replace("custom_imports", "_unused"))
    assert main(["train", "bare.py", "--work-dir", "bare"]) == 2
    told = capsys.readouterr().err
    assert re.search(r"'(TwoConvolutions|Haze|MeanError)' is not registered in (BACKBONES|DEGRADATIONS|METRICS)", told)
    assert "--plugin your_module.py" in told


def test_the_three_modules_keep_their_contracts(folder):
    (module,) = load_plugins([folder / "mine" / "my_plugin.py"])
    import numpy as np

    frames = torch.rand(3, 3, 8, 10)
    before = frames.clone()
    left, record = module.Haze()(frames, np.random.default_rng(1))
    right, _ = module.Haze()(frames, np.random.default_rng(1))
    assert torch.equal(left, right)
    assert torch.equal(frames, before)
    assert 0.4 <= record["density"] <= 0.6
    assert torch.allclose(left, frames * (1 - record["density"]) + record["density"])
    json.dumps(record)
    assert module.TwoConvolutions(4)(frames[None]).shape == (1, 3, 3, 8, 10)
    assert module.MeanError().score(frames, frames + 0.1) == pytest.approx([25.5] * 3, abs=1e-3)


def test_it_stays_small():
    code = [
        line
        for line in (EXAMPLE / "my_plugin.py").read_text().splitlines()
        if line.strip() and not line.strip().startswith(('"""', "#", "import", "from"))
    ]
    assert len(code) < 35
    assert len((EXAMPLE / "README.md").read_text().splitlines()) < 40


@pytest.mark.slow
def test_two_processes_under_torchrun(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29617"]
    door = [str(ROOT / "tools" / "train.py"), "mine/config.py", "--work-dir", "two", "--cfg-options", *TINY]
    done = subprocess.run([*command, *door], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "two" / "weights.safetensors").is_file()
