import json
import warnings

import pytest
import torch

from vrestore.adapters import EmptyText, OpenCLIPText, OpenCLIPTextTower
from vrestore.adapters.text_cache import PromptCache
from vrestore.adapters.text_openclip import VENHANCER_NEGATIVE, VENHANCER_SUFFIX
from vrestore.checkpoints import load_network
from vrestore.errors import ConfigError, RequestError, WeightsError
from vrestore.layers.fingerprint import fingerprint
from vrestore.registry import ADAPTERS

SMALL = {"type": "OpenCLIPTextTower", "width": 32, "layers": 3, "heads": 4, "projection": 8}


def tower(seed=0):
    torch.manual_seed(seed)
    return ADAPTERS.build(SMALL)


class Counting(OpenCLIPTextTower):
    calls = 0

    def forward(self, tokens):
        type(self).calls += 1
        return super().forward(tokens)


@pytest.fixture
def counting():
    Counting.calls = 0
    torch.manual_seed(0)
    return Counting(width=32, layers=2, heads=4, projection=8)


def test_tower_is_causal_and_normed():
    net = tower().eval()
    tokens = torch.randint(0, 49408, (2, 77))
    later = tokens.clone()
    later[:, 40:] = 7
    with torch.no_grad():
        one, two = net(tokens), net(later)
    assert one.shape == (2, 77, 32)
    torch.testing.assert_close(one[:, :40], two[:, :40])
    assert not torch.allclose(one[:, 40:], two[:, 40:])
    torch.testing.assert_close(one.mean(-1), torch.zeros(2, 77), atol=1e-5, rtol=0)


def test_penultimate_leaves_the_last_block_out():
    net = tower()
    tokens = torch.randint(0, 49408, (1, 77))
    net(tokens).square().sum().backward()
    unused = {name for name, p in net.named_parameters() if p.grad is None}
    assert all(n.startswith("transformer.resblocks.2.") or n in ("text_projection", "logit_scale") for n in unused)
    assert len(unused) == 12 + 2
    last = OpenCLIPTextTower(width=32, layers=3, heads=4, projection=8, layer="last")
    last.load_state_dict(net.state_dict())
    assert not torch.allclose(last(tokens), net(tokens))
    with pytest.raises(ConfigError, match="penultimate, last"):
        OpenCLIPTextTower(width=32, layers=1, layer="first")


