import re

import numpy as np
import pytest

from tests.degradations.shares import assert_distribution, assert_shares, assert_uniform
from vrestore.degradations.draws import check_range, check_weights, choose, told, walk
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS


def test_a_walk_starts_uniformly_and_moves_by_uniform_steps_within_its_range():
    walks = np.stack([walk(np.random.default_rng(seed), (2.0, 5.0), 0.1, 12) for seed in range(800)])
    assert_uniform(walks[:, 0], 2, 5)
    assert walks.min() >= 2
    assert walks.max() <= 5
    moves = np.diff(walks, axis=1)
    inside = (walks[:, :-1] > 2.1) & (walks[:, :-1] < 4.9)
    assert_uniform(moves[inside], -0.1, 0.1)
    assert np.abs(moves).max() <= 0.1 + 1e-12


def test_a_walk_is_clipped_and_not_reflected():
    steep = np.stack([walk(np.random.default_rng(seed), (0.0, 1.0), 2.0, 6) for seed in range(300)])
    assert ((steep == 0) | (steep == 1)).mean() > 0.5


def test_without_a_step_a_value_stays_and_nothing_more_is_drawn():
    rng = np.random.default_rng(3)
    values = walk(rng, (0, 1), 0, 7)
    assert len(set(values)) == 1
    again = np.random.default_rng(3)
    again.uniform()
    assert rng.random() == again.random()


def test_choices_have_their_weights():
    rng = np.random.default_rng(0)
    weights = {"a": 0.405, "b": 0.225, "c": 0.27, "never": 0.0, "d": 0.1}
    assert_shares([choose(rng, weights) for _ in range(4000)], weights)


def test_the_tests_of_distributions_can_fail():
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError):
        assert_uniform(rng.uniform(0, 1, 2000) ** 1.2, 0, 1)
    with pytest.raises(AssertionError):
        assert_shares(rng.choice(["a", "b"], 2000, p=[0.56, 0.44]), {"a": 1, "b": 1})
    with pytest.raises(AssertionError):
        assert_distribution(rng.standard_normal(500), lambda v: v * 0 + 0.5)


def test_told_keeps_one_number_for_a_value_that_stays():
    assert told([0.25, 0.25]) == 0.25
    assert told(np.array([1 / 3, 0.5])) == [0.333333, 0.5]


