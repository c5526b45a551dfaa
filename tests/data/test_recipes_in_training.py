"""The shipped recipes as training data: crops that workers make alike, and clips of drawn sizes."""

import pytest
import torch
from torch.utils.data import DataLoader

from vrestore.config import find_recipe, load_config
from vrestore.data import ClipDataset, StreamSampler, clip_collate
from vrestore.degradations import UnsharpMask


def dataset(clip_root, name, **kwargs):
    recipe = find_recipe(load_config(f"degradations/{name}"), name)
    return ClipDataset(clip_root, recipe, **{"frames": 5, "crop_px": 32, "progress": False, **kwargs})


@pytest.mark.parametrize("name", ["realbasicvsr", "realesrgan", "archive_film"])
def test_real_world_samples_are_a_function_of_seed_and_index(clip_root, name):
    data = dataset(clip_root, name, seed=3, transforms=[dict(type="UnsharpMask")])
    loader = DataLoader(data, batch_size=2, sampler=StreamSampler(data), collate_fn=clip_collate, num_workers=1)
    batch = next(iter(loader))
    assert batch["lq"].shape == (2, 5, 3, 8, 8)
    assert batch["hq"].shape == (2, 5, 3, 32, 32)
    for i in range(2):
        sample = data[i]
        assert torch.equal(sample["lq"], batch["lq"][i])
        assert sample["record"] == batch["record"][i]
    assert batch["record"][0]["source"]["sharpened"] == 0.5
    plain = dataset(clip_root, name, seed=3)[0]["hq"]
    assert torch.equal(data[0]["hq"], UnsharpMask()(plain, None)[0])


def test_what_was_before_sharpening_stays_beside_it(clip_root):
    transforms = [dict(type="UnsharpMask", keep=True), dict(type="MirrorExtend")]
    data = dataset(clip_root, "realesrgan", seed=3, transforms=transforms)
    batch = clip_collate([data[0], data[1]])
    plain = dataset(clip_root, "realesrgan", seed=3)
    kept = batch["hq_unsharpened"]
    assert kept.shape == batch["hq"].shape == (2, 10, 3, 32, 32)
    assert torch.equal(kept[1, :5], plain[1]["hq"])
    assert torch.equal(kept[1, 5:], kept[1, :5].flip(0))
    assert torch.equal(UnsharpMask()(kept[0], None)[0], batch["hq"][0])


def test_space_time_samples_hold_fewer_and_smaller_frames(clip_root):
    data = dataset(clip_root, "venhancer_space_time", frames=7, crop_px=(24, 32), transpose=False)
    shapes = set()
    for index in range(12):
        sample = data[index]
        record = sample["record"]
        assert sample["hq"].shape == (7, 3, 24, 32)
        assert len(sample["lq"]) == len(record["key_frames"])
        assert record["size"] == [24, 32]
        assert sample["lq"].shape[-1] == round(32 / record["downscale"])
        shapes.add(sample["lq"].shape)
    assert len(shapes) > 6
