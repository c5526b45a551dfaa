"""EDVR and its blocks against the stored outputs of MMagic and BasicSR, by official names and through load_network."""

import re

import pytest
import torch

from tests.checkpoints.parts import basicsr_names
from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import EDVR
from vrestore.checkpoints.families.edvr import EDVR_RULES
from vrestore.layers.pcd_alignment import PCDAlignment
from vrestore.layers.tsa_fusion import TSAFusion

# BasicSR's arguments -> MMagic's, which are ours
ARGUMENTS = {
    "num_in_ch": "in_channels",
    "num_out_ch": "out_channels",
    "num_feat": "mid_channels",
    "num_frame": "num_frames",
    "deformable_groups": "deform_groups",
    "num_extract_block": "num_blocks_extraction",
    "num_reconstruct_block": "num_blocks_reconstruction",
}


def arguments(entry: dict) -> dict:
    return {ARGUMENTS.get(name, name): value for name, value in entry["args"].items()}


def slow_if_official(names):
    return [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in names]


@pytest.mark.parametrize("name", ref.names("op/pcd_"))
@torch.no_grad()
def test_pcd_alignment(name):
    entry = ref.manifest()[name]
    block = PCDAlignment(**arguments(entry))
    weights = ref.official_weights(block, entry, basicsr_names if "basicsr" in name else lambda state: state)
    for pattern, replacement in EDVR_RULES:
        weights = {re.sub(pattern, replacement, key): value for key, value in weights.items()}
    block.load_state_dict(weights)
    features = [ref.make_input(spec) for spec in entry["inputs"]]
    ref.check(entry, "out", block(features[:3], features[3:]))


@pytest.mark.parametrize("name", ref.names("op/tsa_"))
@torch.no_grad()
def test_tsa_fusion(name):
    entry = ref.manifest()[name]
    block = ref.fill(TSAFusion(**entry["args"]), entry)
    ref.check(entry, "out", block(ref.make_input(entry["inputs"][0])))


@pytest.mark.parametrize("name", slow_if_official(ref.names("edvr/")))
@torch.no_grad()
def test_edvr(name):
    entry = ref.manifest()[name]
    wanted = EDVR(**arguments(entry))
    weights = ref.official_weights(wanted, entry, basicsr_names if "basicsr" in name else lambda state: state)
    lq = ref.make_input(entry["inputs"][0])
    if "mmagic" in name:
        ref.check(entry, "out", ref.fill(wanted, entry)(lq))
    loaded = load_network(weights)
    for argument in ("num_frames", "center_frame_idx", "hr_in", "scale"):
        assert getattr(loaded, argument) == getattr(wanted, argument)
    ref.check(entry, "out", loaded(lq))
