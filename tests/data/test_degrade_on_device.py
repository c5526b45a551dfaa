"""Clips degraded where the model is: the same draws, records and pixels as in the workers."""

import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.contract.tiny import BASICVSR
from tests.data.test_clip_dataset import NOISY, dataset
from vrestore.config import find_recipe, load_config
from vrestore.data import StreamSampler, clip_collate
from vrestore.degradations.deferred import finish
from vrestore.errors import ConfigError, DataError
from vrestore.registry import DEGRADATIONS, MODELS

BLIND = {
    "type": "Compose",
    "steps": [
        {"type": "RandomBlur"},
        {"type": "RandomResize"},
        {"type": "RandomNoise"},
        {"type": "JPEGCompression", "coder": "simulated"},
        {"type": "Flicker"},
        {"type": "ResizeTo", "scale": 2},
        {"type": "Quantise"},
    ],
}
TINY = {"type": "RegressionRestorer", "backbone": BASICVSR}
SPACE_TIME = {"type": "SpaceTimeDown", "keep_size": False}


def batches(root, recipe, where, *, n=3, workers=0, start=0, ragged=(), **options):
    data = dataset(root, degradation=recipe, seed=3, degrade_on=where, crop_px=32, **options)
    loader = DataLoader(
        data,
        2,
        sampler=StreamSampler(data, start=start),
        num_workers=workers,
        collate_fn=lambda samples: clip_collate(samples, ragged=ragged),
    )
    stream = iter(loader)
    return [next(stream) for _ in range(n)]


def preprocessor():
    return MODELS.build(TINY).data_preprocessor


def assert_same(found, expected):
    assert list(found) == list(expected)
    for key in ("record", "clip"):
        assert json.dumps(found[key]) == json.dumps(expected[key])
    for key in ("lq", "hq"):
        assert type(found[key]) is type(expected[key])
        assert all(torch.equal(a, b) for a, b in zip(found[key], expected[key], strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("recipe", [NOISY, BLIND], ids=["noise", "blind"])
def test_batches_are_those_of_the_workers(clip_root, recipe, workers):
    """Bit for bit on a CPU; what works on a batch is any restorer's data preprocessor."""
    device = preprocessor()
    expected = [device(batch, True) for batch in batches(clip_root, recipe, "worker")]
    deferred = batches(clip_root, recipe, "device", workers=workers)
    assert sorted(deferred[0]) == ["clip", "deferred", "hq"]
    for batch, right in zip(deferred, expected, strict=True):
        assert_same(device(batch, True), right)


def test_clips_of_unlike_sizes_stay_a_list(clip_root):
    device = preprocessor()
    worker, deferred = (batches(clip_root, SPACE_TIME, where, ragged=["lq"]) for where in ("worker", "device"))
    for batch, right in zip(deferred, worker, strict=True):
        done = device(batch, True)
        assert isinstance(done["lq"], list)
        assert_same(done, device(right, True))
    with pytest.raises(DataError, match="must have one shape"):
        [device(batch, True) for batch in batches(clip_root, SPACE_TIME, "device", n=6)]


def test_a_batch_may_be_looked_at_twice(clip_root):
    (batch,) = batches(clip_root, NOISY, "device", n=1)
    assert_same(finish(dict(batch)), finish(dict(batch)))


def test_the_stream_is_resumed_exactly(clip_root):
    whole = [finish(batch) for batch in batches(clip_root, NOISY, "device", n=4)]
    resumed = [finish(batch) for batch in batches(clip_root, NOISY, "device", n=2, start=4, workers=1)]
    for batch, right in zip(resumed, whole[2:], strict=True):
        assert_same(batch, right)


def test_mixed_precision_does_not_reach_it(clip_root):
    (batch,) = batches(clip_root, BLIND, "device", n=1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = finish(dict(batch))
    assert_same(mixed, finish(dict(batch)))


def test_a_restorer_trains_alike_by_both_ways(clip_root):
    losses = []
    for where in ("worker", "device"):
        torch.manual_seed(0)
        model = MODELS.build(TINY)
        x4 = {"type": "Compose", "steps": [{"type": "RandomNoise"}, {"type": "BicubicDown", "scale": 4}]}
        data = dataset(clip_root, degradation=x4, degrade_on=where, crop_px=32, seed=1)
        batch = model.data_preprocessor(clip_collate([data[0], data[1]]), True)
        losses.append({name: float(loss.detach()) for name, loss in model(**batch, mode="loss").items()})
    assert losses[0] == losses[1]


def test_another_word_is_refused(clip_root):
    with pytest.raises(ConfigError, match="degrade_on must be worker or device"):
        dataset(clip_root, degrade_on="gpu")


DEVICE_RECIPES = [BLIND, "realbasicvsr", "realesrgan", "archive_film", "venhancer_space_time"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("recipe", DEVICE_RECIPES, ids=lambda r: r if isinstance(r, str) else "blind")
def test_a_gpu_draws_and_records_the_same(recipe):
    if isinstance(recipe, str):
        recipe = dict(find_recipe(load_config(f"degradations/{recipe}"), recipe))
    degrade = DEGRADATIONS.build(recipe)
    frames = torch.rand(5, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    frames = torch.nn.functional.interpolate(frames, scale_factor=4, mode="bicubic").clamp(0, 1)
    for seed in range(6):
        cpu, told = degrade(frames, np.random.default_rng(seed))
        gpu, told_gpu = degrade(frames.cuda(), np.random.default_rng(seed))
        assert gpu.device.type == "cuda"
        assert told_gpu == told
        # A value next to a rounding may fall to the other level, which a codec then spreads.
        assert (gpu.cpu() - cpu).abs().mean() < 5e-3
