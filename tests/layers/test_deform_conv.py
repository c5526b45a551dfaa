"""modulated_deform_conv2d against a plain loop, its gradients, its paths, and the precision of its positions."""

import importlib.util
import math

import pytest
import torch
import torch.nn.functional as F

from tests.paths import SHARED_PARITY
from vrestore.errors import ConfigError
from vrestore.layers import deform_conv
from vrestore.layers.deform_conv import PATHS, VARIABLE, deform_conv_path, modulated_deform_conv2d

# channels in and out, height, width, kernel, stride, padding, dilation, groups, deform groups
CASES = {
    "plain": (4, 6, 7, 9, (3, 3), 1, 1, 1, 1, 1),
    "deform groups": (8, 4, 6, 5, (3, 3), 1, 1, 1, 1, 4),
    "groups": (8, 4, 6, 5, (3, 3), 1, 1, 1, 2, 1),
    "both groups": (12, 6, 5, 5, (3, 3), 1, 1, 1, 3, 2),
    "stride and dilation": (4, 4, 11, 13, (3, 3), (2, 3), (2, 1), (2, 1), 1, 2),
    "odd kernel": (2, 3, 6, 7, (1, 5), 1, (0, 2), 1, 1, 1),
    "even kernel": (2, 3, 6, 7, (2, 2), 2, 0, 1, 1, 2),
    "one pixel": (2, 2, 1, 1, (3, 3), 1, 1, 1, 1, 1),
    "a line": (2, 2, 1, 8, (3, 3), 1, 1, 1, 1, 2),
}
PACKAGES = [
    pytest.param(
        path,
        marks=pytest.mark.skipif(
            deform_conv._obstacle(path, "cpu") is not None, reason=f"{path} has no compiled operators here"
        ),
    )
    for path in PATHS
    if path not in ("auto", "torch")
]


