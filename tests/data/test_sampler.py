from itertools import chain, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.data import StreamSampler
from vrestore.errors import ConfigError
from vrestore.registry import DATA_SAMPLERS


@given(start=st.integers(0, 10**6), world=st.integers(1, 8), n=st.integers(1, 20))
def test_all_processes_together_take_every_draw_once(start, world, n):
    taken = [list(islice(StreamSampler(start=start, rank=r, world_size=world), n)) for r in range(world)]
    assert sorted(chain(*taken)) == list(range(start, start + n * world))
    assert all(draws == list(range(start + r, start + n * world, world)) for r, draws in enumerate(taken))


@given(done=st.integers(0, 50), world=st.integers(1, 4))
def test_a_stream_started_in_the_middle_is_the_tail(done, world):
    """Also when the number of processes changes: draws are counted over all of them."""
    whole = list(islice(StreamSampler(rank=0, world_size=1), done * world + 30))
    tail = StreamSampler(rank=0, world_size=1)
    tail.set_start(done * world)
    assert list(islice(tail, 30)) == whole[done * world :]


def test_each_iteration_begins_at_the_start():
    sampler = StreamSampler(start=5, rank=1, world_size=2)
    assert list(islice(sampler, 3)) == list(islice(sampler, 3)) == [6, 8, 10]
    sampler.set_epoch(3)
    assert list(islice(sampler, 2)) == [6, 8]


def test_built_as_the_runner_does():
    sampler = DATA_SAMPLERS.build({"type": "StreamSampler"}, default_args={"dataset": range(7), "seed": 3})
    assert (sampler.rank, sampler.world_size, len(sampler)) == (0, 1, 7)
    assert list(islice(sampler, 3)) == [0, 1, 2]


def test_bad_arguments():
    for start in (-1, 1.5, None):
        with pytest.raises(ConfigError, match="start must be a whole number >= 0"):
            StreamSampler(start=start)
    with pytest.raises(ConfigError, match="rank must be from 0 to 1, got 2"):
        StreamSampler(rank=2, world_size=2)
