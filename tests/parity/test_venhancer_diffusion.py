"""VEnhancer's schedule, denoiser, noise, samplers and windows against the stored outputs of the official release."""

import json
import math

import numpy as np
import pytest
import torch

from tests.parity import venhancer_references as ref
from vrestore.diffusion import (
    BrownianNoise,
    Denoiser,
    GeneratorNoise,
    Guidance,
    LogSNRCosineInterp,
    WindowedDenoiser,
    draw_seed,
    initial_state,
    plan_key_frame_windows,
    posterior,
    sampling_sigmas,
    to_eps,
)
from vrestore.layers.windows import sliding_windows
from vrestore.samplers import build_sampler, traits_of

SCHEDULE = LogSNRCosineInterp()
SEED = 666  # of the generator, as the manifest says
SAMPLES = ref.ids("d_sample")
STOCHASTIC = [name for name in SAMPLES if "dpm" in name]


def close(got, want, rtol, atol):
    """Equal within the tolerance, infinities where infinities are."""
    got, want = np.asarray(got, dtype=np.float64), np.asarray(want, dtype=np.float64)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def toy(noised, t, y, hint, mask_cond):
    """The network of the stored trajectories."""
    t = t.view(-1, 1, 1, 1, 1).float()
    key = (mask_cond > 0).float().mean()
    return 0.6 * noised * torch.cos(t / 1000) + 0.3 * y + 0.1 * torch.sin(t / 100) * key + 0.05 * hint.mean()


def toy_denoiser(inputs, guidance, clamp=None, network=toy):
    conditions = {"y": torch.full((1, 1, 1, 1, 1), inputs["y_pos"])}
    conditions["hint"] = ref.make_input(inputs["hint"])
    conditions["mask_cond"] = torch.tensor([inputs["mask_cond"]])
    negative = {"y": torch.full((1, 1, 1, 1, 1), inputs["y_neg"])}
    return Denoiser(network, SCHEDULE, conditions, guidance=guidance, negative=negative, clamp=clamp)


def test_schedule():
    entry = ref.manifest()["d_schedule"]
    stored, tol = ref.arrays(entry), entry["tol"]
    close(SCHEDULE.vp_sigmas, stored["sigmas"], **tol)
    close(SCHEDULE.alphas, stored["alphas"], **tol)
    close(SCHEDULE.k_sigmas, stored["k_sigmas"], **tol)
    close(SCHEDULE.logsnr, stored["logsnr"], **tol)
    close(LogSNRCosineInterp(zero_terminal_snr=False).vp_sigmas, stored["sigmas_without_zero_snr"], **tol)
    assert float(SCHEDULE.vp_sigmas[-1]) == 1.0
    assert math.isinf(SCHEDULE.k_sigmas[-1])


@pytest.mark.parametrize("t_max", [899, 999])
@pytest.mark.parametrize("spacing", ["trailing", "linspace", "leading"])
def test_timesteps(spacing, t_max):
    entry = ref.manifest()["d_timesteps"]
    stored = ref.arrays(entry)
    rows = (stored[f"{key}_{spacing}_{t_max}"] for key in ("sigmas", "t", "count"))
    for steps, levels, timesteps, count in zip(range(2, 61), *rows, strict=True):
        sigmas = sampling_sigmas(
            SCHEDULE, steps, spacing=spacing, t_max=t_max, discard_penultimate=True, exact_count=False
        )
        assert len(sigmas) == count
        close(sigmas, levels[:count], rtol=entry["tol"]["rtol"], atol=entry["tol"]["atol"])
        seen = SCHEDULE.sigma_to_t(sigmas[:-1]).round().long()
        assert seen.tolist() == timesteps[: count - 1].tolist()


def test_diffuse():
    entry = ref.manifest()["d_diffuse"]
    x0, noise = (ref.make_input(entry["inputs"][key]) for key in ("x0", "noise"))
    for t in entry["inputs"]["t"]:
        ref.check(entry, f"t{t}", SCHEDULE.diffuse(x0, torch.tensor([t, t]), noise))


