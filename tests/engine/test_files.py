import os

import pytest

from vrestore.engine.files import remove_leftovers, write_text, write_whole
from vrestore.errors import TrainingError


def test_write_replaces_whole_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b.txt"
    assert write_text(path, "one") == path
    write_text(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def half(file):
        file.write(b"ne")
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write_whole(path, half)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_full_disk_is_told_in_a_sentence(tmp_path, monkeypatch):
    path = write_text(tmp_path / "a.txt", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"could not write .*a\.txt: No space left on device; nothing was left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"Not a directory|File exists"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_leftovers_of_other_processes_are_removed(tmp_path):
    for name in (".iter_3.pth.77.tmp", ".log.jsonl.77.tmp", "iter_3.pth"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path, "*.pth")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".log.jsonl.77.tmp", "iter_3.pth"]
