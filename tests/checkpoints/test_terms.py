"""Terms of weights are told wherever they are loaded, as a warning where they restrict their user."""

import logging

import pytest
import torch

import vrestore
from tests.checkpoints.parts import SMALL, small_basicvsr
from vrestore.checkpoints import index, terms
from vrestore.checkpoints.index import Weights, ZooEntry
from vrestore.checkpoints.terms import restriction, tell_terms

MODEL = {"type": "RegressionRestorer", "backbone": SMALL}


@pytest.fixture
def told(monkeypatch, caplog, tmp_path):
    """What is logged, as (level, text)."""
    tell_terms.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("vrestore"), "propagate", True)
    caplog.set_level(logging.INFO, "vrestore")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


@pytest.mark.parametrize(
    ("licence", "words"),
    [
        ("CC BY-NC 4.0 (non-commercial)", "they may not be used commercially"),
        ("S-Lab License 1.0, noncommercial", "they may not be used commercially"),
        ("none stated", "nobody has allowed anything"),
        ("GPL-3.0", "under the same licence"),
        ("AGPL-3.0", "under the same licence"),
        ("Apache-2.0", None),
        ("MIT", None),
        ("BSD-3-Clause", None),
        ("CC BY 4.0", None),
        (None, None),
    ],
)
def test_what_a_licence_restricts(licence, words):
    found = restriction(licence)
    assert found is None if words is None else words in found


def test_every_restricted_weight_of_the_zoo():
    limited = {w.licence for e in index.zoo().values() for w in e.all_weights if restriction(w.licence)}
    assert {"CC BY-NC 4.0 (non-commercial)", "GPL-3.0", "none stated"} <= limited
    by_name = {n: restriction(e.weights.licence) for n, e in index.zoo().items() if e.weights}
    for name in ("rvrt-reds4", "rvrt-vimeo90k-bi", "rvrt-vimeo90k-bd", "zooming-slowmo", "videoinr", "venhancer"):
        assert by_name[name], name
    for name in ("basicvsr-reds4", "rife-4.25", "realesrgan-x4plus", "swinir-real-m-x4", "edvr-l-reds4"):
        assert by_name[name] is None, name


@pytest.mark.parametrize(
    ("file", "level", "words"),
    [
        ("001_RVRT_videosr_bi_REDS_30frames.pth", "WARNING", "licence CC BY-NC 4.0 (non-commercial); they may not be"),
        ("xiang2020zooming.pth", "WARNING", "by Zooming-Slow-Mo-CVPR-2020: licence GPL-3.0; what is made"),
        ("latest_G.pth", "WARNING", "by VideoINR: licence none stated; nobody has allowed"),
        ("BasicVSR_REDS4-543c8261.pth", "INFO", "by BasicSR: licence Apache-2.0"),
        ("flownet.pkl", "INFO", "licence MIT"),
    ],
)
@pytest.mark.parametrize("door", ["load_network", "load_restorer"])
def test_a_known_file_name_tells_its_terms(told, file, level, words, door):
    """The name decides, whatever is loaded: a network's file, and the file of --weights."""
    torch.save(small_basicvsr().state_dict(), file)
    if door == "load_network":
        vrestore.load_network(file)
    else:
        vrestore.load_restorer(MODEL, file, "cpu")
    assert any(found == level and f"weights of {file}, " in text and words in text for found, text in told())


def test_an_unknown_file_for_a_restricted_model_is_asked_about(told):
    torch.save(small_basicvsr().state_dict(), "mine.pth")
    vrestore.load_restorer({**MODEL, "weights_licence": "CC BY-NC 4.0"}, "mine.pth", "cpu")
    assert told() == [
        (
            "WARNING",
            "weights of mine.pth (if it is an official file): licence CC BY-NC 4.0; they may not be used commercially",
        )
    ]
    vrestore.load_restorer({**MODEL, "weights_licence": "MIT"}, "mine.pth", "cpu")
    assert len(told()) == 1


def test_the_zoos_own_weights_tell_their_terms(told, monkeypatch):
    torch.save(small_basicvsr().state_dict(), "w.pth")
    weights = Weights(file=str(torch.__file__), licence="CC BY-NC 4.0", source="somebody")
    entry = ZooEntry("toy", "a toy", model=MODEL, weights=weights)
    monkeypatch.setattr("vrestore.checkpoints.zoo.find_entry", {"toy": entry}.get)
    monkeypatch.setattr("vrestore.checkpoints.zoo.locate", lambda weights: "w.pth")
    vrestore.load_restorer("toy", device="cpu")
    assert told() == [
        ("WARNING", "weights of toy, by somebody: licence CC BY-NC 4.0; they may not be used commercially")
    ]


def test_files_of_unlike_terms_share_no_word(monkeypatch):
    entries = {
        n: ZooEntry(n, "a toy", model=MODEL, weights=Weights(release="w.pth", licence=n)) for n in ("MIT", "GPL-3.0")
    }
    monkeypatch.setattr(index, "zoo", lambda: entries)
    assert index.released_weights("w.pth") is None
    assert not terms.tell_terms_of_file("w.pth")
    assert not terms.tell_terms_of_file("never_heard_of.pth")
