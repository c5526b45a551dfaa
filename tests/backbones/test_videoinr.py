"""VideoINR: any size and any times, in pieces and at once, its two paths, what is refused."""

import pytest
import torch

from vrestore.backbones import VideoINR
from vrestore.backbones.videoinr import moved_grid, pixel_centres

SMALL = dict(mid_channels=6, deform_groups=2, front_blocks=1, back_blocks=1, hr_channels=5)
HIDDEN = dict(feature_hidden=[8], flow_hidden=[8], encode_hidden=[8, 8])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VideoINR(**SMALL, **HIDDEN).eval()


@pytest.fixture(scope="module")
def pair():
    return torch.rand(2, 2, 3, 8, 12)


@pytest.mark.parametrize(
    ("scale", "size"),
    [(4, (32, 48)), (1, (8, 12)), (2.5, (20, 30)), ((19, 7), (19, 7)), ([[32], [48]], (32, 48)), (8, (64, 96))],
)
@torch.no_grad()
def test_any_size(network, pair, scale, size):
    assert network(pair, [0.0, 0.3, 1.0], scale).shape == (2, 3, 3, *size)
    wanted = tuple(torch.tensor([side]) for side in size)
    assert torch.equal(network(pair, 0.3, wanted), network(pair, [0.3], scale))


@torch.no_grad()
def test_times_in_every_form(network, pair):
    out = network(pair, [0.25, 0.75], 2)
    for times in (torch.tensor([0.25, 0.75]), [torch.full((1, 1), 0.25), torch.full((1, 1), 0.75)]):
        assert torch.equal(network(pair, times, 2), out)
    each = network(pair, [torch.tensor([[0.25], [0.75]])], 2)  # a time a clip
    torch.testing.assert_close(each[:, 0], torch.stack([out[0, 0], out[1, 1]]), atol=1e-6, rtol=0)
    assert not torch.allclose(out[:, 0], out[:, 1], atol=1e-4)


@torch.no_grad()
def test_pieces_give_what_is_given_at_once(network, pair):
    whole = network(pair, [0.4], (21, 13))
    pieces = VideoINR(**SMALL, **HIDDEN, points=40).eval()
    pieces.load_state_dict(network.state_dict())
    torch.testing.assert_close(pieces(pair, [0.4], (21, 13)), whole, atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_test_path_differs_from_the_training_path(network, pair):
    assert not torch.allclose(network(pair, 0.5, 4), network(pair, 0.5, 4, test=False), atol=1e-4)


def test_what_it_cannot_take_is_named(network, pair):
    with pytest.raises(ValueError, match=r"exactly 2 frames, \(B, 2, 3, h, w\), got \(2, 1, 3, 8, 12\)"):
        network(pair[:, :1])
    with pytest.raises(ValueError, match="multiples of 4, got 8x11"):
        network(pair[..., :-1])
    with pytest.raises(ValueError, match=r"timestep must lie from 0 .* got -0\.1"):
        network(pair, [0.5, -0.1])
    for scale in (0, -1, (4,), "large", (0, 9)):
        with pytest.raises(ValueError, match=r"scale must be a factor > 0 or \(height, width\)"):
            network(pair, 0.5, scale)


def test_layers_that_serve_nothing_are_not_trained(network):
    frozen = {name.split(".")[0] for name, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"upconv1", "upconv2", "HRconv", "conv_last"}


def test_pixel_centres_and_moved_places():
    centres = pixel_centres((2, 4), torch.zeros(1))
    torch.testing.assert_close(centres[0, :, 0, 1], torch.tensor([-0.5, 0.5]))
    torch.testing.assert_close(centres[0, 0, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    flow = torch.zeros(1, 2, 2, 5)
    flow[:, 0], flow[:, 1] = 2, -1
    grid = moved_grid(flow, slice(1, 3), (3, 5))
    assert grid.shape == (1, 2, 5, 2)
    torch.testing.assert_close(grid[0, 0, :, 0], torch.tensor([0, 0.5, 1, 1, 1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(grid[0, :, 0, 1], torch.tensor([-1.0, 0.0]), atol=1e-5, rtol=0)
