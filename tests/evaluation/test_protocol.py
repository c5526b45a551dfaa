"""Protocols: text, identity, columns."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.evaluation import PSNR, SSIM
from vrestore.evaluation.protocol import column_labels, content_hash, plain_hash, protocol_id, stamp, to_plain


def test_the_stamp_states_every_field():
    text = stamp(PSNR("Y", crop_border=8).protocol)
    assert text.startswith("PSNR v1; ")
    for part in ("colour Y of BT.601", "crop_border 8", "rounding uint8", "frames all", "resize none"):
        assert part in text


@pytest.mark.parametrize("other", [PSNR("RGB"), PSNR(crop_border=8), PSNR(round_to_uint8=False), SSIM()])
def test_unlike_protocols_have_unlike_identities(other):
    assert protocol_id(PSNR().protocol) != protocol_id(other.protocol)
    assert protocol_id(PSNR().protocol) == protocol_id(PSNR("Y").protocol)


def test_unlike_protocols_never_share_a_column():
    old, new = PSNR().protocol, {**PSNR().protocol, "version": 2}
    labels = column_labels([("PSNR-Y", old), ("SSIM-Y", SSIM().protocol), ("PSNR-Y", new), ("PSNR-Y", old)])
    assert list(labels.values()) == ["PSNR-Y (version 1)", "SSIM-Y", "PSNR-Y (version 2)"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_the_hash_depends_on_content_and_not_on_order(data):
    backwards = dict(reversed(list(data.items())))
    assert plain_hash(data) == plain_hash(backwards)
    assert plain_hash({**data, "one more": 1}) != plain_hash(data)


def test_anything_of_a_config_becomes_plain():
    data = {"a": (1, Fraction(25, 2)), "b": Path("x/y"), "c": np.float32(0.5), "d": {"z", "y"}, "e": PSNR, 3: None}
    assert to_plain(data) == {
        "a": [1, "25/2"],
        "b": "x/y",
        "c": 0.5,
        "d": ["y", "z"],
        "e": "vrestore.evaluation.psnr.PSNR",
        "3": None,
    }


def test_content_hash_sees_values_types_and_shapes():
    a = np.arange(6, dtype=np.float32)
    hashes = {content_hash(a), content_hash(a.reshape(2, 3)), content_hash(a.astype(np.float64)), content_hash(a + 1)}
    assert len(hashes) == 4
    assert content_hash(a) == content_hash(a.copy())
