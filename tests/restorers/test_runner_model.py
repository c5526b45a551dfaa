"""RunnerModel: what MMEngine's BaseModel computes, without its imports."""

from collections import namedtuple

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn

import vrestore.engine  # noqa: F401  (registers RunnerModel with BaseModel)
from vrestore.restorers import BaseRestorer
from vrestore.restorers.runner_model import DataPreprocessor, RunnerModel

Pair = namedtuple("Pair", "lq hq")


def model_of(base: type) -> nn.Module:
    class Line(base):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.net = nn.Linear(3, 2)

        def forward(self, x, y=None, mode="tensor"):
            if mode == "loss":
                error = self.net(x) - y
                return {"loss_a": error.square(), "b_loss": [error.abs(), error.abs() * 2], "share": error.abs()}
            return [self.net(x)]

    torch.manual_seed(0)
    return Line()


def test_restorers_are_models_of_mmengine_where_models_are_trained():
    assert issubclass(BaseRestorer, BaseModel)
    assert isinstance(model_of(RunnerModel), BaseModel)


@pytest.mark.parametrize("as_dict", [True, False])
def test_steps_compute_what_base_model_computes(as_dict):
    x, y = torch.rand(4, 3), torch.rand(4, 2)
    batch = {"x": x, "y": y} if as_dict else [x, y]
    found = []
    for base in (RunnerModel, BaseModel):
        model = model_of(base)
        logged = model.train_step(batch, OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)))
        found.append((logged, model.val_step(batch)[0], model.test_step(batch)[0], model.net.weight))
    (logged, *ours), (expected, *theirs) = found
    assert list(logged) == list(expected) == ["loss", "loss_a", "b_loss", "share"]
    assert all(torch.equal(logged[name], expected[name]) for name in expected)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_loss_that_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="loss 'l1' must be a tensor or a list of tensors, got float"):
        model_of(RunnerModel).parse_losses({"l1": 0.5})


def test_preprocessor_moves_nested_tensors_to_the_device_of_the_model():
    model = nn.Sequential(model_of(RunnerModel)).to("meta")[0]
    assert model.data_preprocessor.device.type == "meta"
    moved = model.data_preprocessor({"a": [torch.zeros(1)], "b": Pair(torch.zeros(1), "name"), "c": None})
    assert moved["a"][0].is_meta
    assert moved["b"].lq.is_meta
    assert isinstance(moved["b"], Pair)
    assert moved["b"].hq == "name"
    assert moved["c"] is None
    assert not list(model.data_preprocessor.state_dict())


def test_preprocessors_of_mmengine_can_be_named():
    from mmengine.model import BaseDataPreprocessor

    model = RunnerModel(data_preprocessor={"type": "BaseDataPreprocessor"})
    assert isinstance(model.data_preprocessor, BaseDataPreprocessor)
    assert model.to("meta").data_preprocessor.device.type == "meta"
    own = DataPreprocessor()
    assert RunnerModel(data_preprocessor=own).data_preprocessor is own
    with pytest.raises(TypeError, match=r"data_preprocessor must be a dict or an nn\.Module, got str"):
        RunnerModel(data_preprocessor="BaseDataPreprocessor")


def test_init_cfg_initialises_the_weights_once():
    model = model_of(RunnerModel)
    model.init_cfg = {"type": "Constant", "val": 0.25, "bias": 1, "layer": "Linear"}
    model.init_weights()
    assert torch.equal(model.net.weight, torch.full((2, 3), 0.25))
    assert torch.equal(model.net.bias, torch.ones(2))
    nn.init.zeros_(model.net.bias)
    model.init_weights()
    assert not model.net.bias.any()
