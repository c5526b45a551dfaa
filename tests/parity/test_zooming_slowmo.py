"""Zooming Slow-Mo against the stored outputs of the official implementation."""

import pytest
import torch

from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import ZoomingSlowMo


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("zsm/")]
)
@torch.no_grad()
def test_zooming_slowmo(name):
    entry = ref.manifest()[name]
    args = entry["args"]
    net = ZoomingSlowMo(args["nf"], args["groups"], args["front_RBs"], args["back_RBs"])
    lq = ref.make_input(entry["inputs"][0])
    ref.fill(net, entry)
    ref.check(entry, "out", net(lq))
    ref.check(entry, "out", load_network(net.state_dict())(lq))
