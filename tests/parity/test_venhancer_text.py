"""The tokenizer and the text tower of VEnhancer against the stored outputs of open_clip."""

import pytest
import torch

from tests.parity import venhancer_references as ref
from tests.paths import needs_shared_parity
from vrestore.adapters import OpenCLIPText, OpenCLIPTextTower
from vrestore.adapters.text_openclip import VENHANCER_NEGATIVE, VENHANCER_SUFFIX
from vrestore.checkpoints import load_network
from vrestore.checkpoints.weightless import weightless

ENTRY = ref.manifest()["g_text"]
PROMPTS = ENTRY["inputs"]["prompts"]


def test_tokens():
    text = OpenCLIPText()
    assert [text.tokens(prompt) for prompt in PROMPTS] == ref.arrays(ENTRY)["tokens"].tolist()


def test_words_of_the_release():
    assert PROMPTS[0] == "Clown fish swimming through the coral reef." + VENHANCER_SUFFIX
    assert PROMPTS[1] == VENHANCER_NEGATIVE
    assert PROMPTS[2] == "a good video" + VENHANCER_SUFFIX


def test_official_names_and_shapes():
    listed = ref.read_json("keys_openclip_text.json")
    with weightless():
        tower = OpenCLIPTextTower()
    assert ref.shapes(tower) == listed["keys"]
    assert sum(p.numel() for p in tower.parameters()) == listed["params"] == 354_032_641


@pytest.mark.slow
@needs_shared_parity
@torch.no_grad()
def test_features():
    listed = ref.read_json("keys_openclip_text.json")["keys"]
    weights = {name: ref.make_weight(name, shape, ENTRY["params"]["fill_prefix"]) for name, shape in listed.items()}
    text = OpenCLIPText(load_network({**weights, "visual.proj": torch.zeros(2, 2)}), suffix="")
    for i, prompt in enumerate(PROMPTS):
        ref.check(ENTRY, f"emb{i}", text.encode_prompt(prompt))