def make(case, batch=2, spread=2.0, dtype=torch.float64):
    c, o, h, w, kernel, stride, padding, dilation, groups, deform_groups = CASES[case]
    geometry = [deform_conv._pair(value) for value in (stride, padding, dilation)]
    ho, wo = (
        ((h, w)[i] + 2 * geometry[1][i] - geometry[2][i] * (kernel[i] - 1) - 1) // geometry[0][i] + 1 for i in range(2)
    )
    samples = deform_groups * math.prod(kernel)
    tensors = (
        torch.randn(batch, c, h, w, dtype=dtype),
        torch.randn(batch, 2 * samples, ho, wo, dtype=dtype) * spread,
        torch.rand(batch, samples, ho, wo, dtype=dtype),
        torch.randn(o, c // groups, *kernel, dtype=dtype),
        torch.randn(o, dtype=dtype),
    )
    return tensors, dict(zip(("stride", "padding", "dilation"), geometry, strict=True)) | dict(
        groups=groups, deform_groups=deform_groups
    )


def loop(x, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups):
    """The definition, number by number."""
    (b, c, h, w), (o, _, kh, kw), (ho, wo) = x.shape, weight.shape, offset.shape[-2:]
    out = torch.zeros(b, o, ho, wo, dtype=x.dtype)

    def pixel(image, y, x_):
        return image[y, x_].item() if 0 <= y < h and 0 <= x_ < w else 0.0

    def sample(image, y, x_):
        top, left = math.floor(y), math.floor(x_)
        fy, fx = y - top, x_ - left
        upper = pixel(image, top, left) * (1 - fx) + pixel(image, top, left + 1) * fx
        lower = pixel(image, top + 1, left) * (1 - fx) + pixel(image, top + 1, left + 1) * fx
        return upper * (1 - fy) + lower * fy

    for n in range(b):
        for y in range(ho):
            for x_ in range(wo):
                for channel in range(c):
                    group, first = channel // (c // groups), channel // (c // deform_groups) * kh * kw
                    for tap in range(kh * kw):
                        dy, dx = (offset[n, 2 * (first + tap) + i, y, x_].item() for i in range(2))
                        value = sample(
                            x[n, channel],
                            y * stride[0] - padding[0] + tap // kw * dilation[0] + dy,
                            x_ * stride[1] - padding[1] + tap % kw * dilation[1] + dx,
                        )
                        value *= 1.0 if mask is None else mask[n, first + tap, y, x_].item()
                        outs = slice(group * (o // groups), (group + 1) * (o // groups))
                        out[n, outs, y, x_] += weight[outs, channel % (c // groups), tap // kw, tap % kw] * value
    return out if bias is None else out + bias.view(1, -1, 1, 1)


@pytest.mark.parametrize("case", CASES)
def test_equals_the_definition(case):
    (x, offset, mask, weight, bias), options = make(case)
    expected = loop(x, offset, mask, weight, bias, **options)
    torch.testing.assert_close(modulated_deform_conv2d(x, offset, mask, weight, bias, **options), expected)
    single = modulated_deform_conv2d(*(t.float() for t in (x, offset, mask, weight, bias)), **options)
    torch.testing.assert_close(single, expected.float(), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("case", ["plain", "both groups"])
def test_without_mask_and_bias(case):
    (x, offset, _, weight, _), options = make(case)
    expected = loop(x, offset, None, weight, None, **options)
    torch.testing.assert_close(modulated_deform_conv2d(x, offset, None, weight, **options), expected)


@pytest.mark.parametrize("case", ["groups", "stride and dilation", "even kernel"])
def test_without_offsets_it_is_a_convolution(case):
    (x, offset, mask, weight, bias), options = make(case)
    out = modulated_deform_conv2d(x, offset * 0, mask * 0 + 1, weight, bias, **options)
    plain = F.conv2d(x, weight, bias, **{k: v for k, v in options.items() if k != "deform_groups"})
    torch.testing.assert_close(out, plain)


@pytest.mark.parametrize("far", [1e3, 1e8, 1e30, math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_far_outside_are_zero(far, dtype):
    (x, offset, mask, weight, bias), options = make("deform groups", dtype=dtype)
    offset = torch.where(offset > 0, far, -far).to(dtype)
    out = modulated_deform_conv2d(x, offset, mask, weight, bias, **options)
    torch.testing.assert_close(out, bias.view(1, -1, 1, 1).expand_as(out))


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    (x, offset, mask, weight, bias), options = make(case, batch=1)
    offset = offset.round() + 0.1 + 0.8 * torch.rand_like(offset)  # the slope jumps at whole pixels
    tensors = [t.requires_grad_() for t in (x, offset, mask, weight, bias)]
    assert torch.autograd.gradcheck(
        lambda *t: modulated_deform_conv2d(*t, **options), tensors, fast_mode=case not in ("plain", "one pixel")
    )


def test_chunks_of_rows_change_nothing(monkeypatch):
    (x, offset, mask, weight, bias), options = make("stride and dilation")
    tensors = [t.requires_grad_() for t in (x, offset, mask, weight, bias)]

    def run():
        out = modulated_deform_conv2d(*tensors, **options)
        return out, *torch.autograd.grad(out.square().sum(), tensors)

    whole = run()
    monkeypatch.setattr(deform_conv, "COLUMN_BYTES", 1)
    monkeypatch.setattr(deform_conv, "CACHED_BYTES", 1)
    for a, b in zip(whole, run(), strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(modulated_deform_conv2d(*tensors, **options), whole[0])


@pytest.mark.skipif(not SHARED_PARITY.is_dir(), reason="the other implementation lies in ../shared/parity")
@pytest.mark.parametrize("case", CASES)
def test_equals_another_implementation_with_its_gradients(case):
    spec = importlib.util.spec_from_file_location("reference", SHARED_PARITY / "baselines" / "deform_conv_ref.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    tensors, options = make(case)
    tensors = [t.requires_grad_() for t in tensors]
    theirs = {k: v for k, v in options.items() if k != "deform_groups"} | {"dg": options["deform_groups"]}
    one, two = modulated_deform_conv2d(*tensors, **options), reference.deform_conv2d_ref(*tensors, **theirs)
    torch.testing.assert_close(one, two)
    weights = torch.randn_like(one)
    for a, b in zip(*(torch.autograd.grad((out * weights).sum(), tensors) for out in (one, two)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("path", PACKAGES)
@pytest.mark.parametrize("case", CASES)
def test_other_packages_agree(path, case):
    tensors, options = make(case, dtype=torch.float32)
    tensors = [t.requires_grad_() for t in tensors]
    results = []
    for name in (path, "torch"):
        with deform_conv_path(name):
            out = modulated_deform_conv2d(*tensors, **options)
        results.append((out, *torch.autograd.grad(out.square().sum(), tensors)))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("path", ["torch", "auto"])
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_agrees(path, case):
    tensors, options = make(case, dtype=torch.float32)
    results = []
    for device, name in (("cpu", "torch"), ("cuda", path)):
        moved = [t.to(device).requires_grad_() for t in tensors]
        with deform_conv_path(name):
            out = modulated_deform_conv2d(*moved, **options)
        results.append([t.cpu() for t in (out, *torch.autograd.grad(out.square().sum(), moved))])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-2, rtol=1e-3)


def test_half_precision_keeps_exact_positions():
    x = torch.zeros(1, 1, 4, 2000)
    x[..., 1500] = 1.0
    offset = torch.zeros(1, 2, 4, 2000)
    offset[:, 1] = 0.25
    weight = torch.ones(1, 1, 1, 1)
    exact = modulated_deform_conv2d(x, offset, None, weight)
    for dtype in (torch.bfloat16, torch.float16):
        out = modulated_deform_conv2d(*(t.to(dtype) for t in (x, offset)), None, weight.to(dtype))
        assert out.dtype == dtype
        torch.testing.assert_close(out.float(), exact, atol=1e-3, rtol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        out = modulated_deform_conv2d(x, offset, None, weight)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), exact, atol=1e-3, rtol=1e-3)


def test_autocast_keeps_float64():
    tensors, options = make("plain")
    exact = modulated_deform_conv2d(*tensors, **options)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(modulated_deform_conv2d(*tensors, **options), exact)


class TestPath:
    def test_an_unknown_one_is_named(self, monkeypatch):
        tensors, options = make("plain")
        with pytest.raises(ConfigError, match=r"'cudnn'.*auto, torch, torchvision, mmcv"), deform_conv_path("cudnn"):
            pass
        monkeypatch.setenv(VARIABLE, "cudnn")
        with pytest.raises(ConfigError, match=rf"{VARIABLE} names 'cudnn'"):
            modulated_deform_conv2d(*tensors, **options)

    @pytest.mark.parametrize("path", ["torchvision", "mmcv"])
    def test_one_that_does_not_work_is_refused(self, path, monkeypatch):
        tensors, options = make("plain")
        monkeypatch.setattr(deform_conv, "_obstacle", lambda path, device: "ImportError: not there")
        refused = pytest.raises(ConfigError, match=rf"'{path}'.*not there.*take 'torch'")
        with deform_conv_path(path), refused:
            modulated_deform_conv2d(*tensors, **options)

    def test_doubles_are_kept_from_mmcv_on_a_cpu(self, monkeypatch):
        monkeypatch.setattr(deform_conv, "_obstacle", lambda path, device: None)
        with deform_conv_path("mmcv"), pytest.raises(ConfigError, match="float64 positions in float32"):
            deform_conv.chosen_path(torch.zeros(1, dtype=torch.float64))

    def test_the_nearer_word_wins(self, monkeypatch):
        monkeypatch.setattr(deform_conv, "_obstacle", lambda path, device: None)
        x = torch.zeros(1)
        assert deform_conv.chosen_path(x) == "torch"
        monkeypatch.setenv(VARIABLE, "torchvision")
        assert deform_conv.chosen_path(x) == "torchvision"
        with deform_conv_path("mmcv"):
            assert deform_conv.chosen_path(x) == "mmcv"
            with deform_conv_path("auto"):
                assert deform_conv.chosen_path(x) == "torch"
        assert deform_conv.chosen_path(x) == "torchvision"

    def test_a_gpu_takes_what_works(self, monkeypatch):
        class OnGpu:
            device = torch.device("cuda")
            dtype = torch.float32

        monkeypatch.setattr(deform_conv, "_obstacle", lambda path, device: None if path == "mmcv" else "absent")
        assert deform_conv.chosen_path(OnGpu()) == "mmcv"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(offset=torch.zeros(1, 18, 5, 4)), r"offset must have the shape \(1, 18, 5, 5\)"),
        (dict(mask=torch.zeros(1, 8, 5, 5)), r"mask must have the shape \(1, 9, 5, 5\)"),
        (dict(deform_groups=3), "4 channels, which do not fit"),
        (dict(x=torch.zeros(4, 5, 5)), "must have 4 axes"),
    ],
)
def test_shapes_that_do_not_fit_are_named(wrong, message):
    right = dict(x=torch.zeros(1, 4, 5, 5), offset=torch.zeros(1, 18, 5, 5), mask=torch.zeros(1, 9, 5, 5))
    with pytest.raises(ValueError, match=message):
        modulated_deform_conv2d(**{**right, "weight": torch.zeros(2, 4, 3, 3), "padding": 1, **wrong})
