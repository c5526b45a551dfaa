"""load_restorer and the index: names, configs, weight files, licences, and what is said when something is missing."""

import json
import logging
import os
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import vrestore
from tests.checkpoints.parts import SMALL, basicsr_names, same_weights, small_basicvsr
from tests.paths import SHARED_PARITY, needs_shared_parity
from vrestore.checkpoints import download, index, zoo
from vrestore.checkpoints.cards import card, cards
from vrestore.checkpoints.files import sha256_of
from vrestore.checkpoints.index import Weights, ZooEntry
from vrestore.checkpoints.show import card_text, list_text
from vrestore.checkpoints.zoo import load_restorer, locate
from vrestore.config import carried_folder
from vrestore.errors import ConfigError, RegistryError, WeightsError
from vrestore.registry import BACKBONES, LOSSES, MODELS
from vrestore.restorers import BaseRestorer

MODEL = {"type": "RegressionRestorer", "backbone": SMALL}


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VRESTORE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def network():
    return small_basicvsr(seed=1)


@pytest.fixture
def add_entry(monkeypatch):
    """Put entries into the zoo for one test."""
    entries = index.zoo()

    def add(entry):
        entries[entry.name] = entry
        for module in (index, zoo, vrestore.checkpoints.cards):
            monkeypatch.setattr(module, "zoo", lambda: dict(entries))
        return entry

    return add


def test_it_is_the_public_function():
    assert vrestore.load_restorer is load_restorer


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_names_without_weights(name):
    restorer = load_restorer(name, device="cpu")
    assert isinstance(restorer, BaseRestorer)
    assert not restorer.training
    assert restorer.restore(torch.rand(2, 3, 6, 8)).shape == (2, 3, 24, 32)


@pytest.mark.parametrize(
    "release",
    [
        lambda s: s,
        lambda s: {f"backbone.{k}": v for k, v in s.items()},
        lambda s: {"params": basicsr_names(s)},
        lambda s: {"state_dict": {**{f"generator.{k}": v for k, v in s.items()}, "step_counter": torch.zeros(1)}},
        lambda s: {"meta": {"iter": 3}, "state_dict": {f"backbone.{k}": v for k, v in s.items()}, "optimizer": {}},
    ],
)
def test_a_dict_with_weights_of_every_kind(network, release):
    torch.save(release(network.state_dict()), "w.pth")
    restorer = load_restorer(MODEL, "w.pth", "cpu")
    assert same_weights(restorer.backbone, network)
    assert same_weights(load_restorer({"model": MODEL}, "w.pth", "cpu"), restorer)


def test_checkpoint_of_a_training_gives_the_averaged_weights(network):
    """MMEngine swaps the average into `state_dict` when it saves and keeps the raw weights as `ema_state_dict`."""
    averaged = {f"backbone.{k}": v for k, v in network.state_dict().items()}
    raw = {f"module.{k}": v + 1 for k, v in averaged.items()}
    torch.save({"state_dict": averaged, "ema_state_dict": {**raw, "steps": torch.tensor(3)}, "meta": {}}, "iter_3.pth")
    assert same_weights(load_restorer(MODEL, "iter_3.pth", "cpu").backbone, network)


def test_a_config_file_with_weights(network):
    with open("c.py", "w") as file:
        file.write(f"model = {MODEL!r}\n")
    save_file(network.state_dict(), "w.safetensors")
    assert same_weights(load_restorer("c.py", "w.safetensors", "cpu").backbone, network)
    with pytest.raises(ConfigError, match=r"config c\.py needs weights and names none; give a weight file"):
        load_restorer("c.py")


def test_a_config_without_a_model():
    with open("c.py", "w") as file:
        file.write("methods = []\n")
    with pytest.raises(ConfigError, match=r"config c\.py names no model=dict"):
        load_restorer("c.py")


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_a_weight_file_that_tells_its_model(network, kind):
    if kind == "safetensors":
        save_file(network.state_dict(), "w.safetensors", metadata={"model": json.dumps(MODEL)})
    else:
        state = {f"backbone.{k}": v for k, v in network.state_dict().items()}
        torch.save({"state_dict": state, "meta": {"model": MODEL}}, "w.pth")
    assert same_weights(load_restorer(f"w.{kind}", device="cpu").backbone, network)


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_a_weight_file_that_tells_no_model_is_recognised(network, kind):
    if kind == "safetensors":
        save_file(network.state_dict(), "w.safetensors")
    else:
        torch.save({"params": basicsr_names(network.state_dict())}, "w.pth")
    restorer = load_restorer(f"w.{kind}", device="cpu")
    assert type(restorer).__name__ == "RegressionRestorer"
    assert same_weights(restorer.backbone, network)


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_a_weight_file_that_tells_no_model_and_is_of_none(kind):
    state = {"encoder.weight": torch.zeros(3)}
    if kind == "safetensors":
        save_file(state, "w.safetensors")
    else:
        torch.save(state, "w.pth")
    with pytest.raises(
        WeightsError, match=r"does not tell which model it belongs to; .* belongs to no known architect"
    ):
        load_restorer(f"w.{kind}")


