"""IFNet of the RIFE paper and RIFE 4.6 to 4.26 against the stored outputs of the releases."""

import pytest
import torch

from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import RIFE, IFNet


def official(name):
    if "paper" in name:
        return IFNet(arbitrary_time="ifnet_m" in name)
    return RIFE(name.removeprefix("rife/v").rsplit("_t", 1)[0].replace("_", "."))


@pytest.mark.parametrize("name", ref.names("rife/"))
@torch.no_grad()
def test_rife(name):
    entry = ref.manifest()[name]
    net = ref.fill(official(name), entry)
    frames = [ref.make_input(spec) for spec in entry["inputs"]]
    timestep = entry["args"].get("timestep", 0.5)
    out, intermediates = net(*frames, timestep, return_intermediates=True)
    ref.check(entry, "out", out)
    for key in entry["outputs"].keys() - {"out"}:
        ref.check(entry, key, intermediates[key])

    released = {f"module.{key}": value for key, value in net.state_dict().items()}
    released["module.block_tea.conv0.0.0.weight"] = torch.zeros(1)
    assert torch.equal(load_network(released)(*frames, timestep), out)
