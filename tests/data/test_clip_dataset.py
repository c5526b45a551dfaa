import hashlib
import json
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from tests.data.media import moving_texture, write_folder
from tests.paths import SHARED_DATA, needs_shared_data
from vrestore.data import ClipDataset, StreamSampler, clip_collate
from vrestore.data.transforms import ClipTransform
from vrestore.degradations import BicubicDown, Degradation
from vrestore.errors import ConfigError, DataError
from vrestore.registry import DATASETS, DEGRADATIONS

BIX4 = {"type": "BicubicDown", "scale": 4}


@DEGRADATIONS.register_module(force=True)
class DrawnNoise(Degradation):
    """Noise of a drawn strength: shows that the degradation draws from the sample's own generator."""

    def __call__(self, frames_TCHW, rng):
        sigma = float(rng.uniform(0, 0.2))
        noise = torch.from_numpy(rng.standard_normal(tuple(frames_TCHW.shape), dtype=np.float32))
        return (frames_TCHW + sigma * noise).clamp(0, 1), {"name": "DrawnNoise", "scale": 1, "sigma": sigma}


NOISY = {"type": "Compose", "steps": [{"type": "DrawnNoise"}, BIX4]}


def dataset(root, **kwargs):
    defaults = {"degradation": BIX4, "frames": 3, "crop_px": 16, "progress": False}
    return ClipDataset(root, **{**defaults, **kwargs})


def digest(sample) -> str:
    """Of every byte that a sample holds."""
    state = hashlib.sha256(json.dumps([sample["clip"], sample["record"]], sort_keys=True).encode())
    state.update(sample["lq"].numpy().tobytes() + sample["hq"].numpy().tobytes())
    return state.hexdigest()


def batch_digests(batch) -> list[str]:
    return [digest({key: batch[key][i] for key in ("lq", "hq", "record", "clip")}) for i in range(len(batch["clip"]))]


@pytest.fixture(scope="module")
def noisy(clip_root):
    return dataset(clip_root, degradation=NOISY, seed=4, frame_stride=(1, 2))


def test_a_sample_is_a_crop_and_its_degraded_partner(clip_root):
    data = DATASETS.build(
        {"type": "ClipDataset", "roots": str(clip_root), "degradation": BIX4, "frames": 5, "crop_px": 32}
    )
    for draw in range(8):
        sample = data[draw]
        assert sorted(sample) == ["clip", "hq", "lq", "record"]
        assert sample["hq"].shape == (5, 3, 32, 32)
        assert sample["lq"].shape == (5, 3, 8, 8)
        assert sample["hq"].dtype == sample["lq"].dtype == torch.float32
        assert torch.equal(sample["lq"], BicubicDown(4)(sample["hq"], np.random.default_rng(0))[0])
        assert json.loads(json.dumps(sample["record"])) == sample["record"]
        assert sample["record"]["scale"] == 4


def test_the_record_says_where_the_sample_comes_from(noisy):
    clips = {clip.name: clip for clip in noisy.clips}
    for draw in range(20):
        sample = noisy[draw]
        s = sample["record"]["source"]
        frames = clips[sample["clip"]].read(s["start_frame"], 3, s["frame_stride"]).float() / 255
        crop = frames[..., s["top"] : s["top"] + 16, s["left"] : s["left"] + 16]
        crop = crop.flip(0) if s["reversed"] else crop
        crop = crop.flip(-1) if s["flip_horizontal"] else crop
        crop = crop.flip(-2) if s["flip_vertical"] else crop
        crop = crop.transpose(-1, -2) if s["transposed"] else crop
        assert torch.equal(sample["hq"], crop)


@settings(max_examples=25, deadline=None)
@given(draw=st.integers(0, 2**40), before=st.lists(st.integers(0, 10**6), max_size=4))
def test_a_sample_depends_on_seed_and_draw_alone(clip_root, noisy, draw, before):
    """Whatever was read before, and by whichever copy of the dataset."""
    for other in before:
        noisy[other]
    fresh = dataset(clip_root, degradation=NOISY, seed=4, frame_stride=(1, 2))
    assert digest(noisy[draw]) == digest(fresh[draw])


def test_other_draws_and_other_seeds_differ(clip_root, noisy):
    digests = {digest(noisy[draw]) for draw in range(30)}
    assert len(digests) == 30
    other = dataset(clip_root, degradation=NOISY, seed=5, frame_stride=(1, 2))
    assert digest(other[0]) not in digests


