"""Frozen clips: made, checked, made again bit for bit, read as a benchmark; and what can be wrong with them."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from tests.data.media import moving_texture, write_folder, write_video
from tests.paths import ROOT
from vrestore.cli import main
from vrestore.data import FrozenBenchmark
from vrestore.data import freeze as module
from vrestore.data.freeze import check_frozen, freeze, refreeze
from vrestore.data.frozen_manifest import differing_versions, frames_sha256, read_frozen
from vrestore.degradations import Degradation
from vrestore.errors import ConfigError, DataError
from vrestore.registry import DATASETS, DEGRADATIONS
from vrestore.video import read_clip

REAL = dict(
    type="Compose",
    protocol="real-x2",
    steps=[
        dict(type="RandomBlur", kernel_size=7),
        dict(type="RandomNoise"),
        dict(type="JPEGCompression"),
        dict(type="ResizeTo", scale=2),
        dict(type="VideoCompression", codecs=("h264", "mpeg4"), preset="ultrafast"),
        dict(type="Quantise"),
    ],
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two videos, one in a subfolder and of odd sides, and a folder of images."""
    root = tmp_path_factory.mktemp("clean")
    write_video(root / "one.mkv", moving_texture(5, 32, 48, seed=1), fps=30)
    write_video(root / "deep" / "two.mkv", moving_texture(4, 33, 49, seed=2))
    write_folder(root / "three", moving_texture(3, 32, 32, seed=3))
    return root


@pytest.fixture(scope="module")
def frozen(source, tmp_path_factory):
    target = tmp_path_factory.mktemp("out") / "frozen"
    freeze(REAL, source, target, recipe_name="mine", seed=5, progress=False)
    return target


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_a_frozen_folder_holds(frozen, source):
    assert files(frozen) == ["clips/deep/two.mkv", "clips/one.mkv", "clips/three.mkv", "manifest.json"]
    assert os.listdir(frozen.parent) == ["frozen"]
    manifest = read_frozen(frozen)
    assert manifest["recipe"] == {"name": "mine", "degradation": json.loads(json.dumps(REAL))}
    assert (manifest["seed"], manifest["scale"], manifest["protocol"]) == (5, 2, "real-x2")
    assert {"torch", "numpy", "av", "ffmpeg", "cpu"} <= set(manifest["versions"])
    for entry in manifest["clips"]:
        frames = read_clip(frozen / entry["file"], dtype="uint8")
        assert frames_sha256(frames) == entry["sha256"]
        assert frames.shape == (entry["frames"], 3, entry["height"], entry["width"])
        clean = read_clip(source / entry["source"], dtype="uint8")
        assert frames_sha256(clean) == entry["source_sha256"]
        assert [step["name"] for step in entry["record"]["steps"]] == [step["type"] for step in REAL["steps"]]
    assert {e["name"]: e["fps"] for e in manifest["clips"]} == {"deep/two": "25", "one": "30", "three": None}


def test_a_frozen_clip_is_the_recipe_on_the_clean_clip(frozen, source):
    entry = next(e for e in read_frozen(frozen)["clips"] if e["name"] == "deep/two")
    clean = read_clip(source / "deep/two.mkv")[..., :32, :48]  # cropped to a multiple of the scale
    import zlib

    rng = np.random.default_rng(np.random.SeedSequence([5, zlib.crc32(b"deep/two")]))
    expected, record = DEGRADATIONS.build(REAL)(clean, rng)
    assert torch.equal(read_clip(frozen / entry["file"], dtype="uint8"), expected.mul(255).round().byte())
    assert record == entry["record"]


def test_made_again_bit_for_bit(frozen, source, tmp_path):
    refreeze(frozen / "manifest.json", source, tmp_path / "again", progress=False)
    then, now = read_frozen(frozen), read_frozen(tmp_path / "again")
    assert now == then
    assert files(tmp_path / "again") == files(frozen)


