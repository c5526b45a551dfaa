"""load_network on EDVR: both namings, every variant told by its shapes, and what is said when weights do not fit."""

import pytest
import torch

from tests.checkpoints.families.official import check_official
from tests.checkpoints.parts import basicsr_names, same_weights
from tests.paths import needs_shared_parity
from vrestore.backbones import EDVR
from vrestore.checkpoints import load_network
from vrestore.checkpoints.network import fill_from_file
from vrestore.errors import WeightsError

ODD = dict(
    **dict(mid_channels=6, num_frames=3, deform_groups=3, num_blocks_extraction=2, num_blocks_reconstruction=4),
    hr_channels=5,
)
VARIANTS = {
    "tsa": {},
    "wotsa": dict(with_tsa=False),
    "predeblur": dict(with_predeblur=True),
    "hr": dict(with_predeblur=True, hr_in=True),
    "hr-wotsa": dict(with_tsa=False, with_predeblur=True, hr_in=True),
    "seven frames": dict(num_frames=7),
    "grey": dict(in_channels=1, out_channels=1),
}
KEYS = [
    ("mmagic_edvr_m", {}),
    ("mmagic_edvr_m_wotsa", dict(with_tsa=False)),
    ("mmagic_edvr_l", dict(mid_channels=128, num_blocks_reconstruction=40)),
    ("mmagic_edvr_l_wotsa", dict(mid_channels=128, num_blocks_reconstruction=40, with_tsa=False)),
    ("basicsr_edvr_m_x4_reds", {}),
    ("basicsr_edvr_l_x4_reds", dict(mid_channels=128, num_blocks_reconstruction=40)),
    ("basicsr_edvr_l_x4_vimeo", dict(mid_channels=128, num_blocks_reconstruction=40, num_frames=7)),
    ("basicsr_edvr_l_srblur_reds", dict(mid_channels=128, num_blocks_reconstruction=40, with_predeblur=True)),
    ("basicsr_edvr_l_deblur_reds", dict(mid_channels=128, with_predeblur=True, hr_in=True)),
]


@needs_shared_parity
@pytest.mark.parametrize(("variant", "told"), KEYS)
def test_official_lists(variant, told):
    arguments = check_official(variant, "EDVR")
    assert {name: arguments[name] for name in told} == told


@pytest.mark.parametrize("release", [lambda s: s, lambda s: {"params": basicsr_names(s)}])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_variants_and_odd_sizes(variant, release):
    network = EDVR(**{**ODD, **VARIANTS[variant]}).eval()
    network.conv_last.weight.normal_()
    loaded = load_network(release(network.state_dict()))
    assert isinstance(loaded, EDVR)
    assert same_weights(loaded, network)
    lq = torch.rand(1, network.num_frames, network.predeblur.conv_first.in_channels if network.predeblur
                    else network.conv_first.in_channels, 16, 16)  # fmt: skip
    assert torch.equal(loaded(lq), network(lq))


def test_the_centre_frame_is_a_keyword():
    state = EDVR(**ODD).state_dict()
    assert load_network(state).center_frame_idx == 1
    assert load_network(state, center_frame_idx=2).center_frame_idx == 2


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (dict(with_tsa=False), "with_tsa=False contradicts the weights: their shapes say with_tsa=True"),
        (dict(num_frames=5), "num_frames=5 contradicts the weights: their shapes say num_frames=3"),
        (dict(blocks=3), r"EDVR takes no keyword 'blocks' \(allowed: center_frame_idx, in_channels"),
    ],
)
def test_keywords_that_do_not_fit(keywords, message):
    with pytest.raises(WeightsError, match=message):
        load_network(EDVR(**ODD).state_dict(), **keywords)


def test_weights_of_another_variant_name_what_is_amiss(tmp_path):
    file = tmp_path / "wotsa.pth"
    torch.save({"params": basicsr_names(EDVR(**ODD, with_tsa=False).state_dict())}, file)
    with pytest.raises(WeightsError, match=r"wotsa\.pth for EDVR does not fit: .* missing \(fusion\.temporal_attn1"):
        fill_from_file(EDVR(**ODD), file)


def test_weights_without_their_last_layers():
    state = {k: v for k, v in EDVR(**ODD).state_dict().items() if not k.startswith(("conv_hr", "conv_last", "upsa"))}
    with pytest.raises(WeightsError, match=r"looks like EDVR, but does not fit: .* missing \("):
        load_network(state)
