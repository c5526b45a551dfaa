"""Windows of a clip, and the rules for what lies beyond its ends."""

import pytest

from vrestore.errors import ConfigError
from vrestore.restorers.window_padding import RULES, window_indices, window_reach


@pytest.mark.parametrize(
    ("rule", "first", "second", "last"),
    [
        ("replicate", [0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [7, 8, 9, 9, 9]),
        ("reflection", [2, 1, 0, 1, 2], [1, 0, 1, 2, 3], [7, 8, 9, 8, 7]),
        ("reflection_circle", [4, 3, 0, 1, 2], [4, 0, 1, 2, 3], [7, 8, 9, 6, 5]),
        ("circle", [3, 4, 0, 1, 2], [4, 0, 1, 2, 3], [7, 8, 9, 5, 6]),
    ],
)
def test_five_frames(rule, first, second, last):
    assert window_indices(0, 10, 5, rule) == first
    assert window_indices(1, 10, 5, rule) == second
    assert window_indices(9, 10, 5, rule) == last
    assert window_indices(4, 10, 5, rule) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("rule", RULES)
def test_short_clips(rule):
    assert window_indices(0, 1, 7, rule) == [0] * 7
    pair = window_indices(0, 2, 5, rule)
    assert pair[2:4] == [0, 1]
    assert set(pair) <= {0, 1}


def test_a_missing_frame_is_the_nearest_one_there():
    assert window_indices(0, 2, 5, "reflection_circle") == [1, 1, 0, 1, 0]
    assert window_indices(1, 3, 5, "circle") == [2, 0, 1, 2, 0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("num_frames", "center"), [(5, None), (7, None), (3, 0), (5, 4), (4, None), (1, None)])
def test_the_reach_is_the_farthest_frame_of_any_window(rule, num_frames, center):
    farthest = max(abs(i - frame) for frame in range(20) for i in window_indices(frame, 20, num_frames, rule, center))
    assert window_reach(num_frames, rule, center) == farthest


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("center", [0, 1, 4])
def test_the_frame_itself_keeps_its_place(rule, center):
    assert [window_indices(i, 9, 5, rule, center)[center] for i in range(9)] == list(range(9))


def test_an_unknown_rule():
    with pytest.raises(ConfigError, match=r"padding must be one of replicate, reflection, .* got 'mirror'"):
        window_indices(0, 3, 3, "mirror")
