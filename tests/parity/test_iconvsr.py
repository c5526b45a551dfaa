"""IconVSR against the stored outputs of MMagic and BasicSR, by official names and through load_network."""

import pytest
import torch

from tests.checkpoints.parts import basicsr_names
from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import IconVSR

ARGUMENTS = {"num_feat": "mid_channels", "num_block": "num_blocks", "temporal_padding": "padding"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("iconvsr/")]
)
@torch.no_grad()
def test_iconvsr(name):
    entry = ref.manifest()[name]
    wanted = IconVSR(**{ARGUMENTS.get(key, key): value for key, value in entry["args"].items()})
    weights = ref.official_weights(wanted, entry, basicsr_names if "basicsr" in name else lambda state: state)
    lq = ref.make_input(entry["inputs"][0])
    if "mmagic" in name:
        ref.check(entry, "out", ref.fill(wanted, entry)(lq))
    loaded = load_network(weights, keyframe_stride=entry["args"]["keyframe_stride"])
    assert loaded.padding == wanted.padding
    ref.check(entry, "out", loaded(lq))
