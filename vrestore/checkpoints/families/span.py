"""SPAN, which spandrel runs: its networks in the ncnn format."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.checkpoints.files import StateDict
from vrestore.checkpoints.ncnn import (
    Layer,
    NcnnMismatch,
    NcnnModel,
    register_ncnn_mapping,
    require_counts,
    require_plain_convolutions,
    state_dict_in_order,
)

BLOCKS = 6
# What spandrel's SPAN applies to its input; neither is stored in weight files.
MEAN = (0.4488, 0.4371, 0.4040)
RANGE = 255.0


@register_ncnn_mapping("SPAN")
def _span_of_ncnn(model: NcnnModel) -> StateDict:
    """SPAN in its training form: an exported network has only the merged convolution of each branch."""
    convolutions = require_plain_convolutions(model)
    wide = [f"block_{i}.c{j}_r" for i in range(1, BLOCKS + 1) for j in (1, 2, 3)]
    names = ["conv_1", *wide, "conv_2", "conv_cat", "upsampler.0"]
    if len(convolutions) != len(names):
        raise NcnnMismatch(f"it has {len(convolutions)} convolutions instead of {len(names)}")
    mid, channels = convolutions[0].shape[:2]
    scale = max((layer.integer(0, 1) for layer in model.of_type("PixelShuffle")), default=1)
    sizes = [(mid, channels, 3, 3), *[(mid, mid, 3, 3)] * (len(wide) + 1), (mid, 4 * mid, 1, 1)]
    if [weight.shape for weight in convolutions] != [*sizes, (channels * scale**2, mid, 3, 3)]:
        raise NcnnMismatch("the shapes of the convolutions are not those of SPAN")
    if set(model.leaky_slopes(model.of_type("Convolution"))) != {1.0}:
        raise NcnnMismatch("convolutions have fused activations")
    expected = {"Input": 1, "Convolution": len(names), "Swish": 2 * BLOCKS, "Sigmoid": BLOCKS}
    expected |= {"PixelShuffle": 1, "Concat": 1, "BinaryOp": 3 * BLOCKS}
    steps, has_mean, factor = _normalisation(model, channels)
    expected["BinaryOp"] += steps
    require_counts(model, expected | ({"MemoryData": 1} if steps else {}))
    state = state_dict_in_order(model, names)
    if not has_mean:
        state["no_norm"] = torch.zeros(1)
    # spandrel's factor is constant; the first convolution absorbs what remains.
    remaining = factor / (RANGE if has_mean else 1.0)
    if remaining != 1:
        state["conv_1.weight"] = state["conv_1.weight"].float() * remaining
    for name in names[:-2]:
        state |= _training_form(name, state.pop(f"{name}.weight"), state.pop(f"{name}.bias"))
    return state


def _normalisation(model: NcnnModel, channels: int) -> tuple[int, bool, float]:
    """How many layers normalise the input, whether they subtract `MEAN` (or zero), and the factor that they apply."""
    steps, factor = 0, 1.0
    before = _input_of(model, model.of_type("Convolution")[0])
    if before.type == "Input":
        return steps, False, factor
    if before.type == "BinaryOp" and before.integer(0) == 2 and before.integer(1) == 1:
        steps, factor = 1, before.number(2)
        before = _input_of(model, before)
    sources = [model.source(blob) for blob in before.inputs]
    kinds = [source.type for source in sources]
    if before.type != "BinaryOp" or before.integer(0) != 1 or kinds != ["Input", "MemoryData"]:
        raise NcnnMismatch("its input is not normalised by a mean and a factor")
    if not 0 < factor < np.inf:
        raise NcnnMismatch(f"the factor of its input must be positive, got {factor}")
    mean = sources[1].weight
    assert mean is not None
    if channels != 3 or mean.numel() != 3 or not (np.allclose(mean.flatten(), MEAN) or not mean.any()):
        raise NcnnMismatch(f"the mean of its input must be {MEAN} or zero, got {mean.flatten().tolist()[:3]}")
    return steps + 1, bool(mean.any()), factor


def _input_of(model: NcnnModel, layer: Layer) -> Layer:
    if not layer.inputs:
        raise NcnnMismatch(f"'{layer.name}' has no input")
    return model.source(layer.inputs[0])


def _training_form(name: str, weight: Tensor, bias: Tensor) -> StateDict:
    """Weights of a re-parameterised convolution (1x1, 3x3 and 1x1, beside a 1x1 shortcut) that merge into this one.

    The 1x1 convolutions select channels and the shortcut is zero, so that merging them adds only zeros.
    """
    outputs, inputs = weight.shape[:2]
    wide = weight.new_zeros(2 * outputs, 2 * inputs, 3, 3)
    wide[:outputs, :inputs] = weight
    spread = torch.eye(2 * inputs, inputs, dtype=weight.dtype)[..., None, None]
    select = torch.eye(outputs, 2 * outputs, dtype=weight.dtype)[..., None, None]
    return {
        f"{name}.sk.weight": weight.new_zeros(outputs, inputs, 1, 1),
        f"{name}.sk.bias": torch.zeros_like(bias),
        f"{name}.conv.0.weight": spread,
        f"{name}.conv.0.bias": bias.new_zeros(2 * inputs),
        f"{name}.conv.1.weight": wide,
        f"{name}.conv.1.bias": torch.cat([bias, torch.zeros_like(bias)]),
        f"{name}.conv.2.weight": select,
        f"{name}.conv.2.bias": torch.zeros_like(bias),
        f"{name}.eval_conv.weight": weight,
        f"{name}.eval_conv.bias": bias,
    }