@pytest.mark.parametrize("batched", [False, True])
def test_denoise(batched):
    entry = ref.manifest()["d_denoise"]
    noised = ref.make_input(entry["inputs"]["xt"])
    for t in entry["inputs"]["t"]:
        for name, guidance in {
            "g7.5_r0.2": Guidance(7.5, 0.2, batched=batched),
            "g1": Guidance(1.0, 0.2, batched=batched),
            "g4_rNone": Guidance(4.0, batched=batched),
        }.items():
            inputs = {**entry["inputs"]}
            x0 = toy_denoiser(inputs, guidance).at_timestep(noised, t)
            ref.check(entry, f"t{t}_{name}_x0", x0)
            if name == "g7.5_r0.2":
                mean, variance, log_variance = posterior(SCHEDULE, x0, noised, t)
                ref.check(entry, f"t{t}_mu", mean)
                ref.check(entry, f"t{t}_var", variance.expand(2, 1, 1, 1, 1))
                ref.check(entry, f"t{t}_logvar", log_variance.expand(2, 1, 1, 1, 1))
                ref.check(entry, f"t{t}_eps", to_eps(x0, noised, *SCHEDULE.levels(t, noised)))


def test_brownian():
    pytest.importorskip("torchsde")
    entry = ref.manifest()["d_brownian"]
    inputs = entry["inputs"]
    like = torch.zeros(inputs["shape"])
    for seed in inputs["seeds"]:
        noise = BrownianNoise(like, [inputs["sigma_min"], inputs["sigma_max"]], seed)
        ref.check(entry, f"seed{seed}", torch.stack([noise(*query) for query in inputs["queries"]]))


class Trace:
    """A denoiser that keeps what went in and out."""

    def __init__(self, denoiser):
        self.denoiser, self.noised, self.x0 = denoiser, [], []

    def __call__(self, x, sigma):
        self.noised.append(x if math.isinf(sigma) else x / math.sqrt(sigma**2 + 1))
        self.x0.append(self.denoiser(x, sigma))
        return self.x0[-1]


def stored_sampling(entry):
    """The entry's sampler, noise levels and traced denoiser, and the timesteps that its network sees."""
    inputs, seen = entry["inputs"], []
    kwargs = dict(inputs["sample_kwargs"])
    kind = kwargs.pop("solver")
    arguments = {key: kwargs.pop(key) for key in ("eta", "s_churn", "solver_type") if key in kwargs}
    sampler = build_sampler({"type": kind, **arguments})
    scale, rescale = kwargs.pop("guide_scale"), kwargs.pop("guide_rescale")
    guidance = None if scale is None else Guidance(scale, rescale or 0.0)

    def network(noised, t, **conditions):
        seen.append(int(t[0]))
        return toy(noised, t, **conditions)

    denoise = Trace(toy_denoiser(inputs, guidance, kwargs.pop("clamp", None), network))
    listed = isinstance(kwargs["steps"], list)
    discard = kwargs.pop("discard_penultimate_step", traits_of(sampler).discard_penultimate and not listed)
    sigmas = sampling_sigmas(
        SCHEDULE,
        kwargs.pop("steps"),
        spacing=kwargs.pop("discretization"),
        t_max=kwargs.pop("t_max"),
        t_min=kwargs.pop("t_min"),
        discard_penultimate=discard,
        exact_count=False,
    )
    assert not kwargs, f"not understood: {kwargs}"
    return sampler, sigmas, denoise, seen


def follow(entry, noise_sampler_for):
    """Sample, and hold every evaluation and the result to the stored ones."""
    stored, tol = ref.arrays(entry), entry["tol"]
    sampler, sigmas, denoise, seen = stored_sampling(entry)
    x = initial_state(ref.make_input(entry["inputs"]["noise"]), sigmas[0])
    result = sampler(denoise, x, sigmas, noise_sampler=noise_sampler_for(x, sigmas))
    close(sigmas, stored["sigmas"], rtol=1e-5, atol=1e-6)
    assert seen == stored["t_per_eval"].tolist()
    assert len(denoise.x0) == entry["n_evals"]
    close(torch.stack(denoise.noised), stored["xt_per_eval"], **tol)
    close(torch.stack(denoise.x0), stored["x0_per_eval"], **tol)
    ref.check(entry, "x", result)


