"""Seconds and peak memory of one call."""

import time

import pytest
import torch

from vrestore.evaluation.cost import measure

CPU = torch.device("cpu")


def test_seconds_are_those_of_the_call():
    result, cost = measure(lambda: time.sleep(0.05) or "done", CPU)
    assert result == "done"
    assert 0.05 <= cost.seconds < 0.5
    assert cost.peak_cuda_bytes is None


def test_the_peak_is_that_of_the_call_and_not_of_an_earlier_one():
    size = 200 * 2**20
    _, large = measure(lambda: torch.ones(size // 4).sum().item(), CPU)
    if large.memory_source != "during the call":
        pytest.skip("this system cannot reset the peak of resident memory")
    _, small = measure(lambda: None, CPU)
    assert large.peak_rss_bytes - large.rss_before_bytes >= 0.95 * size
    assert small.peak_rss_bytes - small.rss_before_bytes < 0.2 * size
