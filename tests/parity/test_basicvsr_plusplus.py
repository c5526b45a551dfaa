"""BasicVSR++ and its alignment against the stored outputs of the official implementations, under both namings."""

import pytest
import torch

from tests.checkpoints.parts import basicsr_names
from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import BasicVSRPlusPlus
from vrestore.layers.second_order_alignment import SecondOrderDeformableAlignment

ENTRIES = [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("basicvsrpp/")]


@pytest.mark.parametrize("name", ref.names("op/second_order_deform_align"))
@torch.no_grad()
def test_alignment(name):
    entry = ref.manifest()[name]
    layer = ref.fill(SecondOrderDeformableAlignment(**entry["args"]), entry)
    ref.check(entry, "out", layer(*(ref.make_input(spec) for spec in entry["inputs"])))


@pytest.mark.parametrize("name", ENTRIES)
@torch.no_grad()
def test_basicvsr_plusplus(name):
    entry = ref.manifest()[name]
    network = BasicVSRPlusPlus(**entry["args"])
    official = basicsr_names if "basicsr" in name else dict
    loaded = load_network(ref.official_weights(network, entry, official))
    assert isinstance(loaded, BasicVSRPlusPlus)
    assert loaded.is_low_res_input == network.is_low_res_input
    lq = ref.make_input(entry["inputs"][0])
    if "mirror" in name:
        lq = torch.cat([lq, lq.flip(1)], dim=1)
    hq, intermediates = loaded(lq, return_intermediates=True)
    ref.check(entry, "out", hq)
    for key in entry["outputs"].keys() & intermediates.keys():
        ref.check(entry, key, intermediates[key])
    if official is dict:  # filled by name, without our loader
        assert torch.equal(ref.fill(network, entry)(lq), hq)
