"""Manifests are read whole or not at all."""

import json

import pytest

from vrestore.data.manifest import Layout, read_manifest
from vrestore.errors import DataError

LAYOUT = Layout(
    "parts.json",
    "parts-1",
    "vrestore part",
    keys=("parts", "count"),
    rows={"parts": ("file", "clips"), "parts.clips": ("name",)},
    without="its parts are read one by one",
)
WHOLE = {"format": "parts-1", "count": 1, "parts": [{"file": "a", "clips": [{"name": "x"}]}]}


def write(folder, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "parts.json").write_text(text, encoding="utf-8")
    return folder


def test_the_folder_or_the_file(tmp_path):
    write(tmp_path, WHOLE)
    assert read_manifest(tmp_path, LAYOUT) == read_manifest(tmp_path / "parts.json", LAYOUT) == WHOLE


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is damaged: .*; its parts are read one by one"),
        ("[]", r"no manifest of format 'parts-1' \(found: None\)"),
        ({"format": "parts-2"}, "found: 'parts-2'"),
        ({"format": "parts-1", "parts": []}, "not whole: it lacks count"),
        ({**WHOLE, "parts": [{"file": "a"}]}, r"lacks parts\[0\].clips"),
        (
            {**WHOLE, "parts": [*WHOLE["parts"], {"file": "b", "clips": [{"name": "y"}, {}]}]},
            r"parts\[1\].clips\[1\].name",
        ),
        ({**WHOLE, "parts": 3}, r"lacks parts\.file, parts\.clips, parts\.name"),
        ({**WHOLE, "parts": [{"file": "a", "clips": None}]}, r"lacks parts\[0\]\.clips\.name"),
        ({**WHOLE, "parts": [3]}, r"lacks parts\[0\].file, parts\[0\].clips"),
    ],
)
def test_what_is_no_whole_manifest_is_told(tmp_path, content, told):
    with pytest.raises(DataError, match=told):
        read_manifest(write(tmp_path, content), LAYOUT)


def test_none_at_all(tmp_path):
    with pytest.raises(DataError, match=r"a folder made by 'vrestore part' holds its parts\.json"):
        read_manifest(tmp_path, LAYOUT)
