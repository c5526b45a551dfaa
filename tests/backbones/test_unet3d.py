"""UNet3D: shapes, sizes, precisions, memory switches and the attaching of adapters. (References: tests/parity.)"""

import pytest
import torch

from tests.backbones.latents import CONTROL, TINY, conditions, inputs, tiny_unet
from vrestore.adapters import BaseAdapter, ControlResiduals, VideoControlNet
from vrestore.backbones import UNet3D
from vrestore.errors import ConfigError, RegistryError, RequestError
from vrestore.registry import ADAPTERS, BACKBONES


@pytest.fixture(scope="module")
def unet():
    return tiny_unet()


@pytest.fixture(scope="module")
def controlled():
    return tiny_unet(adapter=CONTROL)


@pytest.mark.parametrize(("batch", "frames", "height", "width"), [(1, 1, 4, 2), (2, 3, 6, 4), (1, 2, 8, 10)])
@torch.no_grad()
def test_one_prediction_for_each_latent(unet, batch, frames, height, width):
    latents, timesteps, text = inputs(batch, frames, height, width)
    before = latents.clone()
    out = unet(latents, timesteps, text)
    assert out.shape == latents.shape
    assert out.isfinite().all()
    assert torch.equal(latents, before), "the caller's latents were changed"


@torch.no_grad()
def test_samples_of_a_batch_know_nothing_of_each_other(controlled):
    given, told = inputs(), conditions()
    together = controlled(*given, **told)
    for i in range(2):
        alone = controlled(*(x[i : i + 1] for x in given), **{k: v[i : i + 1] for k, v in told.items()})
        torch.testing.assert_close(together[i : i + 1], alone, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_frames_time_and_text_all_count(unet):
    latents, timesteps, text = inputs()
    out = unet(latents, timesteps, text)
    assert not torch.allclose(out, unet(latents, timesteps + 1, text), atol=1e-4)
    assert not torch.allclose(out, unet(latents, timesteps, text * 2), atol=1e-4)
    other = latents.clone()
    other[:, :, 2] += 1
    assert not torch.allclose(out[:, :, 0], unet(other, timesteps, text)[:, :, 0], atol=1e-4)


@torch.no_grad()
def test_numbers_for_all_samples_or_for_each(controlled):
    latents, _, text = inputs()
    told = {**conditions(), "noise_level": torch.tensor([50, 50]), "downscale": torch.tensor([2.5, 2.5])}
    each = controlled(latents, torch.tensor([7, 7]), text, **told)
    assert torch.equal(each, controlled(latents, 7, text, **{**told, "noise_level": 50, "downscale": 2.5}))


def test_a_zero_control_net_changes_no_bit():
    net = tiny_unet()
    net.attach(VideoControlNet.from_unet(net))
    with torch.no_grad():
        assert torch.equal(net(*inputs(), **conditions()), net.denoise(*inputs()))


@torch.no_grad()
def test_an_adapter_takes_part(controlled):
    controlled_out = controlled(*inputs(), **conditions())
    assert not torch.allclose(controlled_out, controlled.denoise(*inputs()), atol=1e-3)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.15), (torch.float16, 0.03)])
@torch.no_grad()
def test_half_precision_stays_close(controlled, dtype, tolerance):
    exact = controlled(*inputs(), **conditions())
    half = tiny_unet(adapter=CONTROL).to(dtype)
    assert half.dtype == dtype
    out = half(*inputs(), **conditions())
    assert out.dtype == torch.float32  # that of the latents: samplers go on in full precision
    assert (out - exact).abs().max() < tolerance * exact.std()
    latents, timesteps, text = inputs()
    assert half(latents.to(dtype), timesteps, text, **conditions()).dtype == dtype


@torch.no_grad()
def test_a_single_precision_adapter_serves_a_half_precision_unet(controlled):
    exact = controlled(*inputs(), **conditions())
    mixed = tiny_unet(adapter=CONTROL).to(torch.bfloat16)
    mixed.adapter.float()
    assert (mixed(*inputs(), **conditions()) - exact).abs().max() < 0.15 * exact.std()


@torch.no_grad()
def test_autocast_stays_close(controlled):
    exact = controlled(*inputs(), **conditions())
    with torch.autocast("cpu", torch.bfloat16):
        out = controlled(*inputs(), **conditions())
    assert out.dtype == torch.float32
    assert (out - exact).abs().max() < 0.15 * exact.std()


@pytest.mark.parametrize("chunk_tokens", [1, 7, 24, 60])
@torch.no_grad()
def test_chunks_change_no_result(controlled, chunk_tokens):
    chunked = UNet3D(**TINY, adapter=CONTROL, chunk_tokens=chunk_tokens).eval()
    chunked.load_state_dict(controlled.state_dict())
    assert chunked.adapter.sizes["chunk_tokens"] == chunk_tokens
    torch.testing.assert_close(
        chunked(*inputs(), **conditions()), controlled(*inputs(), **conditions()), atol=2e-5, rtol=1e-4
    )


