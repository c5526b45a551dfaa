"""FrameFeatures and when they are kept on the CPU."""

import pytest
import torch

from vrestore.layers.frame_features import FrameFeatures, belongs_on_cpu

CPU = torch.device("cpu")


class OnDevice:
    """Stands for clips on a device that this machine may not have."""

    def __init__(self, frames: int, device: str):
        self.shape = (1, frames, 3, 8, 8)
        self.device = torch.device(device)


def test_a_list_that_can_be_turned_around():
    kept = FrameFeatures(CPU)
    frames = [torch.full((2, 3), float(i)) for i in range(4)]
    for frame in frames:
        kept.append(frame)
    assert len(kept) == 4
    assert kept[1] is frames[1]
    kept.reverse()
    assert torch.equal(kept[1], frames[2])
    assert kept.stack().shape == (2, 4, 3)
    assert kept.stack()[0, :, 0].tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("frames", "device", "expected"),
    [(101, "cuda", True), (100, "cuda", False), (101, "mps", True), (999, "cpu", False)],
)
def test_long_clips_on_a_device(frames, device, expected):
    with torch.no_grad():
        assert belongs_on_cpu(OnDevice(frames, device), 100) is expected
    assert belongs_on_cpu(OnDevice(frames, device), 100) is False, "with gradients they stay"


def test_they_come_back_to_their_device():
    kept = FrameFeatures(torch.device("meta"), on_cpu=True)
    kept.append(torch.ones(2))
    assert kept.stack().device == CPU
    assert kept[0].device == torch.device("meta")
