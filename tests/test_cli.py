"""The command line: help, exit statuses, and every command on tiny inputs."""

import inspect
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.paths import ROOT
from vrestore.cli import RESTORE_OPTIONS, build_parser, main
from vrestore.errors import ConfigError
from vrestore.plugins import FILES_VARIABLE
from vrestore.registry import MODELS
from vrestore.video import VideoWriter, probe, read_clip

COMMANDS = ("train", "test", "restore", "freeze", "shard", "zoo")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FILES_VARIABLE, "[]")


@pytest.fixture
def clip(tmp_path):
    """A lossless clip of 4 frames, 24 x 16 pixels."""
    frames = torch.rand(4, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with VideoWriter(tmp_path / "in.mkv", fps=10, codec="ffv1") as writer:
        writer.write(frames)
    return tmp_path / "in.mkv"


def failing(capsys, *argv: str) -> str:
    """The one sentence that a command ends with."""
    assert main(list(argv)) == 2
    told = capsys.readouterr().err.strip().splitlines()
    sentence = [line for line in told if line.startswith("vrestore: ")]
    assert len(sentence) == 1, told
    assert "Traceback" not in "".join(told)
    return sentence[0]


def run(*argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(argv, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)


# --- the parser


def test_help_is_there_at_once():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = run(sys.executable, "-m", "vrestore", "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0
    assert all(command in shown.stdout for command in COMMANDS)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
    code = "import sys; from vrestore.cli import *; build_parser(); print({'torch', 'mmengine'} & {*sys.modules})"
    assert run(sys.executable, "-c", code).stdout.strip() == "set()"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"  vrestore {command} " in shown
    assert "--plugin" in shown


@pytest.mark.parametrize("argv", [[], ["fly"], ["train"], ["restore", "in.mp4"], ["restore", "a", "b", "--size", "10"]])
def test_wrong_usage(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "usage: vrestore" in capsys.readouterr().err


def test_model_and_config_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["restore", "a", "b", "--model", "bicubic", "--config", "c.py"])
    assert stop.value.code == 2


def test_values_that_are_read():
    parse = build_parser().parse_args
    arguments = parse(["restore", "a", "b", "--size", "1080x1920", "--fps", "24000/1001"])
    assert arguments.size == (1080, 1920)
    assert float(arguments.fps) == pytest.approx(23.976, abs=1e-3)
    assert parse(["train", "c.py"]).resume is False
    assert parse(["train", "c.py", "--resume"]).resume is True
    assert parse(["train", "c.py", "--resume", "x.pth"]).resume == "x.pth"
    assert parse(["train", "c.py", "--plugin", "a.py", "--plugin", "b.py"]).plugin == ["a.py", "b.py"]
    assert parse(["test", "c.py", "w.pth", "--cfg-options", "a=1", "b=2"]).cfg_options == ["a=1", "b=2"]


def test_torchrun_is_noticed(monkeypatch):
    assert build_parser().parse_args(["train", "c.py"]).launcher == "none"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert build_parser().parse_args(["train", "c.py"]).launcher == "pytorch"


def test_options_of_restore_are_those_of_restore_video():
    from vrestore.inference.video import restore_video

    known = inspect.signature(restore_video).parameters
    parsed = vars(build_parser().parse_args(["restore", "a", "b"]))
    for option in RESTORE_OPTIONS:
        assert option in known
        assert parsed[option] is None  # so that each default has one home


@pytest.mark.parametrize("door", ["tools/train.py", "tools/test.py", "tools/restore.py"])
def test_tools_are_doors_to_the_same_commands(door, tmp_path):
    shown = run(sys.executable, str(ROOT / door), "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: vrestore {Path(door).stem} ")
    assert len((ROOT / door).read_text().splitlines()) < 15


# --- exit statuses


def test_a_mistake_is_one_sentence(capsys):
    assert "config 'gone.py' not found" in failing(capsys, "train", "gone.py")


def test_debug_shows_the_traceback_of_a_mistake():
    with pytest.raises(ConfigError):
        main(["train", "gone.py", "--debug"])


def test_a_mistake_from_the_shell(tmp_path):
    done = run(sys.executable, str(ROOT / "tools" / "test.py"), "gone.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("vrestore: config 'gone.py' not found")
    assert len(done.stderr.splitlines()) == 1


def test_interrupted(capsys):
    Path("stop.py").write_text("raise KeyboardInterrupt\n")
    assert main(["zoo", "--plugin", "stop.py"]) == 130
    assert "vrestore: interrupted" in capsys.readouterr().err


def test_defects_keep_their_traceback(clip):
    Path("defect.py").write_text(
        "from vrestore.registry import MODELS\n"
        "from vrestore.restorers.resample import ResampleRestorer\n"
        "@MODELS.register_module()\n"
        "class CliDefect(ResampleRestorer):\n"
        "    def restore_frames(self, frames, request):\n"
        "        raise ZeroDivisionError('a defect')\n"
    )
    Path("c.py").write_text("model = dict(type='CliDefect')\n")
    try:
        with pytest.raises(ZeroDivisionError, match="a defect"):
            main(["restore", str(clip), "out.mkv", "--config", "c.py", "--plugin", "defect.py"])
    finally:
        MODELS.module_dict.pop("CliDefect", None)
    assert sorted(p.name for p in Path().iterdir() if "out" in p.name) == []


def test_a_closed_pipe_is_no_error(tmp_path):
    command = f"{sys.executable} -m vrestore zoo --json | head -c 20"
    done = subprocess.run(["bash", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.startswith("[")
    assert "BrokenPipe" not in done.stderr


# --- zoo


def test_zoo_lists_everything(capsys):
    assert main(["zoo"]) == 0
    shown = capsys.readouterr().out
    for name in ("nearest", "bicubic", "lanczos", "basicvsr-small-x4", "basicvsr-reds4", "spynet"):
        assert name in shown


def test_zoo_as_data(capsys):
    assert main(["zoo", "--json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert cards["basicvsr-reds4"]["capabilities"]["spatial_scales"] == "4"
    assert cards["basicvsr-reds4"]["weights"]["licence"] == "Apache-2.0"
    assert main(["zoo", "basicvsr-reds4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == cards["basicvsr-reds4"]


def test_zoo_shows_one(capsys):
    assert main(["zoo", "basicvsr-vimeo90k-bd"]) == 0
    shown = capsys.readouterr().out
    assert "37.5501" in shown
    assert "0154dd64" in shown


def test_zoo_lists_what_holds_a_word(capsys):
    assert main(["zoo", "Vimeo90K"]) == 0
    shown = capsys.readouterr().out
    assert "basicvsr-vimeo90k-bd" in shown
    assert "iconvsr-vimeo90k-bi" in shown
    assert "basicvsr-reds4" not in shown
    assert main(["zoo", "iconvsr", "--json"]) == 0
    assert [card["method"] for card in json.loads(capsys.readouterr().out)] == ["IconVSR"] * 3


def test_zoo_shows_the_only_one_that_holds_a_word(capsys):
    assert main(["zoo", "zooming"]) == 0
    shown = capsys.readouterr().out
    assert "xiang2020zooming.pth" in shown
    assert "GPL-3.0; what is made of them" in shown


def test_zoo_shows_one_that_others_begin_with(capsys):
    assert main(["zoo", "venhancer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "venhancer"


def test_zoo_of_an_unknown_name(capsys):
    assert "the zoo has no 'bicubik'; closest: bicubic" in failing(capsys, "zoo", "bicubik")


def test_zoo_shows_restorers_of_plugins(capsys):
    Path("mine.py").write_text(
        "from vrestore.registry import MODELS\n"
        "from vrestore.restorers.resample import ResampleRestorer\n"
        "@MODELS.register_module()\n"
        "class CliZooRestorer(ResampleRestorer):\n"
        '    """Resamples for the sake of a test."""\n'
    )
    try:
        assert main(["zoo", "--plugin", "mine.py"]) == 0
        shown = capsys.readouterr().out
        assert "CliZooRestorer" in shown
        assert "Resamples for the sake of a test." in shown
    finally:
        MODELS.module_dict.pop("CliZooRestorer", None)


# --- restore


def test_restore_a_video(clip, capsys):
    assert main(["restore", str(clip), "out.mkv", "--model", "nearest", "--scale", "2", "--codec", "ffv1"]) == 0
    assert "out.mkv" in capsys.readouterr().err
    source, restored = read_clip(clip), read_clip("out.mkv")
    assert restored.shape == (4, 3, 32, 48)
    assert torch.equal(restored[..., ::2, ::2], source)


def test_restore_by_a_config(clip):
    Path("c.py").write_text("model = dict(type='ResampleRestorer', spatial='nearest', scale=3)\n")
    assert main(["restore", str(clip), "out.mkv", "--config", "c.py", "--codec", "ffv1"]) == 0
    assert read_clip("out.mkv").shape == (4, 3, 48, 72)


def test_restore_to_a_size_and_a_rate(clip):
    options = ["--model", "bicubic", "--size", "20x30", "--fps", "20", "--block-frames", "2", "--device", "cpu"]
    assert main(["restore", str(clip), "out.mp4", *options]) == 0
    info = probe("out.mp4")
    assert (info.height, info.width, float(info.fps)) == (20, 30, 20)


def test_restore_replaces_only_when_told(clip, capsys):
    Path("out.mkv").write_text("mine")
    assert "out.mkv" in failing(capsys, "restore", str(clip), "out.mkv", "--model", "bicubic")
    assert Path("out.mkv").read_text() == "mine"
    assert main(["restore", str(clip), "out.mkv", "--model", "bicubic", "--scale", "1", "--overwrite"]) == 0
    assert probe("out.mkv").width == 24


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["gone.mp4", "out.mp4"], "gone.mp4"),
        (["{clip}", "out.mkv", "--model", "bicubik"], "no model is called 'bicubik'; closest: bicubic"),
        (["{clip}", "out.mkv", "--config", "gone.py"], "config 'gone.py' not found"),
        (["{clip}", "out.mkv", "--scale", "-1"], "scale must be a finite number > 0"),
        (["{clip}", "out.mkv", "--precision", "int8"], "precision must be one of"),
        (["{clip}", "out.mkv", "--model", "basicvsr-small-x4", "--weights", "gone.pth"], "gone.pth do not exist"),
        (["{clip}", "out.mkv", "--weights", "gone.pth"], "weights need a model: name it"),
        (["{clip}", "out.mkv", "--scale", "9"], "no model of --model auto serves scale 9"),
        (["{clip}", "out.mkv", "--plugin", "gone.py"], "plug-in 'gone.py' not found"),
        (["{clip}", "out.mkv", "--codec", "mp3"], "codec must be"),
    ],
)
def test_restore_with_a_mistake_leaves_nothing(clip, capsys, argv, words):
    before = sorted(p.name for p in Path().iterdir())
    assert words in failing(capsys, "restore", *(a.format(clip=clip) for a in argv))
    assert sorted(p.name for p in Path().iterdir()) == before


# --- test


@pytest.fixture
def benchmark(clip):
    Path("clips").mkdir()
    clip.rename("clips/noise.mkv")
    Path("bench.py").write_text(
        "methods = ['nearest', dict(name='soft', model=dict(type='ResampleRestorer', spatial='bilinear'))]\n"
        "benchmarks = [dict(name='tiny', dataset=dict(type='FolderBenchmark', root='clips',\n"
        "    degradation=dict(type='BicubicDown', scale=2)), request=dict(scale=2), metrics=[dict(type='PSNR')])]\n"
        "output = dict(comparison=False)\n"
    )
    return "bench.py"


def test_test_runs_a_benchmark(benchmark, capsys):
    assert main(["test", benchmark, "--work-dir", "w", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "nearest" in shown
    assert "soft" in shown


def test_test_takes_some_methods_and_lets_the_zoo_join(benchmark, capsys):
    assert main(["test", benchmark, "--work-dir", "w", "--methods", "soft, lanczos"]) == 0
    shown = capsys.readouterr().out
    assert "soft" in shown
    assert "lanczos" in shown
    assert "nearest" not in shown


def test_configs_join_a_benchmark_and_random_weights_are_named(benchmark, capsys):
    Path("soft2.py").write_text("model = dict(type='ResampleRestorer', spatial='bilinear')\n")
    tiny = ROOT / "configs/venhancer/venhancer_tiny.py"
    options = ["--cfg-options", "benchmarks.0.request.steps=1", "benchmarks.0.dataset.max_frames=1"]
    assert main(["test", benchmark, "--work-dir", "w", "--methods", f"nearest,soft2.py,{tiny}", *options]) == 0
    rows = json.loads(Path("w/results.json").read_text())["tables"][0]["rows"]
    assert [row["method"] for row in rows] == ["nearest", "soft2", "venhancer_tiny (untrained)"]


def test_test_of_an_unknown_method(benchmark, capsys):
    assert "no method is called 'softer'" in failing(capsys, "test", benchmark, "--methods", "softer")


def test_methods_need_a_benchmark_config(capsys):
    Path("c.py").write_text("model = dict(type='ResampleRestorer')\n")
    assert "--methods needs a benchmark config" in failing(capsys, "test", "c.py", "--methods", "nearest")


def test_options_reach_the_config(benchmark, capsys):
    told = failing(capsys, "test", benchmark, "--cfg-options", "benchmarks.0.dataset.root=gone_folder")
    assert "gone_folder" in told


# --- train


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modle = dict(type='X')\n", "has no key 'modle'; did you mean 'model'"),
        ("x = (\n", "could not be read: line 1"),
        ("custom_imports = dict(imports=['gone'])\n", "plug-in 'gone' not found"),
    ],
)
def test_train_with_a_mistake(text, words, capsys):
    Path("c.py").write_text(text)
    assert words in failing(capsys, "train", "c.py")
    assert sorted(p.name for p in Path().iterdir()) == ["c.py"]
