import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from vrestore.engine.checkpoint import (
    check_fits,
    checkpoints_in,
    find_last_checkpoint,
    from_plain,
    load_checkpoint,
    point_to,
    save_checkpoint,
    to_plain,
)
from vrestore.errors import TrainingError, WeightsError


class Evil:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_state_of_a_run_survives_the_safe_loader(tmp_path):
    history = HistoryBuffer([1.0, 2.5], [1, 1])
    state = {
        "state_dict": {"w": torch.arange(3.0)},
        "meta": {"version": torch.__version__, "lr": np.float64(0.1), "at": Path("a/b"), "shape": (1, 2)},
        "message_hub": {"log_scalars": {"train/loss": history}, "array": np.arange(2)},
    }
    loaded = load_checkpoint(save_checkpoint(state, tmp_path / "iter_1.pth"))
    assert torch.equal(loaded["state_dict"]["w"], torch.arange(3.0))
    assert loaded["meta"] == {"version": str(torch.__version__), "lr": 0.1, "at": "a/b", "shape": (1, 2)}
    restored = loaded["message_hub"]["log_scalars"]["train/loss"]
    assert isinstance(restored, HistoryBuffer)
    assert [values.tolist() for values in restored.data] == [[1.0, 2.5], [1.0, 1.0]]
    assert loaded["message_hub"]["array"].tolist() == [0, 1]


def test_only_the_recent_history_is_kept():
    kept = from_plain(to_plain(HistoryBuffer(list(range(5000)), [1] * 5000)))
    assert kept.data[0].tolist() == list(range(4000, 5000))


def test_other_objects_are_not_saved():
    with pytest.raises(TrainingError, match="tensors and plain data only, not Evil"):
        to_plain({"a": [Evil()]})


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "evil": Evil()}, "iter_1.pth")
    with pytest.raises(WeightsError, match="more than tensors and plain data"):
        load_checkpoint("iter_1.pth")
    assert not Path("harmed").exists()


def test_damaged_files_are_told_apart_from_good_ones(tmp_path):
    good = save_checkpoint({"state_dict": {"w": torch.zeros(1000)}}, tmp_path / "iter_1.pth").read_bytes()
    cases = {"text": b"hello", "truncated": good[: len(good) // 2]}
    for name, content in cases.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"{name}.pth is damaged"):
            load_checkpoint(path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no training checkpoint: it has no 'state_dict'"):
        load_checkpoint(tmp_path / "list.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(WeightsError, match=r"empty\.pth are an empty file"):
        load_checkpoint(tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match=r"missing\.pth do not exist"):
        load_checkpoint(tmp_path / "missing.pth")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_never_written(tmp_path, bad):
    with pytest.raises(TrainingError, match=r"'w' holds NaN or infinity, so no checkpoint iter_1\.pth was written"):
        save_checkpoint({"state_dict": {"w": torch.tensor([1.0, bad])}}, tmp_path / "iter_1.pth")
    assert not list(tmp_path.iterdir())


def test_last_checkpoint_is_the_pointed_one_else_the_newest(tmp_path):
    assert find_last_checkpoint(tmp_path) is None
    for number in (2, 10, 9):
        (tmp_path / f"iter_{number}.pth").write_text("")
    (tmp_path / "iter_best.pth").write_text("")
    assert checkpoints_in(tmp_path) == [2, 9, 10]
    assert find_last_checkpoint(tmp_path).name == "iter_10.pth"
    point_to(tmp_path / "iter_9.pth")
    assert find_last_checkpoint(tmp_path).name == "iter_9.pth"
    (tmp_path / "iter_9.pth").unlink()
    assert find_last_checkpoint(tmp_path).name == "iter_10.pth"


def test_weights_of_another_model_are_described():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    check_fits(model.state_dict(), model, "a.pth")
    state = {
        "0.weight": torch.zeros(5, 2),
        "0.bias": torch.zeros(3),
        "1.weight": torch.zeros(1, 3),
        "x": torch.zeros(1),
    }
    with pytest.raises(WeightsError) as error:
        check_fits(state, model, "a.pth")
    assert str(error.value) == (
        "a.pth holds the weights of another model than the config's Sequential: 2 of 4 names match; "
        "1 missing (1.bias); 1 left over (x); 1 of another shape (0.weight: (5, 2) instead of (3, 2))"
    )
