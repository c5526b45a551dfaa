"""VEnhancer in mode loss: the v-prediction loss, what the record tells, what trains, and what is refused."""

import pytest
import torch
import torch.nn.functional as F

from tests.contract.tiny import RESTORERS
from vrestore.diffusion import target
from vrestore.errors import ConfigError, RequestError
from vrestore.layers.lora import is_lora
from vrestore.registry import MODELS
from vrestore.restorers.venhancer.record import conditioning_of
from vrestore.restorers.venhancer.training import augment_keys, encode_keys, generator_of, snr_weights

TINY = RESTORERS["VEnhancer"]
HEIGHT, WIDTH = 20, 16  # 10 x 8 latents: 2 more than, and, a multiple of 2


def build(seed: int = 0, lora=None, **training):
    torch.manual_seed(seed)
    return MODELS.build({**TINY, "training": training, "lora": lora})


def shake(model, std=0.02):
    """Move every weight away from zero, so that nothing is hidden by layers that start there."""
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * std)
    return model


def batch(size: int = 2, frames: int = 5):
    hq = torch.rand(size, frames, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))
    lq = [F.interpolate(clip[::2], scale_factor=0.5) for clip in hq]
    told = {"key_frames": [0, 2, 4], "key_frame_stride": 2, "downscale": 2.0, "noise_level": 120}
    return lq, hq, [{**told, "seed": 10 + i} for i in range(size)]


class TestLoss:
    def test_is_the_mean_square_between_v_and_the_prediction(self):
        """The network is asked exactly once, with the conditions that restoration gives it."""
        model = build(text_dropout=0.0).eval()
        lq, hq, records = batch()
        seen = {}

        def network(noised, timesteps, text, **conditions):
            seen.update(conditions, noised=noised, timesteps=timesteps, text=text)
            return torch.zeros_like(noised)

        model.backbone.forward = network
        loss = model.loss(lq, hq, records)["loss_v"]
        latents = model.autoencoder.encode(hq)
        alpha, sigma = model.schedule.levels(seen["timesteps"], latents)
        noise = (seen["noised"] - alpha * latents) / sigma
        torch.testing.assert_close(
            loss, target("v", latents, noise, alpha, sigma).square().mean(), atol=1e-4, rtol=1e-4
        )
        assert noise.std().item() == pytest.approx(1, abs=0.1)
        assert seen["noise_level"].tolist() == [119, 119]  # strength s is timestep s - 1
        assert seen["downscale"].tolist() == [2.0, 2.0]
        assert seen["key_frame_index"].tolist() == [[0, -1, 1, -1, 2]] * 2
        assert seen["text"].shape == (2, 1, 8)

    def test_keys_are_encoded_and_noised_as_in_restoration(self):
        model = build()
        lq, hq, records = batch(1)
        draws = [generator_of(records[0])]
        keys = encode_keys(model, lq, hq.shape[-2:], draws)
        resized = F.interpolate(lq[0], size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)
        assert torch.equal(keys[0], model.autoencoder.encode(resized)[0])

        class Draws:
            def key_frames(self, latents):
                drawn = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(10))
                return drawn[None]

        for strength in (0, 1, 200):
            ours, levels = augment_keys(model.schedule, keys, [strength], [torch.Generator().manual_seed(10)])
            theirs, level = model.augment(keys[0][None], strength, Draws(), parity=False)
            torch.testing.assert_close(ours, theirs)
            assert levels.tolist() == [level]

    def test_timesteps_are_uniform_over_the_whole_schedule(self):
        model = build(text_dropout=0.0)
        drawn = []
        model.backbone.forward = lambda x, t, *_, **__: drawn.append(t) or torch.zeros_like(x)
        lq, hq, _ = batch(1, frames=1)
        torch.manual_seed(0)
        for _ in range(400):
            model.loss([lq[0][:1]], hq)
        steps = torch.cat(drawn).float()
        assert steps.min() < 15
        assert steps.max() > 984
        assert steps.mean().item() == pytest.approx(499.5, abs=45)
        assert steps.std().item() == pytest.approx(288.7, abs=20)

    def test_clips_of_a_batch_are_what_each_is_alone(self):
        model = shake(build()).eval()
        lq, hq, records = batch()
        lq[1], records[1] = lq[1][:1], {**records[1], "key_frames": [3], "downscale": 8.0, "noise_level": 7}
        both = model.loss(lq, hq, records)["loss_v"]
        alone = [model.loss([lq[i]], hq[i : i + 1], [records[i]])["loss_v"] for i in range(2)]
        torch.testing.assert_close(both, sum(alone) / 2, atol=1e-6, rtol=1e-5)

    def test_draws_follow_from_the_record_and_from_nothing_else(self):
        model = shake(build()).eval()
        lq, hq, records = batch()
        losses = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            losses.append(model.loss(lq, hq, records)["loss_v"])
        assert torch.equal(*losses)
        assert not torch.equal(losses[0], model.loss(lq, hq, [{**r, "seed": 0} for r in records])["loss_v"])
        unseeded = [{k: v for k, v in r.items() if k != "seed"} for r in records]
        losses = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            losses.append(model.loss(lq, hq, unseeded)["loss_v"])
        assert torch.equal(losses[0], losses[1])
        assert not torch.equal(losses[0], losses[2])

    def test_a_plain_degradation_makes_every_frame_a_key_frame(self):
        model = build(strength=(40, 40))
        seen = {}
        model.backbone.forward = lambda x, t, *_, **told: seen.update(told) or torch.zeros_like(x)
        _, hq, _ = batch()
        lq = F.interpolate(hq.flatten(0, 1), scale_factor=0.25).unflatten(0, (2, 5))
        model(lq=lq, hq=hq, record=[{"name": "BicubicDown", "scale": 4}] * 2, clip=["a", "b"], mode="loss")
        assert seen["key_frame_index"].tolist() == [[0, 1, 2, 3, 4]] * 2
        assert seen["downscale"].tolist() == [4.0, 4.0]
        assert seen["noise_level"].tolist() == [39, 39]

    def test_strengths_are_drawn_where_no_record_tells_them(self):
        model = build(strength=(1, 300))
        seen = []
        model.backbone.forward = lambda x, t, *_, **told: seen.append(told["noise_level"]) or torch.zeros_like(x)
        _, hq, _ = batch(2, frames=1)
        for _ in range(100):
            model.loss(hq, hq)
        levels = torch.cat(seen)
        assert levels.min() >= 0
        assert levels.max() <= 299
        assert levels.unique().numel() > 100

    def test_min_snr_weights(self):
        schedule = build().schedule
        t = torch.tensor([10, 400, 700, 999])
        snr = schedule.logsnr[t].exp()
        assert snr_weights(schedule, t, None).tolist() == [1, 1, 1, 1]
        torch.testing.assert_close(snr_weights(schedule, t, 5.0), snr.clamp(max=5) / (snr + 1))
        model = shake(build(min_snr_gamma=5.0)).eval()
        assert 0 < model.loss(*batch())["loss_v"] < shake(build()).eval().loss(*batch())["loss_v"]