def test_made_again_in_another_process_with_other_threads(frozen, source, tmp_path):
    command = [sys.executable, "-m", "vrestore", "freeze", str(frozen), str(source), str(tmp_path / "again")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "3 clips frozen again, bit for bit" in done.stderr
    assert read_frozen(tmp_path / "again")["clips"] == read_frozen(frozen)["clips"]


def test_a_clip_does_not_depend_on_the_others(frozen, source, tmp_path):
    alone = freeze(REAL, source, tmp_path / "a", seed=5, include=["three"], progress=False)
    assert alone["clips"] == [e for e in read_frozen(frozen)["clips"] if e["name"] == "three"]
    other = freeze(REAL, source, tmp_path / "b", seed=6, include=["three"], progress=False)
    assert other["clips"][0]["sha256"] != alone["clips"][0]["sha256"]


def test_folders_of_images_and_first_frames(source, tmp_path):
    manifest = freeze(REAL, source, tmp_path / "png", container="png", max_frames=2, progress=False)
    assert [e["frames"] for e in manifest["clips"]] == [2, 2, 2]
    assert files(tmp_path / "png")[:2] == ["clips/deep/two/00000000.png", "clips/deep/two/00000001.png"]
    check_frozen(tmp_path / "png", progress=False)
    refreeze(tmp_path / "png", source, tmp_path / "again", progress=False)
    benchmark = FrozenBenchmark(tmp_path / "png", hq_root=source)
    assert all(len(sample["hq"]) == len(sample["lq"]) == 2 for sample in benchmark)


def test_clips_of_one_stem_keep_apart(tmp_path):
    for suffix in ("mkv", "avi"):
        write_video(tmp_path / "in" / f"a.{suffix}", moving_texture(2, 16, 16, seed=len(suffix)))
    manifest = freeze(dict(type="Identity"), tmp_path / "in", tmp_path / "out", progress=False)
    assert [e["file"] for e in manifest["clips"]] == ["clips/a.avi.mkv", "clips/a.mkv.mkv"]
    check_frozen(tmp_path / "out", progress=False)


# --- what can be wrong


def test_changed_missing_and_damaged_clips_are_named(source, tmp_path):
    target = tmp_path / "frozen"
    freeze(dict(type="BicubicDown", scale=2), source, target, progress=False)
    check_frozen(target, progress=False)
    frames = read_clip(target / "clips/one.mkv", dtype="uint8")
    frames[2, 1, 3, 4] ^= 1
    write_video(target / "clips/one.mkv", frames.permute(0, 2, 3, 1).numpy())
    (target / "clips/three.mkv").unlink()
    (target / "clips/deep/two.mkv").write_bytes(b"no video")
    with pytest.raises(DataError) as told:
        check_frozen(target, progress=False)
    assert "3 of 3 clips are not as frozen" in str(told.value)
    assert "one (its frames have changed)" in str(told.value)
    assert "three (cannot be read" in str(told.value)


def test_other_clean_frames_are_refused(frozen, source, tmp_path):
    for name, seed in (("one.mkv", 1), ("deep/two.mkv", 9)):
        write_video(
            tmp_path / "in" / name, moving_texture(5 if seed == 1 else 4, 32 + seed // 9, 48, seed=seed), fps=30
        )
    with pytest.raises(DataError, match=r"lacks 1 of the 3 frozen clips: three"):
        refreeze(frozen, tmp_path / "in", tmp_path / "out", progress=False)
    write_folder(tmp_path / "in" / "three", moving_texture(3, 32, 32, seed=3))
    with pytest.raises(DataError, match=r"clean clip deep/two\.mkv is not the one that was frozen"):
        refreeze(frozen, tmp_path / "in", tmp_path / "out", progress=False)
    assert os.listdir(tmp_path) == ["in"]


def test_a_codec_that_codes_differently_is_told_with_the_versions(frozen, source, tmp_path, monkeypatch):
    from vrestore.degradations import video_codec

    recode = video_codec.recode
    monkeypatch.setattr(
        video_codec, "recode", lambda frames, codec, bits, *rest: recode(frames, codec, bits + 9000, *rest)
    )
    monkeypatch.setattr(module, "versions", lambda: {**read_frozen(frozen)["versions"], "ffmpeg": "libavcodec 99.1"})
    with pytest.raises(DataError, match=r"clip deep/two comes out differently.*ffmpeg was lib.*, is libavcodec 99\.1"):
        refreeze(frozen, source, tmp_path / "out", progress=False)
    assert os.listdir(tmp_path) == []


def test_versions_that_are_the_same():
    assert differing_versions({"a": "1"}, {"a": "1"}) == "the versions are the same as then"
    assert differing_versions({"a": "1"}, {"b": "2"}) == "versions differ: a was 1, is absent; b was absent, is 2"


@pytest.mark.parametrize(("text", "told"), [
    (None, "cannot be read"), ("{", "is damaged"), ("[]", "no manifest of format"), ('{"format": "other"}', "'other'"),
    ('{"format": "vrestore-frozen-1", "clips": [{}]}', r"lacks recipe, seed"),
])  # fmt: skip
def test_a_manifest_that_is_none(text, told, tmp_path):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    for read in (check_frozen, FrozenBenchmark):
        with pytest.raises(DataError, match=told):
            read(tmp_path)


def test_wrong_arguments_before_any_work(source, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(DataError, match="exists already"):
        freeze(REAL, source, tmp_path / "full")
    with pytest.raises(DataError, match="does not exist"):
        freeze(REAL, source, tmp_path / "no" / "where")
    with pytest.raises(ConfigError, match="container must be mkv or png, got 'mp4'"):
        freeze(REAL, source, tmp_path / "out", container="mp4")
    with pytest.raises(ConfigError, match="max_frames must be a whole number >= 1, got 0"):
        freeze(REAL, source, tmp_path / "out", max_frames=0)
    with pytest.raises(ConfigError, match="seed must be a whole number >= 0, got -1"):
        freeze(REAL, source, tmp_path / "out", seed=-1)
    with pytest.raises(DataError, match=r"clip three cannot be frozen.*too small for the scale 40"):
        freeze(dict(type="BicubicDown", scale=40), source, tmp_path / "out", include=["three"], progress=False)


# --- interrupted


@DEGRADATIONS.register_module(force=True)
class FailsOnce(Degradation):
    """Fails on the clip of 3 frames as long as a file is there."""

    def __init__(self, file: str):
        self.file = file

    def __call__(self, frames_TCHW, rng):
        if len(frames_TCHW) == 3 and os.path.exists(self.file):
            raise KeyboardInterrupt
        return frames_TCHW.flip(0), {"name": "FailsOnce", "scale": 1}


def test_an_interrupted_run_goes_on(source, tmp_path, monkeypatch):
    recipe = dict(type="FailsOnce", file=str(tmp_path / "fail"))
    (tmp_path / "fail").touch()
    with pytest.raises(KeyboardInterrupt):
        freeze(recipe, source, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    (tmp_path / "fail").unlink()
    made = []
    whole = module._freeze_clip
    monkeypatch.setattr(module, "_freeze_clip", lambda name, *rest: made.append(name) or whole(name, *rest))
    freeze(recipe, source, tmp_path / "out", progress=False)
    assert made == ["three"]
    assert len(check_frozen(tmp_path / "out", progress=False)["clips"]) == 3
    assert os.listdir(tmp_path) == ["out"]


def test_another_recipe_does_not_go_on_where_the_first_stopped(source, tmp_path):
    (tmp_path / "fail").touch()
    with pytest.raises(KeyboardInterrupt):
        freeze(dict(type="FailsOnce", file=str(tmp_path / "fail")), source, tmp_path / "out", progress=False)
    freeze(dict(type="Identity"), source, tmp_path / "out", progress=False)
    assert {e["record"]["name"] for e in check_frozen(tmp_path / "out", progress=False)["clips"]} == {"Identity"}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_a_killed_run_leaves_no_half_folder(source, tmp_path):
    recipe = tmp_path / "recipe.py"
    recipe.write_text("degradation = dict(type='RandomBlur')\n")
    command = [sys.executable, "-m", "vrestore", "freeze", str(recipe), str(source), str(tmp_path / "out")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    journal = tmp_path / ".out.partial" / "journal.jsonl"
    while process.poll() is None and not journal.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    if not (tmp_path / "out").exists():  # it may have been quicker than the kill
        assert main(["freeze", str(recipe), str(source), str(tmp_path / "out")]) == 0
    check_frozen(tmp_path / "out", progress=False)
    assert sorted(os.listdir(tmp_path)) == ["out", "recipe.py"]


# --- the benchmark


def test_a_benchmark_reads_frozen_clips(frozen, source):
    benchmark = DATASETS.build(dict(type="FrozenBenchmark", root=str(frozen), hq_root=str(source)))
    assert benchmark.clips == ["deep/two", "one", "three"]
    assert benchmark.metainfo == {"name": "frozen", "degradation": "real-x2", "scale": 2}
    manifest = read_frozen(frozen)
    for sample, entry in zip(benchmark, manifest["clips"], strict=True):
        assert sample["clip"] == entry["name"]
        assert torch.equal(sample["lq"], read_clip(frozen / entry["file"]))
        assert sample["hq"].shape == (entry["frames"], 3, 2 * entry["height"], 2 * entry["width"])
        clean = read_clip(source / entry["source"])
        assert torch.equal(sample["hq"], clean[..., : sample["hq"].shape[-2], : sample["hq"].shape[-1]])
        assert sample["record"] == {**entry["record"], "given": True}


def test_a_benchmark_without_clean_clips_and_of_a_part(frozen, source):
    benchmark = FrozenBenchmark(frozen, clips=["one"], max_frames=2, crop_to=16)
    (sample,) = benchmark
    assert sample["hq"] is None
    assert sample["lq"].shape == (2, 3, 8, 8)
    with pytest.raises(ConfigError, match=r"holds no clip four; it holds deep/two, one, three"):
        FrozenBenchmark(frozen, clips=["four"])
    with pytest.raises(DataError, match="lacks 3 of the 3"):
        FrozenBenchmark(frozen, hq_root=frozen / "clips" / "deep")


def test_a_benchmark_refuses_frames_that_are_not_those_frozen(source, tmp_path):
    freeze(dict(type="BicubicDown", scale=2), source, tmp_path / "f", include=["three"], progress=False)
    frames = read_clip(tmp_path / "f/clips/three.mkv", dtype="uint8").permute(0, 2, 3, 1).numpy()
    write_video(tmp_path / "f/clips/three.mkv", frames[:, ::-1].copy())
    with pytest.raises(DataError, match="does not hold the frames that were frozen"):
        FrozenBenchmark(tmp_path / "f")[0]
    write_folder(tmp_path / "in" / "three", moving_texture(3, 32, 32, seed=4))
    write_video(tmp_path / "f/clips/three.mkv", frames)
    with pytest.raises(DataError, match="in/three does not hold the frames"):
        FrozenBenchmark(tmp_path / "f", hq_root=tmp_path / "in")[0]


def test_a_recipe_of_drawn_scales_is_no_benchmark(source, tmp_path):
    manifest = freeze(dict(type="SpaceTimeDown"), source, tmp_path / "f", progress=False)
    assert all({"downscale", "key_frames", "noise_level"} <= set(e["record"]) for e in manifest["clips"])
    refreeze(tmp_path / "f", source, tmp_path / "again", progress=False)
    with pytest.raises(ConfigError, match="draws the scale of each clip"):
        FrozenBenchmark(tmp_path / "f")


# --- the command


def told(capsys, *argv, status=0):
    assert main(["freeze", *map(str, argv)]) == status
    return capsys.readouterr().err


def test_the_command(source, tmp_path, capsys):
    recipe = tmp_path / "mine.py"
    recipe.write_text("degradation = dict(type='BicubicDown', scale=2)\n")
    out = tmp_path / "out"
    arguments = (recipe, source, out, "--seed", 3, "--max-frames", 2, "--include", "o*", "--container", "png")
    assert "1 clips frozen by" in told(capsys, *arguments, "--cfg-options", "degradation.scale=4")
    manifest = read_frozen(out)
    assert (manifest["seed"], manifest["max_frames"], manifest["scale"]) == (3, 2, 4)
    assert manifest["clips"][0]["name"] == "one"
    assert "all 1 clips are as they were frozen" in told(capsys, "--check", out)
    assert "again, bit for bit" in told(capsys, out / "manifest.json", source, tmp_path / "again")
    assert "holds its own recipe" in told(capsys, out, source, tmp_path / "third", "--seed", 1, status=2)
    assert "stands alone" in told(capsys, "--check", out, "--seed", 1, status=2)
    assert "needs RECIPE IN OUT" in told(capsys, recipe, source, status=2)
    assert "exists already" in told(capsys, recipe, source, out, status=2)
    told(capsys, recipe, source, tmp_path / "less", "--exclude", "t*", "--exclude", "deep/*")
    assert [e["name"] for e in read_frozen(tmp_path / "less")["clips"]] == ["one"]
    assert "not found" in told(capsys, "no_recipe", source, tmp_path / "x", status=2)
    assert "does not exist" in told(capsys, recipe, tmp_path / "nothing", tmp_path / "x", status=2)
    recipe.write_text("degradation = dict(type='BicubicDown', scale=0)\n")
    assert "scale must be a finite number >= 1, got 0" in told(capsys, recipe, source, tmp_path / "x", status=2)
    recipe.write_text("model = dict(type='X')\n")
    assert "is no recipe: it needs degradation=dict" in told(capsys, recipe, source, tmp_path / "x", status=2)


def test_the_training_data_of_a_config_is_a_recipe(source, tmp_path, capsys):
    config = ROOT / "configs/basicvsr/basicvsr_small_x4.py"
    told(capsys, config, source, tmp_path / "out", "--include", "one.mkv")
    assert read_frozen(tmp_path / "out")["protocol"] == "BIx4"


def test_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["freeze", "--help"])
    shown = capsys.readouterr().out
    for part in ("manifest.json", "--check", "FrozenBenchmark", "configs/degradations", "SHA-256"):
        assert part in shown
