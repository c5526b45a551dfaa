"""Frames one by one through image networks: ours, spandrel's, grey ones; sizes, batches, training."""

import importlib

import pytest
import torch

from vrestore.backbones import SpandrelImageNetwork
from vrestore.errors import ConfigError, WeightsError
from vrestore.registry import BACKBONES, MODELS
from vrestore.restorers import Request
from vrestore.restorers.base import resize_to

SRVGG = dict(type="SRVGGNetCompact", mid_channels=6, num_convs=1, upscale_factor=2)
RRDB1 = dict(type="RRDBNet", mid_channels=6, num_blocks=1, growth_channels=4, upscale_factor=1)


@BACKBONES.register_module()
class Picky(torch.nn.Module):
    """Twice the image, if its sides keep the rules; notes what it saw."""

    scale, size_multiple, least_size_px, square = 2, 8, 24, True

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


def framewise(backbone, **more):
    torch.manual_seed(1)
    return MODELS.build(dict(type="FramewiseRestorer", backbone=backbone, **more)).eval()


def spandrel_network(family, module, arguments):
    pytest.importorskip("spandrel")
    torch.manual_seed(2)
    arch = importlib.import_module(f"spandrel.architectures.{family}.__arch.{module[0]}")
    return getattr(arch, module[1])(**arguments).eval()


# Architectures of unlike rules: none, least 2, multiple of 4, least 40, square multiple of 128, grey and its own call.
FOREIGN = {
    "compact": (
        "Compact",
        ("SRVGG", "SRVGGNetCompact"),
        dict(num_in_ch=3, num_out_ch=3, num_feat=6, num_conv=2, upscale=3),
    ),
    "esrgan": ("ESRGAN", ("RRDB", "RRDBNet"), dict(num_filters=6, num_blocks=1, scale=2)),
    "esrgan-x1": (
        "ESRGAN",
        ("RRDB", "RRDBNet"),
        dict(in_nc=48, num_filters=6, num_blocks=1, scale=4, shuffle_factor=4),
    ),
    "scunet": ("SCUNet", ("SCUNet", "SCUNet"), dict(in_nc=3, config=[1] * 7, dim=64)),
    "uformer": ("Uformer", ("Uformer", "Uformer"), dict(img_size=128, embed_dim=4, depths=[1] * 9, win_size=8)),
    "dncnn": ("DnCNN", ("network_dncnn", "DnCNN"), dict(in_nc=3, out_nc=3, nc=4, nb=17, act_mode="R")),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("size", [(9, 14), (33, 21)])
def test_equals_spandrel_frame_by_frame(name, size):
    network = spandrel_network(*FOREIGN[name])
    restorer = framewise(dict(type="SpandrelImageNetwork"), batch_frames=2)
    restorer.backbone.attach_weights(network.state_dict())
    import spandrel

    descriptor = spandrel.ModelLoader().load_from_state_dict(network.state_dict())
    frames = torch.rand(3, 3, *size)
    wanted = torch.cat([descriptor(frame[None]) for frame in frames])
    torch.testing.assert_close(restorer.restore(frames), wanted, atol=2e-6, rtol=1e-5)
    capabilities = restorer.capabilities
    assert capabilities.spatial_scales.fixed == (descriptor.scale,)
    assert capabilities.size_multiple == descriptor.size_requirements.multiple_of
    assert ("fp16" in capabilities.dtypes) == descriptor.supports_half
    assert (capabilities.tile_overlap_px is not None) == (descriptor.tiling.name == "SUPPORTED")


def test_a_model_that_calls_itself_gets_one_frame_at_a_time():
    network = spandrel_network(*FOREIGN["dncnn"])
    net = SpandrelImageNetwork()
    net.attach_weights(network.state_dict())
    assert not net._takes_batches()
    x = torch.rand(3, 3, 8, 8)
    assert torch.equal(net(x), torch.cat([net(image[None]) for image in x]))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_models(channels):
    arguments = {**FOREIGN["compact"][2], "num_in_ch": channels, "num_out_ch": channels}
    network = spandrel_network("Compact", ("SRVGG", "SRVGGNetCompact"), arguments)
    restorer = framewise(dict(type="SpandrelImageNetwork"), grey="channels")
    restorer.backbone.attach_weights(network.state_dict())
    frames = torch.rand(2, 3, 8, 10)
    with torch.no_grad():
        wanted = network(frames) if channels == 3 else torch.cat([network(frames[:, c : c + 1]) for c in range(3)], 1)
    torch.testing.assert_close(restorer.restore(frames), wanted.clamp(0, 1))


def test_luma_is_restored_and_colour_differences_stay():
    restorer = framewise({**SRVGG, "in_channels": 1, "out_channels": 1})
    frames = torch.rand(2, 3, 8, 10) * 0.2 + 0.4
    with torch.no_grad():
        restored = restorer.restore_frames(frames, Request())
        luma = frames[:, :1] * 0.299 + frames[:, 1:2] * 0.587 + frames[:, 2:] * 0.114
        wanted = torch.cat([restorer.backbone(image[None]) for image in luma])
    got = restored[:, :1] * 0.299 + restored[:, 1:2] * 0.587 + restored[:, 2:] * 0.114
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)
    before = resize_to(frames, (16, 20))
    torch.testing.assert_close(restored[:, 0] - restored[:, 2], before[:, 0] - before[:, 2], atol=1e-5, rtol=0)
    grey = frames.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    same = restorer.restore(grey)
    torch.testing.assert_close(same[:, 0], same[:, 1])


