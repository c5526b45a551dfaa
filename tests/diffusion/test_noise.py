"""Noise: seeded, one field over a clip whatever the window, and Brownian paths that more steps refine."""

import math

import pytest
import torch

from vrestore.diffusion import (
    BrownianNoise,
    ClipBrownianNoise,
    ClipWhiteNoise,
    GeneratorNoise,
    clip_noise,
    clip_noise_sampler,
    draw_seed,
)
from vrestore.diffusion.noise import frame_seed
from vrestore.errors import ConfigError, MissingDependencyError

CLIP = torch.zeros(2, 4, 7, 6, 5)
SIGMAS = [math.inf, 20.0, 6.0, 1.5, 0.3, 0.0]
KINDS = ["white", "brownian"]


@pytest.fixture(autouse=True)
def _torchsde(request):
    if "brownian" in request.node.name.lower():
        pytest.importorskip("torchsde")


@pytest.mark.parametrize("kind", KINDS)
class TestClipNoise:
    def test_a_window_gets_the_clips_frames(self, kind):
        whole = clip_noise_sampler(CLIP, SIGMAS, 3, kind=kind)
        for start, stop in ((0, 3), (2, 6), (6, 7)):
            window = clip_noise_sampler(CLIP[:, :, start:stop], SIGMAS, 3, kind=kind, start_frame=start)
            for step in ((20.0, 6.0), (1.5, 0.3)):
                assert torch.equal(window(*step), whole(*step)[:, :, start:stop])

    def test_the_order_of_the_steps_does_not_matter(self, kind):
        one, two = (clip_noise_sampler(CLIP, SIGMAS, 3, kind=kind) for _ in range(2))
        steps = [(20.0, 6.0), (6.0, 1.5), (1.5, 0.3)]
        forward = [one(*step) for step in steps]
        backward = [two(*step) for step in reversed(steps)][::-1]
        for a, b in zip(forward, backward, strict=True):
            assert torch.allclose(a, b, atol=1e-5)

    def test_seeds_frames_and_steps_differ(self, kind):
        noise = clip_noise_sampler(CLIP, SIGMAS, 3, kind=kind)(20.0, 6.0)
        assert not torch.equal(noise, clip_noise_sampler(CLIP, SIGMAS, 4, kind=kind)(20.0, 6.0))
        assert not torch.equal(noise, clip_noise_sampler(CLIP, SIGMAS, 3, kind=kind)(6.0, 1.5))
        assert not torch.equal(noise[:, :, 0], noise[:, :, 1])

    def test_is_unit_normal_and_independent(self, kind):
        like = torch.zeros(1, 4, 3, 40, 40)
        noise = clip_noise_sampler(like, SIGMAS, 1, kind=kind)
        steps = torch.stack([noise(20.0, 6.0), noise(6.0, 1.5)])
        assert float(steps.mean()) == pytest.approx(0, abs=0.02)
        assert float(steps.std()) == pytest.approx(1, abs=0.02)
        frames = steps.transpose(2, 3).reshape(2, 4, 3, -1).transpose(1, 2).reshape(6, -1)
        assert (torch.corrcoef(frames) - torch.eye(6)).abs().max() < 0.06

    def test_keeps_the_precision(self, kind):
        noise = clip_noise_sampler(CLIP.double(), SIGMAS, 0, kind=kind)(6.0, 1.5)
        assert noise.dtype == torch.float64
        assert noise.shape == CLIP.shape


def test_the_global_generator_is_left_alone():
    pytest.importorskip("torchsde")
    state = torch.get_rng_state()
    clip_noise(CLIP, 1, "start")
    for kind in KINDS:
        clip_noise_sampler(CLIP, SIGMAS, 3, kind=kind)(6.0, 1.5)
    BrownianNoise(CLIP, SIGMAS, 1)(6.0, 1.5)
    assert torch.equal(state, torch.get_rng_state())


