"""Blocks of the 3D UNet: what the references do not reach: launch limits, shared contexts, sizes, plain numbers."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.errors import RequestError
from vrestore.layers.unet3d import CrossAttention, Downsample, Upsample, attention, per_sample, sinusoidal_embedding
from vrestore.layers.unet3d.resample import least_legal_size
from vrestore.layers.unet3d.transformers import in_chunks


@torch.no_grad()
def test_attention_is_softmax_of_products(monkeypatch):
    query, key, value = torch.randn(3, 5, 2, 7, 8).unbind(0)
    weights = (query @ key.transpose(-1, -2) / 8**0.5).softmax(-1)
    torch.testing.assert_close(attention.attend(query, key, value), weights @ value, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(attention, "MOST_ROWS_BY_HEADS", 4)  # two rows of two heads at once
    torch.testing.assert_close(attention.attend(query, key, value), weights @ value, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_shared_context_is_one_repeated():
    attend = CrossAttention(16, 8, heads=2, head_dim=8)
    tokens, context = torch.randn(6, 4, 16), torch.randn(2, 5, 8)
    shared = attend(tokens, context)
    torch.testing.assert_close(shared, attend(tokens, context.repeat_interleave(3, 0)), atol=1e-6, rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.booleans(), st.none() | st.integers(1, 200))
def test_chunks_hold_whole_rows_of_one_sample(batch, frames, length, with_context, chunk_tokens):
    tokens = torch.arange(batch * frames * length * 2.0).view(batch * frames, length, 2)
    context = torch.arange(batch * 1.0).view(batch, 1, 1) if with_context else None
    seen = []

    def transform(part, text):
        seen.append(part.shape[0] * length)
        return part if text is None else part + text.repeat_interleave(part.shape[0] // text.shape[0], 0)

    out = in_chunks(transform, tokens, context, chunk_tokens)
    assert torch.equal(out, tokens if context is None else tokens + context.repeat_interleave(frames, 0))
    assert chunk_tokens is None or max(seen) <= max(chunk_tokens, length)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 4))
def test_least_legal_size_comes_back_unchanged_and_is_the_least(height, width, halvings):
    legal = least_legal_size(height, width, halvings)
    assert legal[0] >= height
    assert legal[1] >= width
    assert survives(*legal, halvings)
    if height > 2:  # of heights below, 2 comes back too, but holds no picture
        assert not any(survives(h, legal[1], halvings) for h in range(height, legal[0]))
    assert not any(survives(legal[0], w, halvings) for w in range(width, legal[1]))


def survives(height, width, halvings):
    sizes = [(height, width)]
    for _ in range(halvings):
        h, w = sizes[-1]
        sizes.append(((h + 1) // 2 + 1, (w - 1) // 2 + 1))
    return all((2 * h - 2, 2 * w) == up for up, (h, w) in itertools.pairwise(sizes))


@torch.no_grad()
def test_resampling_has_the_sizes_that_legal_sizes_assume():
    x = torch.zeros(1, 1, 9, 7)
    assert Downsample(1)(x).shape == (1, 1, 6, 4)
    assert Upsample(1)(x).shape == (1, 1, 16, 14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("height", "width"), [(4, 2), (10, 2), (10, 4)])
@torch.no_grad()
def test_halving_narrow_features_in_any_precision(dtype, height, width):
    layer, x = Downsample(128), torch.randn(8, 128, height, width)
    exact = torch.nn.functional.conv2d(
        torch.nn.functional.pad(x.double(), (1, 1, 2, 2)), layer.op.weight.double(), layer.op.bias.double(), stride=2
    )
    layer.to(dtype)
    for _ in range(3):  # what lies in memory by chance would differ
        torch.testing.assert_close(layer(x.to(dtype)).double(), exact, atol=0.03, rtol=0.03)


def test_embeddings_of_fractions_lie_between():
    values = sinusoidal_embedding(torch.tensor([2.0, 2.5, 3.0]), 320)
    assert values.dtype == torch.float32
    assert torch.dist(values[0], values[1]) < torch.dist(values[0], values[2])


def test_numbers_for_samples():
    assert per_sample(3, 2, torch.device("cpu"), "x").tolist() == [3.0, 3.0]
    assert per_sample(torch.tensor([1, 2]), 2, torch.device("cpu"), "x").tolist() == [1.0, 2.0]
    with pytest.raises(RequestError, match="x holds 2 numbers for 3 samples"):
        per_sample([1, 2], 3, torch.device("cpu"), "x")
