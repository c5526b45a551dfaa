"""PerceptualLoss against its formula, the weights it takes, and what does not see its network."""

import hashlib

import pytest
import torch
import torch.nn.functional as F

from vrestore.backbones import VGGFeatures
from vrestore.checkpoints.download import cached_path
from vrestore.errors import ConfigError, WeightsError
from vrestore.losses import PerceptualLoss

CHANNELS = (2, 3, 4, 5, 6)
REALBASICVSR = {"2": 0.1, "7": 0.1, "16": 1, "25": 1, "34": 1}
REALESRGAN = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as torchvision's: the convolutions and a classifier."""
    torch.manual_seed(1)
    state = {**VGGFeatures(channels=CHANNELS).state_dict(), "classifier.0.weight": torch.rand(3, 3)}
    file = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(state, file)
    return file


def loss(weights, layer_weights=REALBASICVSR, **changes):
    return PerceptualLoss(layer_weights, weights=str(weights), channels=CHANNELS, **changes)


def pair(size=64):
    torch.manual_seed(0)
    return torch.rand(1, 2, 3, size, size), torch.rand(1, 2, 3, size, size)


def features(file, frames, until):
    """What torchvision's configuration E computes: a convolution, or an activation, or a maximum at each number."""
    state, x, block, found = torch.load(file), frames.flatten(0, 1), 0, {}
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    for number in range(until + 1):
        if f"features.{number}.weight" in state:
            x = F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1)
        elif number in (4, 9, 18, 27, 36):
            x, block = F.max_pool2d(x, 2), block + 1
        else:
            x = x.relu()
        found[number] = x
    return found


def test_formula(weights):
    prediction, target = pair()
    seen, true = (features(weights, frames, 34) for frames in (prediction, target))
    distances = {int(n): (seen[int(n)] - true[int(n)]).abs().mean() for n in REALBASICVSR}
    expected = sum(REALBASICVSR[str(n)] * d for n, d in distances.items())
    torch.testing.assert_close(loss(weights)(prediction, target), expected)
    torch.testing.assert_close(loss(weights, perceptual_weight=0.5)(prediction, target), expected / 2)
    torch.testing.assert_close(loss(weights, REALESRGAN)(prediction, target), expected)
    square = (seen[16] - true[16]).square().mean()
    torch.testing.assert_close(loss(weights, {"16": 1.0}, criterion="mse")(prediction, target), square)


def test_style_is_the_distance_of_gram_matrices(weights):
    prediction, target = pair(16)
    seen, true = (features(weights, frames, 7)[7].flatten(2) for frames in (prediction, target))
    grams = [torch.einsum("nip,njp->nij", x, x) / (x.shape[1] * x.shape[2]) for x in (seen, true)]
    parts = loss(weights, {"2": 1}, layer_weights_style={"7": 2.0}, style_weight=0.3).parts(prediction, target)
    torch.testing.assert_close(parts["style"], 0.3 * 2 * (grams[0] - grams[1]).abs().mean())
    assert set(parts) == {"perceptual", "style"}
    alone = loss(weights, {"7": 2.0}, perceptual_weight=0, style_weight=0.3)
    torch.testing.assert_close(alone(prediction, target), parts["style"])


def test_ranges(weights):
    prediction, target = pair(16)
    plain = loss(weights, {"2": 1})(prediction, target)
    torch.testing.assert_close(loss(weights, {"2": 1}, norm_img=True)(prediction * 2 - 1, target * 2 - 1), plain)
    assert loss(weights, {"2": 1}, use_input_norm=False)(prediction, target) < plain


def test_nothing_else_sees_the_network(weights):
    prediction, target = pair(16)
    perceptual = loss(weights, {"2": 1}).train()
    perceptual(prediction.requires_grad_(), target.requires_grad_()).backward()
    assert prediction.grad.abs().sum() > 0
    assert target.grad is None
    (network,) = perceptual._network
    assert not network.training
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())
    assert not perceptual.state_dict()
    assert not list(perceptual.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert perceptual(prediction, target).dtype is torch.float32


def test_random_weights_are_always_the_same_and_draw_from_nobody():
    prediction, target = pair(16)
    losses = [PerceptualLoss({"2": 1}, channels=CHANNELS, untrained=True) for _ in range(2)]
    torch.manual_seed(5)
    one, drawn = losses[0](prediction, target), torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    assert torch.equal(losses[1](prediction, target), one)


def test_weights_come_from_an_address_with_its_sum(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("VRESTORE_CACHE", str(tmp_path))
    url = "http://127.0.0.1:9/vgg19.pth"
    place = {"url": url, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}
    missing = PerceptualLoss({"2": 1}, weights=place, channels=CHANNELS)
    with pytest.raises(
        WeightsError, match=r"could not download http://127\.0\.0\.1:9/vgg19\.pth .* by hand, put it at"
    ):
        missing.prepare()
    cached_path(url).parent.mkdir(parents=True, exist_ok=True)
    cached_path(url).write_bytes(weights.read_bytes())
    prediction, target = pair(16)
    assert torch.equal(missing(prediction, target), loss(weights, {"2": 1})(prediction, target))
    with pytest.raises(WeightsError, match=r"its SHA-256 is"):
        PerceptualLoss({"2": 1}, weights={**place, "sha256": "0" * 8}, channels=CHANNELS).prepare()


def test_what_does_not_fit_is_refused(weights, tmp_path):
    with pytest.raises(ConfigError, match=r"needs the weights of its vgg19: weights=dict\(url='https.*vgg19-dcbb9e9d"):
        PerceptualLoss({"2": 1})
    with pytest.raises(
        ConfigError, match=r"vgg19 has no layer 'conv6_1'; it has the numbers 0 to 36, or conv1_1 to conv5_4"
    ):
        PerceptualLoss({"conv6_1": 1}, untrained=True)
    with pytest.raises(ConfigError, match="vgg_type must be one of vgg16, vgg19, got 'vgg11'"):
        PerceptualLoss({"2": 1}, vgg_type="vgg11", untrained=True)
    with pytest.raises(ConfigError, match="criterion must be one of l1, mse, got 'fro'"):
        PerceptualLoss({"2": 1}, criterion="fro", untrained=True)
    with pytest.raises(WeightsError, match=r"for the perceptual loss, VGGFeatures, does not fit: .*features\.17"):
        PerceptualLoss({"2": 1}, weights=str(weights), vgg_type="vgg16", channels=CHANNELS).prepare()
    torch.save({"conv.weight": torch.rand(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth belongs to no known architecture"):
        PerceptualLoss({"2": 1}, weights=str(tmp_path / "other.pth")).prepare()