def test_caches_change_no_byte(clip_root, noisy, tmp_path):
    for cache in ("ram", "disk"):
        cached = dataset(
            clip_root,
            degradation=NOISY,
            seed=4,
            frame_stride=(1, 2),
            cache=cache,
            cache_dir=tmp_path,
            cache_bytes=10**5,
        )
        assert 0 < len(cached.cache.kept) < len(cached.clips)
        assert [digest(cached[draw]) for draw in range(12)] == [digest(noisy[draw]) for draw in range(12)]


def stream(data, n_batches, workers=0, start=0, rank=0, world=1, batch_size=2, **kwargs):
    loader = DataLoader(
        data,
        batch_size=batch_size,
        sampler=StreamSampler(data, start=start, rank=rank, world_size=world),
        collate_fn=clip_collate,
        num_workers=workers,
        **kwargs,
    )
    return [name for batch in islice(loader, n_batches) for name in batch_digests(batch)]


def test_workers_change_no_byte(noisy, clip_root, tmp_path):
    expected = [digest(noisy[draw]) for draw in range(8)]
    assert stream(noisy, 4) == expected
    assert stream(noisy, 4, workers=1) == expected
    on_disk = dataset(
        clip_root, degradation=NOISY, seed=4, frame_stride=(1, 2), cache="disk", cache_dir=tmp_path / "cache"
    )
    assert stream(on_disk, 4, workers=2) == expected
    assert not list((tmp_path / "cache").glob(".*"))


@pytest.mark.slow
def test_spawned_workers_change_no_byte(noisy):
    expected = [digest(noisy[draw]) for draw in range(4)]
    assert stream(noisy, 2, workers=2, multiprocessing_context="spawn") == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_stream_is_the_tail_of_a_whole_one(noisy, workers):
    whole = stream(noisy, 6, workers=workers)
    assert stream(noisy, 3, workers=workers, start=6) == whole[6:]


def test_processes_share_the_draws_of_one(noisy):
    whole = stream(noisy, 4)
    first, second = (stream(noisy, 2, rank=rank, world=2) for rank in (0, 1))
    assert [name for pair in zip(first, second, strict=True) for name in pair] == whole


def test_frame_stride_is_drawn_and_clamped_to_the_clip(clip_root):
    data = dataset(clip_root, frames=4, frame_stride=(1, 5), include=["deep/*"])  # 7 frames: a stride of 2 at most
    strides = {data[draw]["record"]["source"]["frame_stride"] for draw in range(30)}
    assert strides == {1, 2}


def test_without_any_turn(clip_root):
    data = dataset(clip_root, flip=False, transpose=False, time_reverse=False)
    assert set(data[0]["record"]["source"]) == {"start_frame", "frame_stride", "top", "left"}


def test_whole_frames(clip_root):
    data = dataset(
        clip_root, crop_px=None, flip=False, transpose=False, degradation={"type": "BicubicDown", "scale": 2.5}
    )
    sizes = {(data[d]["clip"], data[d]["hq"].shape[-2:], data[d]["lq"].shape[-2:]) for d in range(30)}
    assert sizes == {
        ("deep/er.mkv", (45, 40), (18, 16)),
        ("frames", (35, 45), (14, 18)),
        ("video.mkv", (40, 55), (16, 22)),
    }


def share(data, draws=250):
    names = [data[draw]["clip"] for draw in range(draws)]
    return {clip.name: names.count(clip.name) / draws for clip in data.clips}


def test_weighting(tmp_path):
    write_folder(tmp_path / "short", moving_texture(2, 8, 8))
    write_folder(tmp_path / "long", moving_texture(6, 8, 8))
    kwargs = {"frames": 1, "crop_px": 4, "cache": "ram"}
    assert share(dataset(tmp_path, **kwargs))["long"] == pytest.approx(0.75, abs=0.1)
    assert share(dataset(tmp_path, weighting="clips", **kwargs))["long"] == pytest.approx(0.5, abs=0.1)
    weighted = dataset(tmp_path, weighting="clips", weights={"sh*": 3.0}, **kwargs)
    assert share(weighted)["short"] == pytest.approx(0.75, abs=0.1)
    assert share(dataset(tmp_path, weights={"short": 0}, **kwargs), 40) == {"long": 1, "short": 0}
    write_folder(tmp_path / "large", moving_texture(2, 16, 24))
    pixels = dataset(tmp_path, weighting="pixels", **kwargs)
    assert share(pixels)["large"] == pytest.approx(2 * 384 / (2 * 384 + 8 * 64), abs=0.1)


