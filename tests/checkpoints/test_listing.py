"""The recorded listing of the model zoo."""

import importlib.metadata
import json
import subprocess
import sys

import pytest

from vrestore.checkpoints import listing
from vrestore.checkpoints.cards import card
from vrestore.checkpoints.index import zoo
from vrestore.errors import RegistryError


@pytest.mark.parametrize(
    "name", ["bicubic", "basicvsr-small-x4", "realesrgan-x4plus", "span-x4", "spynet", "venhancer"]
)
def test_a_recorded_card_is_that_of_the_module(name):
    recorded = listing.select(listing.recorded_cards(), name)
    assert json.dumps(recorded, sort_keys=True) == json.dumps(card(name), sort_keys=True)


def test_every_entry_is_recorded():
    assert zoo().keys() <= {item["name"] for item in listing.recorded_cards()}


def test_the_record_holds_nothing_of_this_machine():
    for item in json.loads(listing.record_file().read_text(encoding="utf-8")):
        assert not set(listing.UNRECORDED) & item.keys()


def test_names_aliases_and_words_select():
    cards = listing.recorded_cards()
    assert listing.select(cards, None) == cards
    assert listing.select(cards, "bicubic")["name"] == "bicubic"
    assert listing.select(cards, "realesrgan-x4plus-anime")["name"] == "realesrgan-x4plus-anime-6b"
    assert {item["method"] for item in listing.select(cards, "rife")} >= {"RIFE"}
    with pytest.raises(RegistryError, match=r"the zoo has no 'bicubik'; closest: bicubic"):
        listing.select(cards, "bicubik")


def test_an_installed_plugin_or_an_unrecorded_entry_needs_the_modules(monkeypatch, tmp_path):
    monkeypatch.setattr(listing, "record_file", lambda: tmp_path / "absent.json")
    assert listing.recorded_cards() is None
    (tmp_path / "few.json").write_text("[]")
    monkeypatch.setattr(listing, "record_file", lambda: tmp_path / "few.json")
    assert listing.recorded_cards() is None
    monkeypatch.undo()
    point = importlib.metadata.EntryPoint("mine", "mine", "vrestore.plugins")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    assert listing.recorded_cards() is None


@pytest.mark.parametrize(
    "arguments", [["zoo"], ["zoo", "rife"], ["zoo", "basicvsr-reds4", "--json"], ["zoo", "verify"]]
)
def test_the_listing_is_shown_without_pytorch(arguments):
    code = (
        "import sys; from vrestore.cli import main; status = main(sys.argv[1:]);"
        "print('imported', *sorted({'torch', 'torchvision', 'diffusers', 'mmcv', 'av'} & set(sys.modules)));"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "imported"
