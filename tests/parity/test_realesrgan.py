"""RRDBNet and SRVGGNetCompact against the stored outputs of the official implementations."""

import pytest
import torch

import vrestore
from tests.parity import references as ref
from tests.paths import needs_shared_parity
from vrestore.registry import BACKBONES

# Arguments of BasicSR in our words; MMagic's are ours.
ARGUMENTS = {
    **{"num_in_ch": "in_channels", "num_out_ch": "out_channels", "num_feat": "mid_channels"},
    **{"num_block": "num_blocks", "num_grow_ch": "growth_channels", "scale": "upscale_factor"},
    **{"num_conv": "num_convs", "upscale": "upscale_factor"},
}


def config(arguments):
    kind = "SRVGGNetCompact" if "num_conv" in arguments else "RRDBNet"
    return {"type": kind, **{ARGUMENTS.get(name, name): value for name, value in arguments.items()}}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("realesrgan/")]
)
def test_filled_and_loaded(name):
    entry = ref.manifest()[name]
    x = ref.make_input(entry["inputs"][0])
    net = ref.fill(BACKBONES.build(config(entry["args"])), entry)
    keywords = {"act_type": entry["args"]["act_type"]} if "act_type" in entry["args"] else {}
    loaded = vrestore.load_network({"params": net.state_dict()}, **keywords)
    with torch.no_grad():
        ref.check(entry, "out", net(x))
        ref.check(entry, "out", loaded(x))


@needs_shared_parity
@pytest.mark.parametrize("name", ref.key_lists("realesr", "mmagic_rrdbnet"))
def test_every_official_variant_has_its_names_and_sizes(name):
    listed = ref.key_list(name)
    network = ref.network_of_keys(listed)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == listed["keys"]
    assert sum(p.numel() for p in network.parameters()) == listed["n_params"]
    wanted = config(listed["args"])
    assert type(network).__name__ == wanted.pop("type")
    assert network.scale == wanted["upscale_factor"]
