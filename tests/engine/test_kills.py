"""kill -9 at any moment: the resumed run is bitwise one that was never killed, and nothing half-written is left."""

import fnmatch
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from tests.engine.parts import assert_same_run, clip_dataset, read_log, tiny_config, with_hook
from vrestore.engine.checkpoint import load_checkpoint, load_last_checkpoint
from vrestore.engine.train import train
from vrestore.errors import WeightsError

WATCHED = {"open": 0, "os.rename": 1, "os.remove": 0}  # what touches files, and which argument is the file's new name

MOMENTS = {
    "log line begun": ("open log.jsonl", 9),
    "checkpoint begun": ("open .iter_8.pth.*.tmp", 1),
    "checkpoint written, not named": ("os.rename iter_8.pth", 1),
    "checkpoint named, not pointed to": ("open .last_checkpoint.*.tmp", 2),
    "pointer written, not named": ("os.rename last_checkpoint", 2),
    "pointed to, the old one still there": ("os.remove iter_4.pth", 1),
    "picture begun, the average swapped in": ("open samples/iter_000008/.clip_0.png.*.tmp", 1),
    "picture written, not named": ("os.rename samples/iter_000008/clip_1.png", 1),
    "best begun": ("open .best_TinyError_iter_8.pth.*.tmp", 1),
    "best written, not named": ("os.rename best_TinyError_iter_8.pth", 1),
    "better named, the old one still there": ("os.remove best_TinyError_iter_4.pth", 1),
    "weights written, not named": ("os.rename weights.safetensors", 1),
}


def train_and_die(config: dict, work_dir: Path, moment: str = "", nth: int = 1, half: str = "") -> list[str]:
    """Train in a process that is killed at the nth `moment`, "<event> <file in the work dir>", or half through a file.

    Returns:
        Every moment of the run until then, where it was not killed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _run_watched(config, str(work_dir.resolve()), moment, nth, half, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as file:
        if moment or half:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "the moment never came"
            return []
        moments = file.read().splitlines()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return moments


def _run_watched(config: dict, folder: str, moment: str, nth: int, half: str, pipe: int) -> None:
    torch.set_num_threads(1)
    seen: list[str] = []

    def listen(event: str, arguments: tuple) -> None:
        if event not in WATCHED or not isinstance(arguments[WATCHED[event]], str | os.PathLike):
            return
        path = os.path.abspath(os.fspath(arguments[WATCHED[event]]))
        if not path.startswith(folder + os.sep):
            return
        seen.append(f"{event} {os.path.relpath(path, folder)}")
        if moment and sum(fnmatch.fnmatch(s, moment) for s in seen) == nth and fnmatch.fnmatch(seen[-1], moment):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(listen)
    save = torch.save

    def save_half(data, file) -> None:
        if half not in str(getattr(file, "name", "")):
            return save(data, file)
        save(data, file)
        file.truncate(file.tell() // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    if half:
        torch.save = save_half
    train(config, work_dir=folder)
    os.write(pipe, "\n".join(seen).encode())
    os._exit(0)


def assert_resumes(config: dict, whole: Path, cut: Path, last: str = "iter_12.pth") -> None:
    train(config, work_dir=cut, resume=True)
    assert_same_run(whole, cut, last=last)
    lines = [(row["mode"], row["iter"]) for row in read_log(cut)]
    assert len(lines) == len(set(lines))
    assert not [p for p in cut.rglob(".*") if p.name.endswith(".tmp")]
    assert len(list(cut.glob("best_*.pth"))) == len(list(whole.glob("best_*.pth")))
    assert {p.relative_to(cut) for p in cut.rglob("*.png")} == {p.relative_to(whole) for p in whole.rglob("*.png")}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """As the forked processes, whose sums would else be rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(tiny_config(), work_dir=folder)
    return folder


OFTEN = ("log line begun", "checkpoint written, not named", "checkpoint named, not pointed to")
OFTEN += ("picture begun, the average swapped in", "better named, the old one still there")
SELDOM = [pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS if moment not in OFTEN]


@pytest.mark.parametrize("moment", [*OFTEN, *SELDOM])
def test_killed_between_two_files(tmp_path, whole, moment):
    train_and_die(tiny_config(), tmp_path / "cut", *MOMENTS[moment])
    assert_resumes(tiny_config(), whole, tmp_path / "cut")


