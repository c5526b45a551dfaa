import pytest
import torch
from torch import nn

from vrestore.engine.optim import AutocastOptimWrapper, NonFiniteError, check_precision
from vrestore.errors import ConfigError
from vrestore.registry import OPTIM_WRAPPERS


def wrapper(**changes):
    parameter = nn.Parameter(torch.tensor([1.0, 2.0]))
    return parameter, AutocastOptimWrapper(torch.optim.SGD([parameter], lr=1.0), **changes)


def test_both_names_mean_it():
    assert OPTIM_WRAPPERS.get("OptimWrapper") is OPTIM_WRAPPERS.get("AutocastOptimWrapper") is AutocastOptimWrapper


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        (None, [-2.0, -2.0]),
        ({"max_norm": 1.0}, [1 - 0.6, 2 - 0.8]),
        ({"max_norm": 100.0}, [-2.0, -2.0]),
        ({"type": "value", "clip_value": 3.5}, [-2.0, -1.5]),
    ],
)
def test_clipping(clip, expected):
    parameter, optim = wrapper(clip_grad=clip)
    optim.update_params((parameter * torch.tensor([3.0, 4.0])).sum())
    assert parameter.tolist() == pytest.approx(expected, abs=1e-5)
    assert optim.message_hub.get_scalar("train/grad_norm").current() == pytest.approx(5.0)


def test_accumulation_averages_and_steps_once():
    parameter, optim = wrapper(accumulative_counts=2)
    optim.update_params((2 * parameter).sum())
    assert (parameter.tolist(), optim.stepped) == ([1.0, 2.0], False)
    optim.update_params((4 * parameter).sum())
    assert (parameter.tolist(), optim.stepped) == ([-2.0, -1.0], True)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_no_step_on_a_bad_loss(factor):
    parameter, optim = wrapper(accumulative_counts=2)
    optim.update_params(parameter.sum() * factor)  # noticed, but raised where every process is at the same point
    with pytest.raises(NonFiniteError) as error:
        optim.update_params(parameter.sum())
    assert error.value.losses_finite == [False, True]
    assert parameter.tolist() == [1.0, 2.0]


def test_no_step_on_a_bad_gradient_of_a_good_loss():
    parameter, optim = wrapper()
    with pytest.raises(NonFiniteError) as error:
        optim.update_params((parameter - torch.tensor([1.0, 1.0])).sqrt().sum())  # infinite slope at 0
    assert error.value.losses_finite == [True]
    assert parameter.tolist() == [1.0, 2.0]


def test_frozen_parameters_take_no_part():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optim = AutocastOptimWrapper(torch.optim.AdamW([a, b], lr=0.1, weight_decay=0.5), clip_grad={"max_norm": 1e9})
    optim.frozen = [b]
    optim.update_params((3 * a + 4 * b).sum())
    assert (a.item() != 1.0, b.item()) == (True, 1.0)
    assert optim.message_hub.get_scalar("train/grad_norm").current() == pytest.approx(3.0)
    optim.frozen = []
    optim.update_params((3 * a + 4 * b).sum())
    assert b.item() != 1.0


def test_bf16_computes_in_bf16_and_keeps_fp32_weights():
    model = nn.Linear(3, 2)
    optim = AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), precision="bf16")
    with optim.optim_context(model):
        out = model(torch.ones(1, 3))
    optim.update_params(out.float().sum())
    assert out.dtype is torch.bfloat16
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    plain = AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with plain.optim_context(model):
        assert model(torch.ones(1, 3)).dtype is torch.float32


def test_precision_is_checked():
    for precision, device in [("fp32", "cpu"), ("bf16", "cpu"), ("bf16", "cuda"), ("fp16", "cuda")]:
        check_precision(precision, device)
    with pytest.raises(ConfigError, match="fp16 training needs a CUDA device, and this runs on cpu"):
        wrapper(precision="fp16")
    with pytest.raises(ConfigError, match="precision must be one of fp32, bf16, fp16"):
        wrapper(precision="half")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fp16_leaves_out_overflowing_steps_and_goes_on():
    parameter = nn.Parameter(torch.ones(2, device="cuda"))
    optim = AutocastOptimWrapper(torch.optim.SGD([parameter], lr=0.1), precision="fp16", clip_grad={"max_norm": 1.0})
    scale = optim.scaler.get_scale()
    optim.update_params(parameter.sum() * float("inf"))
    assert (parameter.tolist(), optim.stepped, optim.scaler.get_scale()) == ([1.0, 1.0], False, scale / 2)
    optim.update_params(parameter.sum())
    assert optim.stepped
    other = AutocastOptimWrapper(torch.optim.SGD([parameter], lr=0.1), precision="fp16")
    other.load_state_dict(optim.state_dict())
    assert other.scaler.get_scale() == scale / 2