def test_a_restorer_passes_through(network):
    restorer = MODELS.build(dict(MODEL)).train()
    assert load_restorer(restorer, device="cpu") is restorer
    assert not restorer.training
    save_file(network.state_dict(), "w.safetensors")
    assert same_weights(load_restorer(restorer, "w.safetensors").backbone, network)


def test_a_dict_without_weights_is_warned_of(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vrestore"), "propagate", True)
    with caplog.at_level(logging.WARNING, "vrestore"):
        load_restorer(MODEL, device="cpu")
    assert "random weights" in caplog.text


def test_state_of_losses_may_be_absent_but_nothing_else(network):
    @LOSSES.register_module()
    class WeightedLoss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, prediction, target):
            return self.scale * (prediction - target).abs().mean()

    try:
        model = {**MODEL, "pixel_loss": {"type": "WeightedLoss"}}
        state = {f"backbone.{k}": v for k, v in network.state_dict().items()}
        torch.save(state, "w.pth")
        torch.save({**state, "pixel_loss.scale": torch.full((1,), 7.0)}, "full.pth")
        assert load_restorer(model, "w.pth", "cpu").pixel_loss.scale.item() == 1
        assert load_restorer(model, "full.pth", "cpu").pixel_loss.scale.item() == 7
        torch.save(network.state_dict(), "network.pth")
        assert same_weights(load_restorer(model, "network.pth", "cpu").backbone, network)
        del state["backbone.fusion.bias"]
        torch.save(state, "less.pth")
        with pytest.raises(
            WeightsError, match=r"less\.pth for RegressionRestorer does not fit: .*1 missing \(backbone\.fus"
        ):
            load_restorer(model, "less.pth")
    finally:
        LOSSES.module_dict.pop("WeightedLoss")


def test_weights_of_another_size(network):
    save_file(network.state_dict(), "w.safetensors")
    other = {"type": "RegressionRestorer", "backbone": {**SMALL, "mid_channels": 8}}
    with pytest.raises(WeightsError, match=r"w\.safetensors for BasicVSR does not fit: .* of another shape"):
        load_restorer(other, "w.safetensors")


def test_weights_for_a_restorer_that_has_none(network):
    save_file(network.state_dict(), "w.safetensors")
    with pytest.raises(WeightsError, match="shares no name with the weights of ResampleRestorer"):
        load_restorer("bicubic", "w.safetensors")


def test_weights_of_a_backbone_that_no_architecture_describes():
    @BACKBONES.register_module()
    class OwnNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Conv2d(3, 3, 1)

    try:
        state = BACKBONES.build({"type": "OwnNet"}).state_dict()
        save_file(state, "w.safetensors")
        restorer = load_restorer({"type": "RegressionRestorer", "backbone": {"type": "OwnNet"}}, "w.safetensors", "cpu")
        assert torch.equal(restorer.backbone.one.weight, state["one.weight"])
    finally:
        BACKBONES.module_dict.pop("OwnNet")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bicubc", "no model is called 'bicubc'; closest: bicubic "),
        ("BasicVSR", "closest: basicvsr-small-x4, "),
        ("xylophone", "there are: nearest, bilinear"),
        ("spynet", "'spynet' is a network, a part of restorers"),
    ],
)
def test_unknown_names(name, words):
    with pytest.raises(RegistryError, match=words):
        load_restorer(name)


def test_missing_files():
    with pytest.raises(WeightsError, match=r"weights gone\.pth do not exist"):
        load_restorer(MODEL, "gone.pth")
    with pytest.raises(WeightsError, match=r"gone\.safetensors do not exist"):
        load_restorer("gone.safetensors")
    with pytest.raises(ConfigError, match=r"config 'gone/c\.py' not found"):
        load_restorer("gone/c.py")


def test_a_module_that_is_no_restorer():
    @MODELS.register_module()
    class NoRestorer(torch.nn.Module):
        pass

    try:
        with pytest.raises(ConfigError, match="builds a NoRestorer, which is no restorer"):
            load_restorer({"type": "NoRestorer"})
    finally:
        MODELS.module_dict.pop("NoRestorer")