def test_a_transform_of_ones_own(clip_root):
    class Darken(ClipTransform):
        def transform(self, sample, rng):
            assert sample["hq"].is_floating_point()
            factor = float(rng.uniform(0.2, 0.4))
            sample["hq"] = sample["hq"] * factor
            sample["source"]["darkened"] = factor
            return sample

    data = dataset(clip_root, transforms=[Darken(), {"type": "RandomFlip", "prob": 1.0}])
    sample = data[3]
    assert sample["hq"].max() <= 0.4
    assert sample["lq"].max() <= 0.45
    assert 0.2 <= sample["record"]["source"]["darkened"] <= 0.4
    assert sample["record"]["source"]["flip_horizontal"]


def test_a_clip_that_turns_out_damaged_is_replaced_and_named_once(tmp_path):
    write_folder(tmp_path / "good", moving_texture(6, 16, 16, seed=1))
    bad = write_folder(tmp_path / "bad", moving_texture(6, 16, 16, seed=2))
    data = dataset(tmp_path, crop_px=8)
    (bad / "00000005.png").write_bytes(b"not an image")
    with pytest.warns(UserWarning, match="bad is damaged and its windows are drawn anew") as told:
        samples = [data[draw] for draw in range(60)]
    assert len(told) == 1
    starts = {s["record"]["source"]["start_frame"] for s in samples if s["clip"] == "bad"}
    assert starts == {0, 1, 2}  # windows beside the damage are still used
    again = dataset(tmp_path, crop_px=8, include=["*"])
    with pytest.warns(UserWarning, match="damaged"):
        assert [digest(again[draw]) for draw in range(60)] == [digest(sample) for sample in samples]


def test_nothing_but_damage_ends_the_run(tmp_path):
    bad = write_folder(tmp_path / "bad", moving_texture(3, 16, 16))
    data = dataset(tmp_path, crop_px=8)
    (bad / "00000001.png").write_bytes(b"not an image")
    with (
        pytest.warns(UserWarning, match="bad is damaged"),
        pytest.raises(DataError, match=r"10 drawn windows in a row .* damaged: bad"),
    ):
        data[0]


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        (
            {"frames": 8},
            r"1 of 3 clips are smaller than a window of 8 frames of 16x16 pixels: deep/er.mkv \(7 frames of 40x48\)",
        ),
        ({"crop_px": 40}, r"1 of 3 clips are smaller .* of 40x40 pixels: frames \(9 frames of 48x36\)"),
        ({"frame_stride": (4, 4)}, "window of 9 frames"),
    ],
)
def test_too_small_clips(clip_root, kwargs, words):
    with pytest.raises(DataError, match=words):
        dataset(clip_root, **kwargs)
    with pytest.warns(UserWarning, match="left out"):
        kept = dataset(clip_root, too_small="skip", **kwargs)
    assert 1 <= len(kept.clips) <= 2
    assert kept[0]["clip"] in {clip.name for clip in kept.clips}


def test_all_clips_too_small(clip_root):
    with pytest.raises(DataError, match="3 of 3 clips are smaller"):
        dataset(clip_root, too_small="skip", crop_px=1000)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"crop_px": 18}, "crop_px=18 is no multiple of the scale 4; the next smaller one is 16"),
        (
            {"crop_px": 16, "degradation": {"type": "BicubicDown", "scale": 2.5}},
            "no multiple of the scale 2.5.* one is 15",
        ),
        ({"crop_px": (16, 20)}, "transpose=True needs a square crop"),
        ({"crop_px": 0}, "whole number of pixels"),
        ({"frames": 0}, "frames must be a whole number >= 1, got 0"),
        ({"frame_stride": (3, 2)}, "frame_stride must be"),
        ({"weighting": "luck"}, "weighting must be one of clips, frames, pixels"),
        ({"weights": {"nothing*": 2}}, "matches no clip"),
        ({"weights": {"*": 0}}, "every clip has the weight 0"),
        ({"weights": {"*": -1}}, "must be >= 0"),
        ({"too_small": "ignore"}, "too_small must be"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"cache": "tape"}, "cache must be 'ram', 'disk' or None"),
    ],
)
def test_bad_arguments(clip_root, kwargs, words):
    with pytest.raises(ConfigError, match=words):
        dataset(clip_root, **kwargs)


def test_length_is_the_draws_that_show_every_frame_about_once(clip_root):
    assert len(dataset(clip_root, frames=3)) == 7 // 3 + 9 // 3 + 12 // 3


