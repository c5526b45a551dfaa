"""SwinIR against the stored outputs of the official implementation."""

import pytest
import torch

import vrestore
from tests.parity import references as ref
from tests.paths import needs_shared_parity
from vrestore.backbones import SwinIR


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("swinir/")]
)
def test_filled_and_loaded(name):
    entry = ref.manifest()[name]
    x = ref.make_input(entry["inputs"][0])
    net = ref.fill(SwinIR(**entry["args"]), entry)
    with torch.no_grad():
        ref.check(entry, "out", net(x))
        ref.check(entry, "out", vrestore.load_network({"params_ema": net.state_dict()})(x))


@needs_shared_parity
@pytest.mark.parametrize("name", ref.key_lists("swinir"))
def test_every_official_variant_has_its_names_and_sizes(name):
    listed = ref.key_list(name)
    network = ref.network_of_keys(listed)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == listed["keys"]
    assert sum(p.numel() for p in network.parameters()) == listed["n_params"]