def test_shipped_weights_their_sum_and_their_licence(network, add_entry, caplog, monkeypatch):
    save_file(network.state_dict(), "w.safetensors")
    sha256 = sha256_of("w.safetensors")
    weights = Weights(file=os.path.abspath("w.safetensors"), sha256=sha256, licence="CC0-1.0", source="nobody")
    entry = add_entry(ZooEntry("toy-shipped", "a toy", model=MODEL, weights=weights))
    monkeypatch.setattr(logging.getLogger("vrestore"), "propagate", True)
    with caplog.at_level(logging.INFO, "vrestore"):
        assert same_weights(load_restorer("toy-shipped", device="cpu").backbone, network)
        load_restorer("toy-shipped", device="cpu")
    assert caplog.text.count("weights of toy-shipped, by nobody: licence CC0-1.0") == 1
    add_entry(replace(entry, weights=replace(weights, sha256="0" * 64)))
    with pytest.raises(WeightsError, match="is damaged or another file"):
        load_restorer("toy-shipped")
    add_entry(replace(entry, weights=replace(weights, file=os.path.abspath("gone.safetensors"))))
    with pytest.raises(WeightsError, match="are missing from this installation"):
        load_restorer("toy-shipped")


def test_an_entry_whose_weights_tell_its_model(network, add_entry):
    save_file(network.state_dict(), "w.safetensors", metadata={"model": json.dumps(MODEL)})
    add_entry(ZooEntry("toy-telling", "a toy", weights=Weights(file=os.path.abspath("w.safetensors"))))
    assert same_weights(load_restorer("toy-telling", device="cpu").backbone, network)
    assert card("toy-telling")["parameters"] == sum(p.numel() for p in network.parameters())


def test_downloaded_weights(network, add_entry):
    url = "http://127.0.0.1:9/w.pth"
    add_entry(ZooEntry("toy-remote", "a toy", model=MODEL, weights=Weights(url=url)))
    assert card("toy-remote")["weights"]["state"] == "to download"
    with pytest.raises(WeightsError, match=rf"could not download {url}.*put it at {download.cached_path(url)}"):
        load_restorer("toy-remote")
    download.cached_path(url).parent.mkdir(parents=True, exist_ok=True)
    torch.save({"params": basicsr_names(network.state_dict())}, download.cached_path(url))
    assert same_weights(load_restorer("toy-remote", device="cpu").backbone, network)
    assert same_weights(load_restorer(MODEL, url, "cpu").backbone, network)
    assert card("toy-remote")["weights"]["state"] == "downloaded"


def test_weights_without_an_address():
    with pytest.raises(WeightsError, match="have no address; download them by hand"):
        locate(Weights(release="w.pth"))


# --- the index that ships


@pytest.mark.parametrize("name", list(index.zoo()))
def test_every_entry_builds_and_tells_its_terms(name):
    entry = index.zoo()[name]
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)
    shown = card(name)
    json.dumps(shown)
    absent = entry.weights is not None and shown["weights"]["state"] == "missing"
    if not absent:
        assert shown["note"] is None
        assert (shown["capabilities"] is None) == (entry.network is not None)
        assert shown["parameters"] >= 0
        assert (shown["parameters"] > 0) == (entry.weights is not None)
    for weights in [entry.weights, *entry.also] if entry.weights else []:
        assert weights.licence
        assert weights.source
        assert all(s.url or s.package or s.file or s.release for s in weights.all_sources)
        named = re.search(r"-([0-9a-f]{8})\.pth$", weights.url or weights.release or "")
        assert named is None or weights.sha256.startswith(named[1])
    for row in entry.numbers:
        assert {"set", "degradation", "protocol", "source"} <= row.keys()


@pytest.mark.parametrize("name", [n for n, e in index.zoo().items() if e.weights and e.weights.file])
def test_weights_that_ship_load(name):
    if card(name)["weights"]["state"] == "missing":
        pytest.skip("its weight file is not in this checkout")
    entry = index.zoo()[name]
    assert entry.weights.sha256
    assert len(entry.weights.sha256) == 64
    restorer = load_restorer(name, device="cpu")
    scale = int(restorer.capabilities.factor(vrestore.Request()))
    assert restorer.restore(torch.rand(2, 3, 16, 20)).shape == (2, 3, 16 * scale, 20 * scale)
    assert entry.card is None or (carried_folder("model_zoo") / entry.card).is_file()