@pytest.mark.parametrize("name", SAMPLES)
def test_trajectory(name):
    """From the generator's seed on, the Brownian tree included."""
    entry = ref.manifest()[name]
    generator = torch.Generator().manual_seed(entry["manual_seed"])

    def noise_for(x, sigmas):
        if entry["brownian_entropy"] is None:
            return GeneratorNoise(x, generator)
        pytest.importorskip("torchsde")
        seed = draw_seed(generator)
        assert seed == entry["brownian_entropy"]
        return BrownianNoise(x, sigmas, seed)

    follow(entry, noise_for)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_trajectory_with_stored_noise(name):
    """The solver alone, with the noise that the official one drew."""
    entry = ref.manifest()[name]

    def noise_for(x, sigmas):
        noises = [torch.from_numpy(noise) for noise in ref.arrays(entry)["brownian_per_step"]]
        steps = [s for s in sigmas[:-1].tolist() if math.isfinite(s)]
        by_level = dict(zip(steps, noises, strict=False))
        return lambda sigma, sigma_next: by_level[sigma]

    follow(entry, noise_for)


def chunk_toy(noised, t, y, mask_cond):
    ramp = torch.linspace(0, 1, noised.shape[2]).view(1, 1, -1, 1, 1)
    key = (mask_cond >= 0).float().view(1, 1, -1, 1, 1)
    return 0.6 * noised * torch.cos(t.view(-1, 1, 1, 1, 1) / 1000) + 0.3 * y + 0.05 * ramp + 0.01 * key


@pytest.mark.parametrize("mode", ["fast", "normal"])
def test_windows(mode):
    """Sampling a clip in windows that blend in x0, in both modes of the second release."""
    pytest.importorskip("torchsde")
    entry = ref.manifest()["i_chunks"]
    inputs, seen = entry["inputs"], []

    def network(noised, t, **conditions):
        seen.append(int(t[0]))
        return chunk_toy(noised, t, **conditions)

    mask = torch.tensor(inputs["mask_cond"])
    conditions = {"y": torch.tensor(inputs["y_pos"]), "mask_cond": mask}
    denoiser = Denoiser(
        network,
        SCHEDULE,
        conditions,
        guidance=Guidance(7.5, 0.2),
        negative={"y": torch.tensor(inputs["y_neg"])},
        frame_axes={"mask_cond": 1},
    )
    windows = plan_key_frame_windows(mask.shape[1], inputs["interp_f_num"] + 1)
    assert [list(window) for window in windows] == inputs["chunk_inds"]
    sigmas = sampling_sigmas(
        SCHEDULE,
        inputs["normal_steps"],
        spacing="fast" if mode == "fast" else "trailing",
        t_max=899,
        discard_penultimate=True,
    )
    x = initial_state(ref.make_input(inputs["noise"]), sigmas[0])
    noise = BrownianNoise(x, sigmas, draw_seed(torch.Generator().manual_seed(SEED)))
    result = build_sampler("dpmpp_2m_sde")(
        WindowedDenoiser(denoiser, windows, blend="linear"), x, sigmas, noise_sampler=noise
    )
    assert seen == ref.arrays(entry)[f"t_{mode}"].tolist()
    ref.check(entry, f"x_{mode}", result)


def tables():
    return json.loads((ref.OWN / "windows.json").read_text())


def test_window_plans():
    for case in tables()["sliding_windows_1d_v2"]:
        planned = sliding_windows(case["full"], case["window"], case["overlap"])
        assert [list(window) for window in planned] == case["out"], case
    for case in tables()["make_chunks_v2"]:
        planned = plan_key_frame_windows(case["frames"], case["interp_f_num"] + 1)
        assert [list(window) for window in planned] == case["chunks"], case
