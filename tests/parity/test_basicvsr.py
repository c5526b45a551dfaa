"""SPyNet, flow warp and BasicVSR against the stored outputs of the official implementations."""

import pytest
import torch

from tests.checkpoints.parts import basicsr_names
from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import BasicVSR, SPyNet
from vrestore.layers.flow_warp import flow_warp

FULL_SIZE = "official"


@pytest.mark.parametrize("name", ref.names("op/flow_warp"))
def test_flow_warp(name):
    entry = ref.manifest()[name]
    x, flow = (ref.make_input(spec) for spec in entry["inputs"])
    args = {k: v for k, v in entry["args"].items() if k != "align_corners"}
    ref.check(entry, "out", flow_warp(x, flow, **args))


@pytest.mark.parametrize("name", ref.names("spynet/basicsr"))
def test_spynet_under_basicsr_names(name):
    entry = ref.manifest()[name]
    net = load_network(ref.official_weights(SPyNet(), entry, basicsr_names))
    with torch.no_grad():
        ref.check(entry, "flow", net(*(ref.make_input(spec) for spec in entry["inputs"])))


@pytest.mark.parametrize("name", ref.names("spynet/mmagic"))
def test_spynet(name):
    entry = ref.manifest()[name]
    net = ref.fill(SPyNet(), entry)
    with torch.no_grad():
        ref.check(entry, "flow", net(*(ref.make_input(spec) for spec in entry["inputs"])))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if FULL_SIZE in n else ()) for n in ref.names("basicvsr/mmagic")],
)
def test_basicvsr(name):
    entry = ref.manifest()[name]
    net = ref.fill(BasicVSR(**entry["args"]), entry)
    lq = ref.make_input(entry["inputs"][0])
    if "mirror" in name:
        lq = torch.cat([lq, lq.flip(1)], dim=1)
    with torch.no_grad():
        ref.check(entry, "out", net(lq))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if FULL_SIZE in n else ()) for n in ref.names("basicvsr/basicsr")],
)
def test_basicvsr_under_basicsr_names(name):
    entry = ref.manifest()[name]
    net = BasicVSR(mid_channels=entry["args"]["num_feat"], num_blocks=entry["args"]["num_block"])
    net = load_network(ref.official_weights(net, entry, basicsr_names))
    with torch.no_grad():
        ref.check(entry, "out", net(ref.make_input(entry["inputs"][0])))