def test_gradient_checkpointing_changes_no_gradient():
    net = tiny_unet(adapter=CONTROL)
    found = []
    for on in (False, True):
        net.set_gradient_checkpointing(on)
        assert net.adapter.gradient_checkpointing is on
        net.zero_grad()
        net(*inputs(), **conditions()).square().mean().backward()
        found.append({name: p.grad.clone() for name, p in net.named_parameters()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-6, rtol=1e-4, msg=name)
        assert gradient.abs().sum() > 0, name


def test_gradient_checkpointing_keeps_less():
    latents, timesteps, text = inputs(1, 2)
    kept = []
    for on in (False, True):
        net = tiny_unet(gradient_checkpointing=on)
        weights = {p.data_ptr() for p in net.parameters()}
        sizes = []

        def pack(tensor, weights=weights, sizes=sizes):
            if tensor.data_ptr() not in weights:
                sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            net(latents, timesteps, text).mean()
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


@torch.no_grad()
def test_legal_sizes(unet):
    assert unet.least_legal_size(5, 3) == (6, 4)
    assert unet.least_legal_size(6, 4) == (6, 4)
    latents, timesteps, text = inputs(height=5, width=4)
    with pytest.raises(
        RequestError, match=r"latents of 5x4 do not survive 1 halvings.*multiple of 2 plus 2.*pad .* 6x4"
    ):
        unet(latents, timesteps, text)


def test_inputs_that_do_not_fit(unet):
    latents, timesteps, text = inputs()
    with pytest.raises(RequestError, match=r"latents must have the shape \(B, 4, T, H, W\); got \(2, 3, 3, 6, 4\)"):
        unet(latents[:, :3], timesteps, text)
    with pytest.raises(RequestError, match=r"text must have the shape \(2, L, 8\).*got \(1, 5, 8\)"):
        unet(latents, timesteps, text[:1])
    with pytest.raises(RequestError, match="timesteps holds 3 numbers for 2 samples"):
        unet(latents, [1, 2, 3], text)
    with pytest.raises(RequestError, match=r"noise_level was given to a UNet3D without an adapter.*VideoControlNet"):
        unet(latents, timesteps, text, noise_level=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 40}, "dim must be a multiple of 32"),
        ({"dim_mult": (1, 1.5)}, r"dim_mult must name a whole multiple of dim for each level; got \(1, 1.5\)"),
        ({"head_dim": 24}, "head_dim=24 must divide the channels of every level that attends; got 32"),
        ({"attn_scales": (1.0, 0.3)}, "attn_scales holds 0.3, which is no level"),
        ({"chunk_tokens": 0}, "chunk_tokens must be 1 or more"),
        ({"adapter": 3}, "adapter must be a BaseAdapter or the config of one; got int"),
        (
            {"adapter": {"type": "VideoControlNet", "width": 3}},
            r"VideoControlNet \(ADAPTERS\) takes no argument 'width'",
        ),
        ({"adapter": {"dim": 32}}, "without a 'type'"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ConfigError, match=message):
        UNet3D(**{**TINY, **arguments})


def test_an_unknown_adapter():
    with pytest.raises(
        RegistryError, match=r"'VideoControlnet' is not registered in ADAPTERS; closest: VideoControlNet"
    ):
        UNet3D(**TINY, adapter={"type": "VideoControlnet"})


def test_an_adapter_of_another_kind():
    @ADAPTERS.register_module()
    class MiddleBias(BaseAdapter):
        """Adds one number for each channel where the UNet is smallest."""

        def __init__(self, middle_channels, strength=1.0):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.ones(middle_channels) * strength)

        def forward(self, latents, timesteps, text, noise_level=None, **conditions):
            assert not [name for name, value in conditions.items() if value is not None]
            return ControlResiduals([], self.bias.view(1, -1, 1, 1) * noise_level)

    try:
        net = tiny_unet(adapter={"type": "MiddleBias", "strength": 0.5})
        assert net.adapter.bias.shape == (64,)
        assert "MiddleBias.bias" in net.state_dict()
        with torch.no_grad():
            base = net.denoise(*inputs())
            assert torch.equal(net(*inputs(), noise_level=0.0), base)
            assert not torch.allclose(net(*inputs(), noise_level=1.0), base, atol=1e-3)
        net.attach(CONTROL)
        assert isinstance(net.adapter, VideoControlNet)
        assert not any(name.startswith("MiddleBias") for name in net.state_dict())
        net.attach(None)
        assert net.adapter is None
        assert net.state_dict().keys() == tiny_unet().state_dict().keys()
    finally:
        ADAPTERS.module_dict.pop("MiddleBias")


def test_an_adapter_of_a_taken_name():
    class out(BaseAdapter):
        """Called as the UNet's last layers are."""

    with pytest.raises(ConfigError, match="an adapter cannot be called out"):
        tiny_unet().attach(out())


def test_built_from_a_config():
    net = BACKBONES.build({"type": "UNet3D", **TINY, "adapter": {**CONTROL, "dropout": 0.3}})
    assert net.adapter.sizes == {**net.sizes, "dropout": 0.3}
    assert {name.partition(".")[0] for name in net.state_dict()} == {
        *("time_embed", "input_blocks", "middle_block", "output_blocks", "out", "VideoControlNet")
    }
