"""RealBasicVSR against the stored outputs of MMagic, by official names and through load_network."""

import pytest
import torch

from tests.parity import references as ref
from vrestore import load_network
from vrestore.backbones import RealBasicVSR


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "official" in n else ()) for n in ref.names("realbasicvsr/")]
)
@torch.no_grad()
def test_realbasicvsr(name, sequential):
    entry = ref.manifest()[name]
    wanted = ref.fill(RealBasicVSR(**entry["args"], is_sequential_cleaning=sequential), entry)
    lqs = ref.make_input(entry["inputs"][0])
    released = {f"generator_ema.{key}": value for key, value in ref.official_weights(wanted, entry).items()}
    loaded = load_network(
        {"state_dict": {**released, "generator.image_cleaning.1.bias": torch.zeros(3), "step_counter": torch.zeros(1)}},
        dynamic_refine_thres=entry["args"]["dynamic_refine_thres"],
        is_sequential_cleaning=sequential,
    )
    for network in (wanted, loaded):
        hq, cleaned = network(lqs, return_lqs=True)
        ref.check(entry, "out", hq)
        ref.check(entry, "cleaned", cleaned)
