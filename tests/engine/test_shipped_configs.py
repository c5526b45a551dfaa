"""Every training that ships makes its first steps at tiny size; new configs join by being there."""

import warnings

import numpy as np
import pytest
import torch

from tests.engine.parts import read_log
from tests.engine.shipped import CONFIGS, WatchWeights, at_tiny_size, make_clips, recipes, training_configs
from vrestore.config import find_recipe, load_config
from vrestore.engine.checks import check_training_config
from vrestore.engine.train import prepare_config, train
from vrestore.registry import DEGRADATIONS

pytest.importorskip("torchsde")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"))


def first_steps(cfg: dict, work_dir) -> dict[str, tuple[bool, bool]]:
    """Train for two steps; by parameter, whether it was to train and whether it changed."""
    cfg["custom_hooks"] = [*cfg.get("custom_hooks", []), {"type": "WatchWeights"}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that warns of something would do so a hundred thousand times
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        train(cfg, work_dir=work_dir)
    rows = [row for row in read_log(work_dir) if row["mode"] == "train"]
    assert [row["iter"] for row in rows] == [1, 2]
    assert all(np.isfinite(row["loss"]) and row["grad_norm"] > 0 for row in rows)
    assert (work_dir / "weights.safetensors").is_file()
    return WatchWeights.results.pop(str(work_dir))


@pytest.mark.parametrize("name", training_configs())
def test_first_steps_of_every_shipped_training(tmp_path, clips, name):
    check_training_config(prepare_config(load_config(CONFIGS / name)))  # at its full size
    watched = first_steps(at_tiny_size(name, clips, tmp_path / "starts"), tmp_path / "run")
    wrongly = [n for n, (trains, changed) in watched.items() if changed and not trains]
    assert not wrongly, f"these are frozen and changed: {wrongly[:5]}"
    trained = [changed for trains, changed in watched.values() if trains]
    # Networks begin with zeros at several places, and a gradient gets past one more at every step.
    assert sum(trained) >= 0.1 * len(trained)


@pytest.mark.parametrize("name", recipes())
def test_first_steps_on_every_shipped_recipe(tmp_path, clips, name):
    recipe = find_recipe(load_config(CONFIGS / name), name)
    drawn = DEGRADATIONS.build(dict(recipe)).draws_size
    base = "venhancer/venhancer_tiny_train.py" if drawn else "basicvsr/basicvsr_small_x4.py"
    cfg = at_tiny_size(base, clips, tmp_path / "starts")
    cfg["train_dataloader"]["dataset"].update(degradation=recipe, transforms=[] if drawn else [{"type": "UnsharpMask"}])
    watched = first_steps(cfg, tmp_path / "run")
    assert any(changed for trains, changed in watched.values() if trains)


def test_the_list_is_not_empty():
    names = training_configs()
    assert {"basicvsr/basicvsr_small_x4.py", "real_basicvsr/real_basicvsr_wogan.py"} <= set(names)
    assert {"venhancer/venhancer_tiny_train.py", "venhancer/venhancer_train_720p.py"} <= set(names)
    assert len(recipes()) >= 4
    assert torch.get_default_dtype() == torch.float32
