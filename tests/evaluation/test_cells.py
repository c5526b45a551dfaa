"""Cells: there and back through JSON, identity, damage."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.evaluation import PSNR
from vrestore.evaluation.cells import Cell, CellStore, Score, cell_from_plain, cell_key, cell_to_plain


def a_cell(frames=(30.5, math.inf, math.nan), key="k" * 64, clip="a/b: ü") -> Cell:
    metric = PSNR()
    values = None if frames is None else list(frames)
    return Cell(
        key=key,
        method="bicubic",
        benchmark="tiny",
        clip=clip,
        input_hash="i",
        weights=None,
        parameters=0,
        frames=3,
        size=(64, 80),
        cost={
            "seconds": 1.5,
            "peak_rss_bytes": 1,
            "rss_before_bytes": 1,
            "peak_cuda_bytes": None,
            "memory_source": "x",
        },
        scores=[Score(metric.name, metric.protocol, "dB", True, values, None if values else "no ground truth")],
        alignment={"right_px": 0.1, "down_px": 0.0, "frame_offset": 0, "frames": [1], "warning": None},
        record={"name": "BicubicDown", "scale": 4},
    )


def same(a: Cell, b: Cell) -> bool:
    """Equality in which NaN equals itself."""
    return repr(dataclasses.replace(a, resumed=True)) == repr(dataclasses.replace(b, resumed=True))


@given(st.lists(st.floats(-1e9, 1e9) | st.sampled_from([math.inf, -math.inf, math.nan]), min_size=1, max_size=5))
def test_every_number_survives_json(frames):
    cell = a_cell(frames)
    text = json.dumps(cell_to_plain(cell), allow_nan=False)
    again = cell_from_plain(json.loads(text))
    assert same(cell, again)
    assert again.resumed


def test_the_store_gives_back_what_it_took(tmp_path):
    store, cell = CellStore(tmp_path), a_cell()
    path = store.write(cell)
    assert path.parent == tmp_path / "tiny" / "bicubic"
    assert same(store.read("tiny", "bicubic", cell.clip, cell.key), cell)
    assert store.read("tiny", "bicubic", cell.clip, "l" * 64) is None
    assert same(store.read("tiny", "bicubic", store.write(a_cell(None)) and cell.clip, cell.key), a_cell(None))
    assert list(path.parent.glob(".*")) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1}', '{"schema": 999}'])
def test_a_damaged_cell_counts_as_unfinished(tmp_path, damage):
    store, cell = CellStore(tmp_path), a_cell()
    store.write(cell).write_text(damage)
    assert store.read("tiny", "bicubic", cell.clip, cell.key) is None


def test_clips_whose_names_look_alike_as_files_keep_apart(tmp_path):
    store = CellStore(tmp_path)
    paths = {store.path("b", "m", clip, "k" * 64) for clip in ("a/b", "a_b", "a b", "a:b", "..")}
    assert len(paths) == 5
    assert all(tmp_path in path.parents for path in paths)


def test_the_key_sees_every_part():
    parts = {"method": {"weights": "w"}, "input": "i", "protocols": [PSNR().protocol]}
    assert cell_key(**parts) == cell_key(**dict(reversed(parts.items())))
    others = [{"method": {"weights": "v"}}, {"input": "j"}, {"protocols": [PSNR("RGB").protocol]}]
    assert len({cell_key(**parts), *(cell_key(**{**parts, **other}) for other in others)}) == 4