@pytest.mark.parametrize(
    ("size", "padded"), [((24, 24), 24), ((23, 9), 24), ((25, 24), 32), ((3, 40), 40), ((41, 5), 48), ((1, 1), 24)]
)
def test_size_rules(size, padded):
    restorer = framewise(dict(type="Picky"))
    frames = torch.rand(2, 3, *size)
    out = restorer.restore(frames)
    assert torch.equal(out, frames.repeat_interleave(2, -1).repeat_interleave(2, -2))
    assert restorer.backbone.seen == [(1, 3, padded, padded)] * 2


def test_the_config_overrides_what_the_network_says():
    restorer = framewise(dict(type="Picky"), size_multiple=10, least_size_px=30, tile_overlap_px=3)
    assert restorer.restore(torch.rand(1, 3, 12, 33)).shape == (1, 3, 24, 66)
    assert restorer.backbone.seen == [(1, 3, 40, 40)]
    assert (restorer.capabilities.size_multiple, restorer.capabilities.tile_overlap_px) == (10, 3)


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_batches(batch):
    restorer = framewise(dict(type="Picky"), batch_frames=batch)
    restorer.restore(torch.rand(5, 3, 24, 24))
    assert [shape[0] for shape in restorer.backbone.seen] == [min(batch, 5 - i) for i in range(0, 5, batch)]
    net = framewise(RRDB1, batch_frames=batch)
    frames = torch.rand(5, 3, 9, 11)
    torch.testing.assert_close(net.restore(frames), framewise(RRDB1).restore(frames))


def test_it_needs_no_neighbours():
    capabilities = framewise(SRVGG).capabilities
    assert capabilities.context_frames == 0
    assert capabilities.tile_overlap_px == 3


def test_it_trains():
    restorer = framewise(SRVGG).train()
    losses = restorer(torch.rand(2, 3, 3, 8, 8), torch.rand(2, 3, 3, 16, 16), mode="loss")
    losses["loss_pixel"].backward()
    assert all(p.grad is not None for p in restorer.backbone.parameters())
    with pytest.raises(ConfigError, match="the data's scale and the network's scale differ"):
        restorer(torch.rand(2, 3, 3, 8, 8), torch.rand(2, 3, 3, 32, 32), mode="loss")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (dict(batch_frames=0), "batch_frames must be a whole number >= 1, got 0"),
        (dict(grey="hue"), "grey must be one of luma, channels, got 'hue'"),
    ],
)
def test_wrong_arguments(config, words):
    with pytest.raises(ConfigError, match=words):
        framewise(SRVGG, **config)


def test_kinds_of_networks_are_kept_apart():
    with pytest.raises(ConfigError, match="RegressionRestorer runs networks for clips; RRDBNet is one for images"):
        MODELS.build(dict(type="RegressionRestorer", backbone=RRDB1))


def test_channels_that_are_no_frame():
    restorer = framewise({**SRVGG, "in_channels": 4, "out_channels": 4})
    with pytest.raises(ConfigError, match="SRVGGNetCompact takes 4 channels; frames have 3"):
        restorer.restore(torch.rand(1, 3, 8, 8))


class TestForeignFiles:
    def test_nothing_is_known_before_there_are_weights(self):
        restorer = framewise(dict(type="SpandrelImageNetwork"))
        with pytest.raises(WeightsError, match="has no weights yet, and they decide what it is"):
            restorer.restore(torch.rand(1, 3, 8, 8))

    def test_of_no_architecture(self):
        pytest.importorskip("spandrel")
        with pytest.raises(WeightsError, match=r"a\.pth belongs to no architecture that spandrel \d"):
            SpandrelImageNetwork().attach_weights({"encoder.weight": torch.zeros(3)}, "a.pth")

    def test_that_do_not_fit(self):
        state = spandrel_network(*FOREIGN["compact"]).state_dict()
        state["body.2.weight"] = torch.zeros(3, 3)
        with pytest.raises(WeightsError, match=r"a\.pth does not fit the architecture that spandrel takes it for: "):
            SpandrelImageNetwork().attach_weights(state, "a.pth")

    def test_between_grey_and_colour(self):
        odd = dict(in_nc=1, out_nc=3, nc=4, nb=17, act_mode="R", mode="FDnCNN")
        network = spandrel_network("DnCNN", ("network_dncnn", "DnCNN"), odd)
        with pytest.raises(WeightsError, match="channels in and"):
            SpandrelImageNetwork().attach_weights(network.state_dict(), "a.pth")