class TestText:
    def texts(self, model, count=200, **batch_entries):
        seen = []
        encode = type(model.text).encode

        def listen(texts, device=None):
            seen.extend(texts)
            return encode(model.text, [""] * len(texts), device)

        model.text.encode = listen
        model.backbone.forward = lambda x, t, *_, **__: torch.zeros_like(x)
        _, hq, _ = batch(1, frames=1)
        torch.manual_seed(0)
        for _ in range(count):
            model(lq=hq, hq=hq, mode="loss", **batch_entries)
        return seen

    def test_a_tenth_of_the_prompts_is_dropped(self):
        model = build()
        seen = self.texts(model, prompt=["a reef"])
        assert set(seen) == {"a reef", ""}
        assert seen.count("") == pytest.approx(20, abs=12)

    def test_what_replaces_them_can_be_the_negative_prompt(self):
        model = build(text_dropout=1.0, dropped_text=None)
        model.text.negative_prompt = "blurred"
        assert set(self.texts(model, 5, prompt=["a reef"])) == {"blurred"}

    def test_clips_without_a_caption_get_the_models_own_prompt(self):
        model = build(text_dropout=0.0)
        model.prompt = "a good video"
        assert set(self.texts(model, 5)) == {"a good video"}
        assert set(self.texts(model, 5, prompt=[None])) == {"a good video"}