@needs_shared_parity
def test_every_file_of_the_key_lists_is_known():
    known = {weights.name for entry in index.zoo().values() for weights in entry.all_weights}
    named = set()
    for file in sorted((SHARED_PARITY / "baselines" / "keys").glob("*.json")):
        for text in json.loads(file.read_text(encoding="utf-8")).get("checkpoints", []):
            named.add(text.split(" ")[0].rpartition("/")[2])
    assert len(named) > 40
    assert named <= known, named - known


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("basicvsr-pp-ntire-decompress-track2", 44_075_631),
        ("iconvsr-vimeo90k-bd", 8_711_375),
        ("realbasicvsr", 6_294_834),
        ("edvr-l-deblurcomp-reds4", 23_602_019),
        ("realesrgan-x4plus-anime-6b", 4_467_779),
        ("swinir-real-l-x4", 28_013_059),
        ("rvrt-vimeo90k-bd", 10_782_295),
        ("rife-4.26", 5_664_776),
        ("videoinr", 11_312_698),
    ],
)
def test_official_sizes(name, parameters):
    assert card(name)["parameters"] == parameters


def test_the_licence_of_a_configs_model_is_that_of_the_entry():
    for name, entry in index.zoo().items():
        if entry.config and entry.weights:
            assert card(name)["capabilities"]["weights_licence"] == entry.weights.licence, name


def test_texts_fit_a_narrow_terminal(monkeypatch):
    monkeypatch.setattr("vrestore.checkpoints.show.PIPE_WIDTH", 100)
    text = list_text(cards())
    assert max(map(len, text.splitlines())) <= 100
    for name, entry in index.zoo().items():
        assert f"  {name} " in text
        assert entry.method in text
    assert "…" not in text
    assert max(map(len, card_text(card("realbasicvsr")).splitlines())) <= 100


def test_official_numbers_are_there():
    numbers = {row["set"] + row["degradation"]: row for row in index.zoo()["basicvsr-reds4"].numbers}
    assert (numbers["REDS4BIx4"]["psnr"], numbers["REDS4BIx4"]["ssim"]) == (31.4170, 0.8909)


def test_an_index_of_several_files(tmp_path):
    (tmp_path / "index.yml").write_text("_include: [more.yml]\none: {summary: x, model: {type: A}}\n")
    (tmp_path / "more.yml").write_text(
        "_all: {method: M, paper: p}\n_terms: &t MIT\n"
        "two: {summary: y, model: {type: B}, weights: {release: w.pth, licence: *t}}\n"
        "three: {summary: z, method: N, model: {type: B}}\n"
    )
    entries = index._read_index(tmp_path / "index.yml")
    assert list(entries) == ["one", "two", "three"]
    assert (entries["two"].method, entries["three"].method, entries["one"].method) == ("M", "N", None)
    assert entries["two"].weights.licence == "MIT"
    (tmp_path / "index_twice.yml").write_text("_include: [more.yml]\ntwo: {summary: x, model: {type: A}}\n")
    with pytest.raises(ConfigError, match="has an entry 'two' already"):
        index._read_index(tmp_path / "index_twice.yml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("toy: {summary: x, model: {type: A}, config: a.py}", "takes one of model, config and network"),
        ("toy: {summary: x, modle: {type: Y}}", r"entry 'toy' has no key 'modle'; did you mean 'model'"),
        ("toy: {model: {type: Y}}", "needs a summary"),
        ("toy: {summary: x}", "needs a summary, and a model or weights"),
        ("toy: {summary: x, weights: {uri: y}}", "has no key 'uri'; did you mean 'url'"),
        ("toy: [", "is no YAML"),
    ],
)
def test_a_wrong_index(tmp_path, text, words):
    file = tmp_path / "index.yml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        index._read_index(file)


def test_a_missing_index(tmp_path):
    with pytest.raises(ConfigError, match="is missing from this installation"):
        index._read_index(tmp_path / "index.yml")


# --- cards


def test_cards_hold_every_registered_restorer():
    @MODELS.register_module()
    class CardTestRestorer(BaseRestorer):
        """Does nothing for the sake of a test."""

        def __init__(self, needed):
            super().__init__()

    try:
        shown = {item["name"]: item for item in cards()}
        assert set(index.zoo()) < set(shown)
        assert shown["CardTestRestorer"]["summary"] == "Does nothing for the sake of a test."
        assert shown["CardTestRestorer"]["note"] == "needs arguments: name it in a config"
        assert "CardTestRestorer" in list_text(list(shown.values()))
    finally:
        MODELS.module_dict.pop("CardTestRestorer")


def test_card_of_an_unknown_name():
    with pytest.raises(RegistryError, match=r"the zoo has no 'basicvsr'; closest: basicvsr-small-x4"):
        card("basicvsr")


def test_texts():
    text = list_text(cards())
    for name in index.zoo():
        assert name in text
    assert "x1/64 to 64" in text
    text = card_text(card("basicvsr-reds4"))
    for word in (
        "0e599677",
        "Apache-2.0",
        "MMagic",
        "RGB, crop border 0, whole clips",
        "31.4170",
        "6,291,311",
        "REDS4",
    ):
        assert word in text
