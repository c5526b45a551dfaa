import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.data.sizes import fits, least_side, round_down, two_sides
from vrestore.errors import ConfigError


@given(side=st.integers(1, 400), scale=st.sampled_from([1, 2, 3, 4, 1.5, 2.5, 8 / 3, 1.2]))
def test_rounding_down_gives_the_largest_size_that_fits(side, scale):
    rounded = round_down(side, scale)
    assert 0 <= rounded <= side
    assert not any(fits(s, scale) for s in range(rounded + 1, side + 1))
    if rounded:
        assert fits(rounded, scale)
        assert least_side(scale) <= rounded


def test_least_sides():
    assert [least_side(s) for s in (1, 4, 2.5, 8 / 3)] == [1, 4, 5, 8]
    with pytest.raises(ConfigError, match="use a plainer scale"):
        least_side(3.14159265358979)


def test_two_sides():
    assert two_sides(8, "size") == (8, 8)
    assert two_sides([8, 12], "size") == (8, 12)
    for bad in (0, -4, 2.5, True, (8,), (8, 0), "8"):
        with pytest.raises(ConfigError, match="size must be a whole number of pixels"):
            two_sides(bad, "size")