def test_tower_attends_as_torch_does():
    block = tower().transformer.resblocks[0].attn
    official = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    official.load_state_dict(block.state_dict())
    x = torch.randn(2, 9, 32)
    mask = torch.full((9, 9), float("-inf")).triu(1)
    torch.testing.assert_close(block(x), official(x, x, x, attn_mask=mask, need_weights=False)[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("prefix", ["", "text."])
def test_official_file_loads_strictly_without_its_image_tower(prefix, tmp_path):
    net = tower()
    state = {prefix + name: value for name, value in net.state_dict().items()}
    # Beside the tower, an official file holds the image tower and, in some versions, the mask.
    torch.save({**state, "visual.proj": torch.zeros(3, 3), "attn_mask": torch.zeros(77, 77)}, tmp_path / "clip.bin")
    loaded = load_network(tmp_path / "clip.bin", heads=4)
    assert isinstance(loaded, OpenCLIPTextTower)
    tokens = torch.randint(0, 49408, (1, 77))
    assert torch.equal(loaded(tokens), net(tokens))
    del state[prefix + "ln_final.bias"]
    with pytest.raises(WeightsError, match=r"OpenCLIP text tower.*1 missing \(ln_final.bias\)"):
        load_network(state)


def test_prompts_get_prefix_and_suffix_as_they_are():
    text = OpenCLIPText(tower(), prefix="best, ", suffix="!", negative_prompt="bad")
    assert torch.equal(text.encode_prompt("reef"), text.encode(["best, reef!"]))
    assert torch.equal(text.encode_negative(), text.encode(["bad"]))
    assert torch.equal(text.encode_negative("worse"), text.encode(["worse"]))
    both = text.encode_prompt(["a", "b"])
    assert both.shape == (2, 77, 32)
    assert torch.equal(both[1:], text.encode_prompt("b"))
    assert not both.requires_grad


def test_defaults_are_those_of_the_release():
    text = OpenCLIPText()
    assert text.suffix == VENHANCER_SUFFIX
    assert text.negative_prompt == VENHANCER_NEGATIVE
    assert (text.context_dim, text.length) == (1024, 77)
    assert len(text.tokenizer.encode(VENHANCER_SUFFIX)) == 55 - 2  # 55 with start and end


def test_prompts_are_encoded_once(counting, tmp_path):
    text = OpenCLIPText(counting, cache_folder=tmp_path)
    first = text.encode_prompt("reef")
    text.encode_prompt("reef")
    assert Counting.calls == 1
    text.encode_prompt("wreck")
    assert Counting.calls == 2
    # Another run: the same weights find them on disk.
    again = OpenCLIPText(counting, cache_folder=tmp_path)
    assert torch.equal(again.encode_prompt("reef"), first)
    assert Counting.calls == 2
    # Without the tower they are good by its fingerprint.
    bare = OpenCLIPText(cache_folder=tmp_path, weights_sha256=fingerprint(counting))
    assert torch.equal(bare.encode_prompt("reef"), first)
    with pytest.raises(WeightsError, match="not loaded"):
        bare.encode_prompt("new")
    # Other weights do not.
    other = OpenCLIPText(tower(1), cache_folder=tmp_path)
    assert not torch.equal(other.encode_prompt("reef"), first)
    assert not list(tmp_path.glob("*.part"))


def test_a_replaced_tower_is_not_confused_with_the_first():
    text = OpenCLIPText(tower(0))
    first = text.encode_prompt("reef")
    assert not torch.equal(text.attach(tower(1)).encode_prompt("reef"), first)
    with pytest.raises(WeightsError, match="OpenCLIPTextTower; got Linear"):
        text.attach(torch.nn.Linear(2, 2))


def test_cache_forgets_the_oldest_and_ignores_damage(tmp_path):
    cache = PromptCache(tmp_path, most=2)
    for name in "abc":
        cache.put(name, "w", torch.full((2, 2), ord(name)))
    assert len(cache._held) == 2
    assert cache.get("a", "w")[0, 0] == ord("a")  # from disk
    assert cache.get("a", "v") is None
    for file in tmp_path.iterdir():
        file.write_bytes(b"rubbish")
    assert PromptCache(tmp_path).get("a", "w") is None


def test_long_prompts_tell_what_is_cut():
    text = OpenCLIPText(tower(), suffix=" sharp")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text.encode_prompt("sea " * 74)
    with pytest.warns(UserWarning, match=r"75 tokens.*'coral sharp'"):
        text.encode_prompt("sea " * 75 + "coral")


def test_missing_weights_say_what_to_get_and_where_to_put_it():
    with pytest.raises(WeightsError, match=r"open_clip_pytorch_model\.bin .*put it at ckpts/clip\.bin.*EmptyText"):
        OpenCLIPText(weights="ckpts/clip.bin").encode_prompt("reef")


@pytest.mark.parametrize("prompt", [None, 3, b"reef", ["a", 1], []])
def test_a_prompt_that_is_no_text_is_refused(prompt):
    for text in (OpenCLIPText(tower()), EmptyText()):
        with pytest.raises(RequestError, match="prompt must be text"):
            text.encode_prompt(prompt)


def test_empty_text_needs_no_weights():
    text = ADAPTERS.build({"type": "EmptyText", "context_dim": 24})
    assert torch.equal(text.encode_prompt(["", " "]), torch.zeros(2, 1, 24))
    assert torch.equal(text.encode_negative(), torch.zeros(1, 1, 24))
    with pytest.warns(UserWarning, match="'reef' is ignored"):
        text.encode_prompt("reef")


def test_builds_from_a_config_of_plain_data():
    config = {"type": "OpenCLIPText", "tower": SMALL, "suffix": "x"}
    text = ADAPTERS.build(json.loads(json.dumps(config)))
    assert text.encode_prompt("a").shape == (1, 77, 32)
    with pytest.raises(ConfigError, match="suffix must be text"):
        OpenCLIPText(suffix=3)
