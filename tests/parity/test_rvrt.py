"""RVRT against the stored outputs of the official implementation."""

import re

import pytest
import torch

import vrestore
from tests.parity import references as ref
from tests.paths import needs_shared_parity
from vrestore.backbones import RVRT


def official(state):
    """Names of ours as the release writes them: its SPyNet is BasicSR's."""
    return {
        re.sub(r"(basic_module\.\d+\.basic_module)\.(\d)\.conv\.", lambda m: f"{m[1]}.{2 * int(m[2])}.", name): value
        for name, value in state.items()
    }


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("rvrt/")]
)
def test_loaded(name):
    entry = ref.manifest()[name]
    weights = ref.official_weights(RVRT(**entry["args"]), entry, official)
    with torch.no_grad():
        ref.check(entry, "out", vrestore.load_network({"params": weights})(ref.make_input(entry["inputs"][0])))


@needs_shared_parity
@pytest.mark.parametrize("name", ref.key_lists("rvrt"))
def test_every_official_variant_has_its_names_and_sizes(name):
    listed = ref.key_list(name)
    network = ref.network_of_keys(listed)
    assert {k: list(v.shape) for k, v in official(network.state_dict()).items()} == listed["keys"]
    assert sum(p.numel() for p in network.parameters()) == listed["n_params"]