class TestWhatTrains:
    @pytest.mark.parametrize(
        ("training", "lora", "trains"),
        [
            ({}, None, lambda name: name.startswith("VideoControlNet.")),
            ({"trainable": "controlnet"}, None, lambda name: name.startswith("VideoControlNet.")),
            ({"trainable": "unet"}, None, lambda name: not name.startswith("VideoControlNet.")),
            ({"trainable": "all"}, None, lambda name: True),
            ({}, dict(rank=2), is_lora),
        ],
    )
    def test_gradients_and_optimiser_state_are_where_they_should_be(self, training, lora, trains):
        model = shake(build(lora=lora, **training)).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        model.loss(*batch())["loss_v"].backward()
        optimiser.step()
        for name, parameter in model.backbone.named_parameters():
            assert parameter.requires_grad == trains(name), name
            assert (parameter.grad is not None) == trains(name), name
            assert (parameter in optimiser.state) == trains(name), name
            assert torch.equal(parameter, before[f"backbone.{name}"]) != trains(name), name

    def test_an_untrained_controlnet_leaves_the_output_bit_identical(self):
        model = build()
        unet, control = model.unet, model.backbone.adapter
        with torch.no_grad():
            for parameter in unet.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        model.part_loaded("unet")  # as when the weights of a UNet were loaded
        assert model.backbone.adapter is not control
        for name in ("time_embed", "input_blocks", "middle_block"):
            own = getattr(model.backbone.adapter, name).state_dict()
            assert all(torch.equal(own[k], v) for k, v in getattr(unet, name).state_dict().items())
        model.eval()
        x, t, text = torch.randn(2, 12, 3, 10, 8), torch.tensor([3, 900]), torch.randn(2, 1, 8)
        told = dict(
            key_latents=torch.randn(2, 12, 2, 10, 8),
            key_frame_index=torch.tensor([[0, -1, 1]] * 2),
            **dict(noise_level=torch.tensor([5, 200]), downscale=torch.tensor([2.0, 7.5])),
        )
        with torch.no_grad():
            alone = unet(x, t, text)
            assert alone.std() > 0.05
            assert torch.equal(model.backbone(x, t, text, **told), alone)

    def test_what_is_frozen_rests(self):
        model = build().train()
        assert model.training
        assert model.backbone.adapter.training
        assert not model.autoencoder.training
        assert not any(m.training for m in model.unet.children() for m in m.modules())
        assert all(m.training for m in model.backbone.adapter.modules())
        everything = build(trainable="all").train()
        assert all(m.training for m in everything.backbone.modules())
        assert not any(m.training for m in everything.eval().modules())

    def test_checkpointing_changes_no_number(self):
        plain = shake(build(trainable="all"))
        saving = shake(build(trainable="all"))
        saving.backbone.set_gradient_checkpointing()
        grads = []
        for model in (plain, saving):
            model.train()
            torch.manual_seed(5)  # of the dropout
            loss = model.loss(*batch())["loss_v"]
            loss.backward()
            grads.append([loss.detach(), *(p.grad for p in model.backbone.parameters())])
        assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))

    def test_bf16_stays_close(self):
        model = shake(build()).train().eval()
        exact = model.loss(*batch())["loss_v"]
        with torch.autocast("cpu", torch.bfloat16):
            half = model.loss(*batch())["loss_v"]
        assert half.dtype == torch.float32
        assert half.item() == pytest.approx(exact.item(), rel=0.02)


