"""AdversarialRestorer: a step is what its paper says, and restoring needs nothing of it."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper, OptimWrapperDict

from tests.contract import tiny
from vrestore.errors import ConfigError
from vrestore.registry import MODELS

RATE = 0.1


def adversarial(kind="AdversarialRestorer", **changes):
    config = {
        **tiny.RESTORERS[kind],
        "pixel_loss": dict(type="L1Loss"),
        "gan_loss": dict(type="GANLoss", loss_weight=0.5),
        "perceptual_loss": tiny.LOSSES["PerceptualLoss"],
        **changes,
    }
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.build_for_training()
    return model


def optimisers(model):
    parts = {
        name: OptimWrapper(torch.optim.SGD(getattr(model, name).parameters(), lr=RATE))
        for name in model.optimised_parts
    }
    return OptimWrapperDict(**parts)


def batch(clips=2, frames=2, side=8, scale=4, **more):
    hq = torch.rand(clips, frames, 3, side * scale, side * scale)
    return {"lq": F.avg_pool2d(hq.flatten(0, 1), scale).unflatten(0, (clips, frames)), "hq": hq, **more}


def test_only_training_builds_the_discriminator_and_its_losses():
    model = MODELS.build(
        {
            **tiny.RESTORERS["AdversarialRestorer"],
            "perceptual_loss": dict(type="PerceptualLoss", layer_weights={"2": 1}, weights="/nowhere.pth"),
        }
    )
    assert (model.discriminator, model.gan_loss, model.perceptual_loss) == (None, None, None)
    plain = MODELS.build(tiny.RESTORERS["RegressionRestorer"])
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert set(model.loss(**batch())) == {"loss_pixel"}
    with pytest.raises(ConfigError, match=r"call build_for_training\(\) first"):
        model.train_step(batch(), {})


@pytest.mark.parametrize("kind", ["AdversarialRestorer", "FramewiseAdversarialRestorer"])
def test_a_step_is_one_of_each_side(kind):
    model, twin = adversarial(kind), adversarial(kind)
    data = batch()
    told = model.train_step(data, optimisers(model))

    # By hand: the generator against the discriminator as it was, then that on the frames as they were.
    score, bce = twin.discriminator, F.binary_cross_entropy_with_logits
    restored = twin.run_network(data["lq"])
    flat, clean = restored.flatten(0, 1), data["hq"].flatten(0, 1)
    judged = score(flat)
    whole = (flat - clean).abs().mean() + twin.perceptual_loss(flat, clean) + 0.5 * bce(judged, torch.ones_like(judged))
    steps = dict(
        zip(twin.backbone.parameters(), torch.autograd.grad(whole, list(twin.backbone.parameters())), strict=True)
    )
    real, fake = score(clean), score(flat.detach())
    both = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    steps |= dict(zip(score.parameters(), torch.autograd.grad(both, list(score.parameters())), strict=True))
    with torch.no_grad():
        for parameter, gradient in steps.items():
            parameter -= RATE * gradient

    assert told["loss"].item() == pytest.approx(whole.item(), rel=1e-5)
    assert (told["loss_d_real"] + told["loss_d_fake"]).item() == pytest.approx(both.item(), rel=1e-5)
    assert told["score_fake"].item() == pytest.approx(fake.mean().item(), rel=1e-4)
    ours, theirs = model.state_dict(), twin.state_dict()
    assert ours.pop("step_counter") == 1
    theirs.pop("step_counter")
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("unsharpened_for", [("gan",), (), ("gan", "pixel"), ("perceptual",)])
def test_each_loss_sees_the_clean_clips_it_is_to_see(unsharpened_for):
    model = adversarial(unsharpened_for=unsharpened_for)
    judged, compared = [], {}
    model.discriminator.register_forward_pre_hook(lambda _, inputs: judged.append(inputs[0]))
    model.pixel_loss.register_forward_pre_hook(lambda _, inputs: compared.update(pixel=inputs[1]))
    parts = model.perceptual_loss.parts
    model.perceptual_loss.parts = lambda x, y: compared.update(perceptual=y) or parts(x, y)
    data = batch()
    data["hq_unsharpened"] = data["hq"] * 0.9
    model.train_step(data, optimisers(model))
    of_generator, clean, restored = judged
    assert torch.equal(of_generator, restored)
    assert not restored.requires_grad
    for name, seen in {"gan": clean, **compared}.items():
        expected = data["hq_unsharpened" if name in unsharpened_for else "hq"]
        assert torch.equal(seen.reshape(expected.shape), expected), name


def test_a_discriminator_alone_moves_nothing_else():
    model = adversarial(disc_steps=3)
    optimiser, before = optimisers(model), None
    for step in range(6):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        told = model.train_step(batch(), optimiser)
        assert {"loss", "loss_pixel", "loss_gan", "loss_perceptual"} <= told.keys()
        moved = any(not torch.equal(v, before[n]) for n, v in model.state_dict().items() if n.startswith("backbone."))
        assert moved == (step in (2, 5))
        assert not torch.equal(before["discriminator.conv9.weight"], model.discriminator.conv9.weight)
        assert all(p.requires_grad for p in model.discriminator.parameters())
        assert model.discriminator.training


def test_due_steps_are_those_of_the_published_trainers():
    model = adversarial(disc_steps=2, disc_init_steps=3)
    # iteration k (from 1) trains the generator where k is a multiple of 2 above 3
    assert [k for k in range(1, 11) if model.generator_is_due(k - 1)] == [4, 6, 8, 10]
