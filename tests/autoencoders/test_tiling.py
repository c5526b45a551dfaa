import pytest
import torch

from vrestore.autoencoders.tiling import Tiling, blend_time, decode_in_pieces, run_tiles
from vrestore.errors import ConfigError


def enlarge(z):
    return z.repeat_interleave(2, -1).repeat_interleave(2, -2)


@pytest.mark.parametrize("tiling", [
    None,
    Tiling(4, 5, 1, 2, 3, 1),
    Tiling(4, None, 3, 0, None, 0),
    Tiling(None, 4, 0, 0, 4, 3),
    Tiling(2, 2, 1, 1, 1, 0),
])  # fmt: skip
@pytest.mark.parametrize("frames", [1, 2, 11])
def test_a_local_decoder_leaves_no_seam(tiling, frames):
    z = torch.randn(2, 3, frames, 9, 14)
    out = torch.cat(list(decode_in_pieces(enlarge, z, tiling, 2)), dim=2)
    torch.testing.assert_close(out, enlarge(z), atol=1e-5, rtol=1e-5)


def test_pieces_bound_what_is_decoded_at_once():
    seen = []

    def decode(z):
        seen.append(z.shape[2:])
        return enlarge(z)

    blocks = list(decode_in_pieces(decode, torch.zeros(1, 1, 40, 30, 30), Tiling(8, 8, 2, 2, 5, 2), 2))
    assert max(s[0] for s in seen) <= 7
    assert max(s[1] for s in seen) <= 11
    assert max(s[2] for s in seen) <= 11
    assert max(b.shape[2] for b in blocks) <= 7
    assert sum(b.shape[2] for b in blocks) == 40


def test_tiles_of_an_encoder_step_by_pixels():
    x = torch.randn(1, 1, 40, 56)
    pool = torch.nn.AvgPool2d(4)
    out = run_tiles(pool, x, Tiling(4, 4, 1, 1, None, 0), step_in=4)
    torch.testing.assert_close(out, pool(x))


def test_time_blends_in_a_straight_line():
    before, after = torch.zeros(1, 1, 5, 1, 1), torch.ones(1, 1, 4, 1, 1)
    assert blend_time(before, after, 2).flatten().tolist() == [0, 0.5, 1, 1]
    assert blend_time(before, after, 0) is after


@pytest.mark.parametrize("sizes", [{"tile_h": 4, "overlap_h": 4}, {"window_frames": 0}, {"tile_w": 5, "overlap_w": -1}])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ConfigError, match="tiling needs"):
        Tiling(**sizes)