class TestRecord:
    def test_steps_of_a_chain_are_found(self):
        record = {
            "name": "Compose",
            "scale": 3,
            "steps": [{"scale": 1}, {"downscale": 3.5, "key_frames": [0, 3], "noise_level": 9}],
        }
        told = conditioning_of(record, 2, 5, (6, 5), (20, 16))
        assert told.key_frame_index.tolist() == [0, -1, -1, 1, -1]
        assert (told.downscale, told.strength) == (3.5, 9)

    def test_without_a_record_the_clips_tell(self):
        told = conditioning_of(None, 3, 5, (10, 8), (20, 16))
        assert told.key_frame_index.tolist() == [0, -1, 1, -1, 2]
        assert (told.downscale, told.strength) == (2.0, None)
        assert conditioning_of({"key_frame_stride": 3}, 2, 5, (1, 1), (20, 16)).downscale == 8

    @pytest.mark.parametrize(
        ("record", "keys", "message"),
        [
            ({"key_frames": [0, 2]}, 3, r"degraded clip of 3 frames .* key frames \[0, 2\]"),
            ({"key_frames": [2, 0]}, 2, "rising, from 0 to 4"),
            ({"key_frames": [0, 9]}, 2, "rising, from 0 to 4"),
            ({}, 7, "one key frame for each degraded frame"),
            ({"noise_level": 1001}, 5, "noise_level is 1001; it must lie from 0 to 1000"),
        ],
    )
    def test_contradictions_are_told(self, record, keys, message):
        with pytest.raises(RequestError, match=message):
            conditioning_of(record, keys, 5, (10, 8), (20, 16))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((16, 16), r"16x16 pixels .* multiple of 4 plus 4, the width a multiple of 4"),
        ((18, 16), r"nearest: crop_px=\(16, 16\) or \(20, 16\)"),
        ((20, 18), r"nearest: crop_px=\(20, 16\) or \(20, 20\)"),
        ((21, 17), r"nearest: crop_px=\(20, 16\) or \(24, 20\)"),
        ((2, 2), r"nearest: crop_px=\(8, 4\)$"),
    ],
)
def test_illegal_sizes_name_the_nearest_legal_ones(size, message):
    model = build()
    if size == (16, 16):  # legal here: a height of 4k + 4
        model.check_training_size(*size)
        return
    with pytest.raises(RequestError, match=message):
        model.loss(torch.rand(1, 2, 3, *size), torch.rand(1, 2, 3, *size))


@pytest.mark.parametrize(
    ("training", "lora", "message"),
    [
        ({"trainable": "encoder"}, None, r"training\.trainable must be one of controlnet, unet, all, lora"),
        ({"trainable": "lora"}, None, r"needs model\.lora=dict"),
        ({"text_dropout": 1.5}, None, r"training\.text_dropout must lie from 0 to 1"),
        ({"strength": (5, 2)}, None, r"training\.strength must be \(least, most\) from 0 to 300"),
        ({"strength": 5}, None, r"training\.strength must be \(least, most\) from 0 to 300"),
        ({"min_snr_gamma": 0}, None, r"training\.min_snr_gamma must be above 0"),
        ({"strenght": (1, 2)}, None, r"training takes no 'strenght' \(allowed: trainable, "),
        ({}, {"rank": -1}, r"lora\.rank must be"),
        ({}, {"rnak": 2}, r"lora takes no 'rnak' \(allowed: rank, alpha, targets\)"),
        ({}, {"alpha": 2}, "lora needs rank"),
    ],
)
def test_settings_are_checked_before_any_work(training, lora, message):
    with pytest.raises(ConfigError, match=message):
        build(lora=lora, **training)


def test_a_lora_over_a_unet_alone_is_refused():
    with pytest.raises(ConfigError, match=r"weights\.unet leaves the adapter untrained"):
        MODELS.build({**TINY, "lora": {"rank": 2}, "weights": {"unet": "unet.safetensors"}})


@pytest.mark.parametrize(
    ("size", "steps", "factor"),
    [((8, 8), 60, 1.2), pytest.param((HEIGHT, WIDTH), 400, 3.0, marks=pytest.mark.slow)],
)
def test_a_handful_of_clips_is_learnt(size, steps, factor):
    """From nothing, the loss over two clips falls by a factor, at timesteps and noises that were none of those seen."""
    model = build(trainable="all", text_dropout=0.0)
    model.backbone.apply(lambda m: setattr(m, "p", 0.0) if isinstance(m, torch.nn.Dropout) else None)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3, betas=(0.9, 0.99))
    smooth = torch.rand(2, 3, 3, 3, 2, generator=torch.Generator().manual_seed(0))
    hq = F.interpolate(smooth.flatten(0, 1), size=size, mode="bilinear").unflatten(0, (2, 3))
    lq = [F.interpolate(clip[::2], scale_factor=0.5) for clip in hq]

    def loss(seed):
        told = {"key_frames": [0, 2], "downscale": 2.0, "noise_level": 50}
        return model.loss(lq, hq, [{**told, "seed": seed}, {**told, "seed": seed + 1}])["loss_v"]

    @torch.no_grad()
    def held_out():
        return sum(loss(10_000 + 2 * i).item() for i in range(16)) / 16

    before = held_out()
    for step in range(steps):
        optimiser.zero_grad()
        loss(2 * step).backward()
        optimiser.step()
    assert held_out() < before / factor