def test_weights_are_a_mapping_a_list_or_a_name():
    assert check_weights("X", "f", {"a": 3, "b": 1}) == {"a": 0.75, "b": 0.25}
    assert check_weights("X", "f", ["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert check_weights("X", "f", "a") == {"a": 1}
    assert check_range("X", "f", 3) == (3, 3)


BAD = [
    # config, the field that is named, the value that is shown, what is right
    (dict(type="RandomBlur", sigma_x=(3.0, 0.2)), "sigma_x", "(3.0, 0.2)", "low <= high"),
    (dict(type="RandomBlur", sigma_y=(0, 1)), "sigma_y", "(0, 1)", "0.001 <= low"),
    (dict(type="RandomBlur", kernel_size=(8, 21)), "kernel_size", "(8, 21)", "odd"),
    (dict(type="RandomBlur", kernel_size=(7.5, 21)), "kernel_size", "(7.5, 21)", "whole numbers"),
    (dict(type="RandomBlur", kinds=dict(isotropic=1)), "kinds", "isotropic", "plateau_iso"),
    (dict(type="RandomBlur", kinds=dict(iso=-1, sinc=2)), "kinds", "-1", "weights >= 0"),
    (dict(type="RandomBlur", kinds=dict(iso=0)), "kinds", "'iso': 0", "above 0"),
    (dict(type="RandomBlur", kinds=[]), "kinds", "[]", "names with their weights"),
    (dict(type="RandomBlur", sigma_step=-1), "sigma_step", "-1", ">= 0"),
    (dict(type="RandomBlur", omega=(1, 4)), "omega", "(1, 4)", "<= 3.1416"),
    (dict(type="RandomBlur", beta_halves=True, beta_plateau=(1.5, 2)), "beta_halves", "1", "hold 1"),
    (dict(type="RandomResize", factor=(1.2, 1.5)), "factor", "(1.2, 1.5)", "low <= 1"),
    (dict(type="RandomResize", factor=(0, 1.5)), "factor", "(0, 1.5)", "0.001 <= low"),
    (dict(type="RandomResize", modes=dict(sideways=1)), "modes", "sideways", "up, down, keep"),
    (dict(type="RandomResize", ops="lanczos"), "ops", "lanczos", "bilinear, area, bicubic"),
    (dict(type="ResizeTo", scale=0.5), "scale", "0.5", ">= 1"),
    (dict(type="RandomNoise", sigma=(-1, 3)), "sigma", "(-1, 3)", "0 <= low"),
    (dict(type="RandomNoise", sigma=(1, float("nan"))), "sigma", "nan", "low <= high"),
    (dict(type="RandomNoise", gray_prob=1.4), "gray_prob", "1.4", "from 0 to 1"),
    (dict(type="RandomNoise", gaussian_prob="often"), "gaussian_prob", "often", "from 0 to 1"),
    (dict(type="JPEGCompression", quality=(0, 95)), "quality", "(0, 95)", "1 <= low"),
    (dict(type="JPEGCompression", quality=(30, 101)), "quality", "(30, 101)", "high <= 100"),
    (dict(type="JPEGCompression", coder="pillow"), "coder", "pillow", "opencv or simulated"),
    (dict(type="VideoCompression", codecs="mpeg5"), "codecs", "mpeg5", "did you mean 'mpeg4'"),
    (dict(type="VideoCompression", codecs="aac"), "codecs", "aac", "usual ones"),
    (dict(type="VideoCompression", bitrate=(1e5, 1e4)), "bitrate", "(100000.0, 10000.0)", "low <= high"),
    (dict(type="VideoCompression", bitrate=(0, 1e4)), "bitrate", "(0, 10000.0)", "1 <= low"),
    (dict(type="VideoCompression", fps=0), "fps", "0", "from 0.001"),
    (dict(type="VideoCompression", preset="quick"), "preset", "quick", "ultrafast"),
    (dict(type="FilmGrain", strength=(5, 3)), "strength", "(5, 3)", "low <= high"),
    (dict(type="FilmGrain", size=0), "size", "0", "0.1 <= low"),
    (dict(type="Interlace", deinterlacers="yadif"), "deinterlacers", "yadif", "blend"),
    (dict(type="Interlace", top_first_prob=2), "top_first_prob", "2", "from 0 to 1"),
    (dict(type="Flicker", strength=(0, 2)), "strength", "(0, 2)", "high <= 1"),
    (dict(type="Flicker", memory=1), "memory", "1", "from 0 to 0.999"),
    (dict(type="ColourDrift", gain=(-1, 1)), "gain", "(-1, 1)", "0 <= low"),
    (dict(type="FrameDrop", prob=(0.5, 1.5)), "prob", "(0.5, 1.5)", "high <= 1"),
    (dict(type="FrameDrop", fill="guess"), "fill", "guess", "repeat, blend, remove"),
    (dict(type="SpaceTimeDown", downscale=(0.5, 8)), "downscale", "(0.5, 8)", "1 <= low"),
    (dict(type="SpaceTimeDown", key_frame_stride=(0, 8)), "key_frame_stride", "(0, 8)", "1 <= low"),
    (dict(type="SpaceTimeDown", key_frame_stride=(1, 2.5)), "key_frame_stride", "2.5", "whole numbers"),
    (dict(type="SpaceTimeDown", noise_level=(1, 1000)), "noise_level", "(1, 1000)", "high <= 999"),
    (dict(type="UnsharpMask", kernel_size=0), "kernel_size", "0", ">= 1"),
    (dict(type="UnsharpMask", weight=-0.5), "weight", "-0.5", ">= 0"),
    (dict(type="Quantise", bits=0), "bits", "0", "from 1 to 16"),
    (dict(type="Chance", step=dict(type="Identity"), prob=-1), "prob", "-1", "from 0 to 1"),
    (dict(type="Chance", step=dict(type="BicubicDown")), "step", "BicubicDown", "keep the size"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "field", "value", "right"), BAD, ids=lambda v: str(v)[:60])
def test_an_impossible_recipe_is_refused_when_it_is_built(config, field, value, right):
    with pytest.raises(ConfigError) as refused:
        DEGRADATIONS.build(dict(type="Compose", steps=[config]))
    message = str(refused.value)
    for part in (config["type"], field, value, right):
        assert re.search(re.escape(part), message), message
