"""VideoINR against the stored outputs of the official implementation: its test path, its training path, any size."""

import ast

import pytest
import torch

from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import VideoINR

ENTRIES = ref.names("videoinr/")


@pytest.fixture(scope="module")
def network():
    entry = ref.manifest()[ENTRIES[0]]
    assert all(ref.manifest()[name]["init"] == entry["init"] for name in ENTRIES), "one network serves all entries"
    args = entry["args"]
    net = VideoINR(args["nf"], args["groups"], args["front_RBs"], args["back_RBs"])
    return load_network(ref.fill(net, entry).state_dict())


@pytest.mark.parametrize("name", ENTRIES)
@torch.no_grad()
def test_videoinr(name, network):
    entry = ref.manifest()[name]
    args = entry["args"]
    size = ast.literal_eval(args["scale"]) if isinstance(args["scale"], str) else args["scale"]
    out = network(ref.make_input(entry["inputs"][0]), args["times"], size, test=args["test"])
    for i, time in enumerate(args["times"]):
        ref.check(entry, f"t{time:g}", out[:, i])