def test_streams_are_independent():
    start, keys = clip_noise(CLIP, 1, "start"), clip_noise(CLIP, 1, "key frames")
    assert not torch.equal(start, keys)
    assert torch.equal(start, clip_noise(CLIP, 1, "start"))
    assert torch.equal(start[:, :, 4:], clip_noise(CLIP[:, :, 4:], 1, "start", start_frame=4))
    seeds = {frame_seed(seed, stream, t) for seed in (0, 1, 2**63 - 1) for stream in "ab" for t in range(50)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generator_noise_follows_its_generator():
    one, two = (GeneratorNoise(CLIP, torch.Generator().manual_seed(4)) for _ in range(2))
    first = one(3.0, 1.0)
    assert torch.equal(first, two(8.0, 0.0))
    assert not torch.equal(first, one(3.0, 1.0))
    assert torch.equal(first, torch.randn(CLIP.shape, generator=torch.Generator().manual_seed(4)))


def test_draw_seed():
    seed = draw_seed(torch.Generator().manual_seed(666))
    assert seed == 3697412327659087747  # what torch.randint(0, 2**63 - 1, []) gives after torch.manual_seed(666)


class TestBrownian:
    def test_steps_add_up(self):
        """Two small steps hold the noise of the large one: the same path, refined."""
        noise = BrownianNoise(CLIP, SIGMAS, 7)
        large, upper, lower = noise(6.0, 0.3), noise(6.0, 1.5), noise(1.5, 0.3)
        joined = (upper * math.sqrt(4.5) + lower * math.sqrt(1.2)) / math.sqrt(5.7)
        assert torch.allclose(large, joined, atol=1e-4)

    def test_a_rise_is_the_fall_reversed(self):
        noise = BrownianNoise(CLIP, SIGMAS, 7)
        assert torch.equal(noise(1.5, 6.0), -noise(6.0, 1.5))

    def test_other_numbers_of_steps_follow_the_same_path(self):
        few = BrownianNoise(CLIP, [20.0, 0.3, 0.0], 7)
        many = BrownianNoise(CLIP, [20.0, 9.0, 3.0, 1.0, 0.3, 0.0], 7)
        joined = sum(
            many(a, b) * math.sqrt(a - b) for a, b in ((20.0, 9.0), (9.0, 3.0), (3.0, 1.0), (1.0, 0.3))
        ) / math.sqrt(19.7)
        assert torch.allclose(few(20.0, 0.3), joined, atol=1e-4)

    @pytest.mark.parametrize("step", [(25.0, 6.0), (6.0, 0.1), (6.0, 6.0), (math.inf, 20.0), (0.3, 0.0)])
    def test_refuses_steps_outside(self, step):
        with pytest.raises(ConfigError, match="use white noise with a sampler that raises the level"):
            BrownianNoise(CLIP, SIGMAS, 7)(*step)

    def test_a_single_level_is_never_asked(self):
        BrownianNoise(CLIP, [5.0, 0.0], 1)
        BrownianNoise(CLIP, [math.inf, 0.0], 1)

    def test_no_warnings(self, recwarn):
        sigmas = torch.tensor([10.692163467407227, 2.2, 0.5302297472953796, 0.0])
        noise = BrownianNoise(CLIP, sigmas, 7)
        noise(float(sigmas[0]), float(sigmas[1]))
        noise(float(sigmas[1]), float(sigmas[2]))
        assert not [w for w in recwarn if "torchsde" in str(w.filename)]


def test_missing_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchsde", None)
    noise = ClipBrownianNoise(CLIP, SIGMAS, 1)
    with pytest.raises(MissingDependencyError, match=r"vrestore\[diffusion\]"):
        noise(6.0, 1.5)
    assert ClipWhiteNoise(CLIP, 1)(6.0, 1.5).shape == CLIP.shape


def test_unknown_kind():
    with pytest.raises(ConfigError, match="kind of noise must be one of brownian, white"):
        clip_noise_sampler(CLIP, SIGMAS, 1, kind="pink")
