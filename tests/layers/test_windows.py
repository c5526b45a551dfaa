"""Overlapping windows cover an axis and stay bounded."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.errors import ConfigError
from vrestore.layers.windows import sliding_windows


@given(length=st.integers(1, 400), window=st.integers(1, 60), data=st.data())
def test_windows_cover_an_axis_and_stay_bounded(length, window, data):
    overlap = data.draw(st.integers(0, window - 1))
    windows = sliding_windows(length, window, overlap)
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    assert all(stop - start == window for start, stop in windows[:-1])
    assert windows[-1][1] - windows[-1][0] <= max(round(1.33 * window), window)
    assert all(stop - after == overlap for (_, stop), (after, _) in pairwise(windows))


@pytest.mark.parametrize("arguments", [(0, 4, 1), (8, 4, 4), (8, 4, -1), (8, 4, 1, 0.5)])
def test_what_cannot_be_windows_is_refused(arguments):
    with pytest.raises(ConfigError, match="windows need"):
        sliding_windows(*arguments)
