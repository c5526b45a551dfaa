"""Settings for every test: no network, few threads, quiet libraries."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
import torch

import vrestore  # noqa: F401  (its import puts the torchvision workaround in place)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