@pytest.mark.parametrize("name", [".iter_8.pth", ".best_TinyError_iter_8.pth"])
def test_killed_half_through_a_file(tmp_path, whole, name):
    train_and_die(tiny_config(), tmp_path / "cut", half=name)
    (torn,) = (tmp_path / "cut").glob(f"{name}.*.tmp")
    with pytest.raises(WeightsError, match="is damaged"):
        load_checkpoint(torn)
    assert_resumes(tiny_config(), whole, tmp_path / "cut")


def test_killed_twice_before_anything_better_was_saved(tmp_path):
    changes = {"default_hooks.checkpoint.interval": 6}  # validations and checkpoints at unlike iterations
    config = tiny_config(**changes)
    train(config, work_dir=tmp_path / "whole")
    train_and_die(config, tmp_path / "cut", "open log.jsonl", 12)  # after a better one was found at 8
    assert [p.name for p in (tmp_path / "cut").glob("best_*.pth")] == ["best_TinyError_iter_8.pth"]
    train_and_die({**config, "resume": True}, tmp_path / "cut", "open .iter_12.pth.*")
    assert_resumes(config, tmp_path / "whole", tmp_path / "cut")


def test_killed_with_workers_and_a_gradient_that_accumulates(tmp_path):
    changes = {
        "optim_wrapper.accumulative_counts": 2,
        "default_hooks.checkpoint.interval": 4,
        "train_dataloader": {"batch_size": 2, "num_workers": 2, "dataset": clip_dataset(tmp_path / "clips")},
    }
    config = tiny_config(**changes)
    train(config, work_dir=tmp_path / "whole")
    train_and_die(config, tmp_path / "cut", "open log.jsonl", 7)
    assert_resumes(config, tmp_path / "whole", tmp_path / "cut")


def test_killed_while_the_average_of_what_trains_is_validated(tmp_path):
    config = tiny_config(custom_hooks=[{"type": "TrainedEMAHook", "momentum": 0.1}, {"type": "SampleImageHook"}])
    train(config, work_dir=tmp_path / "whole")
    train_and_die(config, tmp_path / "cut", "open samples/iter_000008/.clip_0.png.*.tmp")
    assert_resumes(config, tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
def test_killed_at_every_moment(tmp_path, whole):
    moments = train_and_die(tiny_config(), tmp_path / "all")
    own = [(f"*{m.rpartition('.')[0]}*" if m.endswith(".tmp") else m) for m in moments]
    moments = [(_without_process(m), own[: i + 1]) for i, m in enumerate(moments) if not m.split()[1][0].isdigit()]
    for i, (moment, before) in enumerate(moments):
        nth = sum(fnmatch.fnmatch(_without_process(m), moment) for m in before)
        train_and_die(tiny_config(), tmp_path / str(i), moment, max(nth, 1))
        assert_resumes(tiny_config(), whole, tmp_path / str(i))


def _without_process(moment: str) -> str:
    parts = moment.split(".")
    return ".".join([*parts[:-2], "*", "tmp"]) if parts[-1] == "tmp" else moment


def test_pointer_to_a_file_that_is_gone_or_torn(tmp_path, whole):
    config = tiny_config()
    train_and_die(config, tmp_path / "cut", "open log.jsonl", 10)
    cut = tmp_path / "cut"
    assert sorted(p.name for p in cut.glob("iter_*.pth")) == ["iter_4.pth", "iter_8.pth"]
    (cut / "last_checkpoint").write_bytes(b"iter_\xff")  # torn itself
    content = (cut / "iter_8.pth").read_bytes()
    (cut / "iter_8.pth").write_bytes(content[: len(content) // 2])
    path, checkpoint, damaged = load_last_checkpoint(cut)
    assert (path.name, checkpoint["meta"]["iter"], len(damaged)) == ("iter_4.pth", 4, 1)
    assert "iter_8.pth is damaged" in damaged[0]
    assert_resumes(config, whole, cut)


def test_nothing_but_torn_checkpoints_is_not_a_new_beginning(tmp_path):
    train(tiny_config(**{"train_cfg.max_iters": 4}), work_dir=tmp_path)
    (tmp_path / "iter_4.pth").write_bytes(b"PK\x03\x04 torn")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(WeightsError, match=r"has no whole checkpoint to resume: .*iter_4\.pth is damaged"):
        train(tiny_config(), work_dir=tmp_path, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_killed_while_a_signal_makes_it_stop(tmp_path, whole):
    config = with_hook(tiny_config(), type="EndAt", at=6, how="SIGTERM")
    train_and_die(config, tmp_path / "cut", "os.rename iter_7.pth")
    assert_resumes(tiny_config(), whole, tmp_path / "cut")