@needs_shared_data
def test_real_clips(tmp_path):
    data = dataset(SHARED_DATA / "train", frames=5, crop_px=64, include=["toy_*", "wall_portrait*"])
    cached = dataset(
        SHARED_DATA / "train",
        frames=5,
        crop_px=64,
        include=["toy_*", "wall_portrait*"],
        cache="disk",
        cache_dir=tmp_path,
    )
    assert len(data.clips) == 6
    for draw in range(3):
        assert digest(data[draw]) == digest(cached[draw])


class TestRatesMiddlesAndCaptions:
    @pytest.fixture
    def folder(self, tmp_path):
        from tests.video.clips import encode, smooth_frames

        encode(tmp_path / "reef.mp4", smooth_frames(13), fps=50)
        (tmp_path / "reef.txt").write_text(" a reef\n")
        encode(tmp_path / "dune.mp4", smooth_frames(13), fps=24)
        return tmp_path

    def build(self, folder, **settings):
        plain = dict(flip=False, transpose=False, time_reverse=False, crop_px=16, frames=4, progress=False)
        return ClipDataset(folder, dict(type="BicubicDown", scale=2), **{**plain, **settings})

    def test_frames_are_skipped_to_one_rate(self, folder):
        data = self.build(folder, fps=24)
        strides = {(s["clip"], s["record"]["source"]["frame_stride"]) for s in (data[draw] for draw in range(20))}
        assert strides == {("reef.mp4", 2), ("dune.mp4", 1)}
        doubled = self.build(folder, fps=24, frame_stride=(2, 2), include=["reef*"])
        assert doubled[0]["record"]["source"]["frame_stride"] == 4
        with pytest.raises(DataError, match="smaller than a window of 21 frames"):
            self.build(folder, fps=10, frames=5)

    def test_the_middle_is_cut(self, folder):
        data = self.build(folder, crop="centre")
        places = {(s["top"], s["left"]) for s in (data[draw]["record"]["source"] for draw in range(10))}
        height, width = data.clips[0].height, data.clips[0].width
        assert places == {((height - 16) // 2, (width - 16) // 2)}

    def test_captions_lie_beside_their_clips(self, folder):
        data = self.build(folder, captions=True)
        assert {s["clip"]: s["prompt"] for s in (data[draw] for draw in range(20))} == {
            "reef.mp4": "a reef",
            "dune.mp4": None,
        }
        assert "prompt" not in self.build(folder)[0]

    def test_every_draw_has_a_seed_of_its_own(self, folder):
        data = self.build(folder)
        seeds = [data[draw]["record"]["seed"] for draw in range(8)]
        assert len(set(seeds)) == 8
        assert seeds == [self.build(folder, cache="ram")[draw]["record"]["seed"] for draw in range(8)]

    @pytest.mark.parametrize(
        ("settings", "message"), [({"fps": 0}, "fps must be above 0"), ({"crop": "left"}, "crop must be")]
    )
    def test_impossible_settings(self, folder, settings, message):
        with pytest.raises(ConfigError, match=message):
            self.build(folder, **settings)


def test_a_crop_may_be_cut_larger_and_shrunk(clip_root):
    data = dataset(clip_root, crop_px=16, shrink=(1.0, 1.9), seed=2)
    factors = []
    for index in range(30):
        sample = data[index]
        assert sample["hq"].shape == (3, 3, 16, 16)
        assert sample["lq"].shape == (3, 3, 4, 4)
        assert torch.equal(sample["hq"], (sample["hq"] * 255).round() / 255)  # a clip of 8 bits, as it would be stored
        factors.append(sample["record"]["source"]["shrunk_by"])
    assert 1 <= min(factors) < 1.3
    assert 1.5 < max(factors) <= 1.9


def test_a_crop_is_cut_no_larger_than_its_clip(clip_root):
    data = dataset(clip_root, crop_px=32, shrink=(1.0, 50.0), seed=2)
    smallest = min(min(clip.height, clip.width) for clip in data.clips)
    largest = max(min(clip.height, clip.width) for clip in data.clips)
    factors = [data[index]["record"]["source"]["shrunk_by"] for index in range(20)]
    assert max(factors) <= largest / 32
    assert smallest >= 32


@pytest.mark.parametrize("shrink", [(0.5, 1.0), (2.0, 1.0), 1.5, (1.0,), (1.0, float("inf"))])
def test_an_impossible_shrink_is_refused(clip_root, shrink):
    with pytest.raises(ConfigError, match="shrink must be"):
        dataset(clip_root, shrink=shrink)


def test_shrinking_needs_a_crop(clip_root):
    with pytest.raises(ConfigError, match="needs crop_px"):
        dataset(clip_root, crop_px=None, shrink=(1.0, 2.0))
