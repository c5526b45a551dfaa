"""RVRT against the stored outputs of the official implementation."""

import pytest
import torch

import vrestore
from tests.checkpoints.parts import basicsr_names  # its SPyNet has BasicSR's names
from tests.parity import references as ref
from tests.paths import needs_shared_parity
from vrestore.backbones import RVRT


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("rvrt/")]
)
def test_filled_and_loaded(name):
    entry = ref.manifest()[name]
    net = RVRT(**entry["args"]).eval()
    weights = ref.official_weights(net, entry, basicsr_names)
    x = ref.make_input(entry["inputs"][0])
    loaded = vrestore.load_network({"params": weights})
    net.load_state_dict(loaded.state_dict())
    with torch.no_grad():
        out = loaded(x)
        ref.check(entry, "out", out)
        assert torch.equal(net(x), out)


@needs_shared_parity
@pytest.mark.parametrize("name", ref.key_lists("rvrt"))
def test_every_official_variant_has_its_names_and_sizes(name):
    listed = ref.key_list(name)
    network = ref.network_of_keys(listed)
    assert {k: list(v.shape) for k, v in basicsr_names(network.state_dict()).items()} == listed["keys"]
    assert sum(p.numel() for p in network.parameters()) == listed["n_params"]
