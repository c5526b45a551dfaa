"""The recipes that come with the package, and degradations made of others."""

import itertools
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.degradations.shares import assert_shares, assert_uniform
from tests.paths import ROOT
from vrestore.config import find_recipe, load_config
from vrestore.degradations import Chance, Compose, Identity, Quantise, RandomNoise, Shuffle, video_codec
from vrestore.engine.checks import KNOWN_KEYS
from vrestore.registry import DEGRADATIONS

RECIPES = sorted(path.stem for path in (ROOT / "configs" / "degradations").glob("*.py"))
REAL_WORLD = [name for name in RECIPES if name != "venhancer_space_time"]


def recipe(name):
    return DEGRADATIONS.build(find_recipe(load_config(f"degradations/{name}"), name))


def footage(n_frames=5, height=48, width=64):
    canvas = F.interpolate(
        torch.rand(1, 3, 12, 24, generator=torch.Generator().manual_seed(0)), size=(height, 2 * width)
    )
    return torch.cat([canvas[..., 2 * t : 2 * t + width] for t in range(n_frames)])


def names(record):
    yield record["name"]
    for inner in [*record.get("steps", ()), *([record["step"]] if "step" in record else ())]:
        yield from names(inner)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_seeded_pure_and_recorded(name):
    degrade, clip = recipe(name), footage()
    before = clip.clone()
    one, record = degrade(clip, np.random.default_rng(7))
    two, again = degrade(clip, np.random.default_rng(7))
    other, _ = degrade(clip, np.random.default_rng(8))
    assert torch.equal(one, two)
    assert record == again == json.loads(json.dumps(record))
    assert one.shape != other.shape or not torch.equal(one, other)
    assert torch.equal(clip, before)
    assert 0 <= one.min() <= one.max() <= 1


@pytest.mark.parametrize("name", REAL_WORLD)
def test_real_world_recipes_give_8_bit_clips_a_quarter_the_size(name):
    degrade = recipe(name)
    assert degrade.scale == 4
    assert not degrade.draws_size
    assert len(degrade.protocol) < 24
    for seed in range(4):
        out, record = degrade(footage(), np.random.default_rng(seed))
        assert out.shape == (5, 3, 12, 16)
        assert record["scale"] == 4
        assert torch.equal(out, (out * 255).round() / 255)


def test_realbasicvsr_has_its_steps_in_order():
    applied, orders = [], []
    degrade, clip = recipe("realbasicvsr"), footage(2, 16, 16)
    for seed in range(60):
        _, record = degrade(clip, np.random.default_rng(seed))
        steps = record["steps"]
        order = [step["name"] for step in steps]
        assert order == [
            *("RandomBlur", "RandomResize", "RandomNoise", "JPEGCompression", "VideoCompression"),
            *("Chance", "RandomResize", "RandomNoise", "JPEGCompression", "Shuffle", "Quantise"),
        ]
        applied.append(steps[5]["applied"])
        orders.append(tuple(steps[9]["order"]))
        assert {step.get("codec") for step in steps} <= {None, "libx264", "h264", "mpeg4"}
    assert_shares(applied, {True: 0.8, False: 0.2})
    assert_shares(orders, {(0, 1): 1, (1, 0): 1})


def test_realesrgan_treats_all_frames_alike():
    """Per image in the paper; on a clip, every frame gets the same, so that only noise differs."""
    degrade = recipe("realesrgan")

    def lists(record):
        return [v for v in record.values() if isinstance(v, list) and v and isinstance(v[0], float)] + [
            found
            for inner in [*record.get("steps", ()), *([record["step"]] if "step" in record else ())]
            for found in lists(inner)
        ]

    for seed in range(5):
        _, record = degrade(footage(), np.random.default_rng(seed))
        assert lists(record) == []
        assert "VideoCompression" not in set(names(record))


def test_a_still_clip_changes_by_noise_and_codec_alone():
    degrade = recipe("realesrgan")
    degrade.steps = [step for step in degrade.steps if not isinstance(step, RandomNoise)]
    out, _ = degrade(footage(1).expand(10, -1, -1, -1), np.random.default_rng(0))
    assert all(torch.equal(frame, out[0]) for frame in out)


def test_shuffle_draws_every_order_alike():
    shuffle = Shuffle([Identity(), Quantise(8), Quantise(7)])
    drawn = [shuffle(torch.rand(1, 1, 2, 2), np.random.default_rng(seed))[1] for seed in range(600)]
    assert_shares([tuple(r["order"]) for r in drawn], dict.fromkeys(itertools.permutations(range(3)), 1))
    for record in drawn[:20]:
        kinds = [["Identity", "Quantise", "Quantise"][i] for i in record["order"]]
        assert [step["name"] for step in record["steps"]] == kinds


def test_chance_applies_by_its_probability():
    chance = Chance(Quantise(1), prob=0.3)
    frames = torch.rand(1, 1, 3, 3)
    results = [chance(frames, np.random.default_rng(seed)) for seed in range(600)]
    assert_shares([record["applied"] for _, record in results], {True: 0.3, False: 0.7})
    for out, record in results[:30]:
        assert torch.equal(out, frames) != record["applied"]
        assert ("step" in record) == record["applied"]


def test_a_chain_takes_any_callable_and_a_short_name():
    def darker(frames, rng):
        return frames / 2, {"name": "darker"}

    chain = Compose([darker, dict(type="Quantise")], protocol="dark")
    out, record = chain(torch.ones(1, 3, 2, 2), np.random.default_rng(0))
    assert chain.protocol == "dark"
    assert record["scale"] == 1
    assert out.unique().tolist() == [pytest.approx(128 / 255)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_config_can_take_a_recipe_as_its_base(name):
    """What a recipe brings besides helpers is known to training."""
    brought = [key for key in load_config(f"degradations/{name}") if not key.startswith("_")]
    assert brought == ["degradation"]
    assert set(brought) <= KNOWN_KEYS.keys()


SECOND_ORDER = {"realbasicvsr": (5, 9), "realesrgan": (4, 7)}  # where it and the shuffled end begin


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_both_orders_are_drawn_as_published(name, monkeypatch):
    monkeypatch.setattr(video_codec, "recode", lambda frames, *_: frames)
    chain, (second, end) = recipe(name), SECOND_ORDER[name]
    drawn = [chain(torch.rand(1, 3, 8, 8), np.random.default_rng(seed))[1]["steps"] for seed in range(300)]
    resize, noise, again = ([steps[place] for steps in drawn] for place in (1, 2, second))
    assert_shares([r["mode"] for r in resize], {"up": 0.2, "down": 0.7, "keep": 0.1})
    assert_uniform([r["sigma"] for r in noise if r["kind"] == "gaussian"], 1, 30)
    assert_uniform([r["poisson_scale"] for r in noise if r["kind"] == "poisson"], 0.05, 3)
    assert_shares([r["applied"] for r in again], {True: 0.8, False: 0.2})
    blurs = [r["step"] for r in again if r["applied"]]
    assert_uniform([r["sigma_x"] for r in blurs if "sigma_x" in r], 0.2, 1.5)
    resize, noise = ([steps[second + k] for steps in drawn] for k in (1, 2))
    assert_shares([r["mode"] for r in resize], {"up": 0.3, "down": 0.4, "keep": 0.3})
    assert_uniform([r["factor"] for r in resize if r["mode"] == "down"], 0.3, 1)
    assert_uniform([r["factor"] for r in resize if r["mode"] == "up"], 1, 1.2)
    assert_uniform([r["sigma"] for r in noise if r["kind"] == "gaussian"], 1, 25)
    assert_uniform([r["poisson_scale"] for r in noise if r["kind"] == "poisson"], 0.05, 2.5)
    ends = [steps[end] for steps in drawn]
    assert_shares([tuple(r["order"]) for r in ends], {(0, 1): 1, (1, 0): 1})
    sinc = [step["steps"][1] for r in ends for step in r["steps"] if step["name"] == "Compose"]
    assert_shares([r["applied"] for r in sinc], {True: 0.8, False: 0.2})
    assert_uniform([r["step"]["omega"] for r in sinc if r["applied"]], np.pi / 3 - 1e-6, np.pi + 1e-6)


def test_archive_film_is_drawn_as_it_says(monkeypatch):
    monkeypatch.setattr(video_codec, "recode", lambda frames, *_: frames)
    chain = recipe("archive_film")
    drawn = [chain(torch.rand(2, 3, 8, 8), np.random.default_rng(seed))[1]["steps"] for seed in range(300)]
    assert_shares([steps[0]["kind"] for steps in drawn], {"iso": 0.6, "aniso": 0.4})
    assert_shares([steps[4]["applied"] for steps in drawn], {True: 0.3, False: 0.7})
    assert_shares([steps[6]["applied"] for steps in drawn], {True: 0.5, False: 0.5})
    assert_shares([steps[7]["codec"] for steps in drawn], dict.fromkeys(("h264", "h265", "mpeg4"), 1))
