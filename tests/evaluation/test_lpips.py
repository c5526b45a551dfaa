"""LPIPS where its weights are missing or wrong (its numbers: tests/parity/test_metrics.py)."""

import pytest
import torch

from vrestore.errors import ConfigError, NotMeasuredError, WeightsError
from vrestore.evaluation import LPIPS

FRAMES = torch.rand(1, 3, 64, 64)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of torch.hub."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def test_without_weights_it_says_how_to_get_them(hub):
    metric = LPIPS()
    with pytest.raises(
        NotMeasuredError, match=r"alexnet-owt-7be5be79\.pth.*torchvision\.models\.alexnet.*backbone_weights"
    ):
        metric.score(FRAMES, FRAMES)
    assert metric.protocol["weights"] is None


def test_a_named_file_that_is_missing_is_named(hub):
    with pytest.raises(NotMeasuredError, match=r"backbone_weights='nowhere\.pth' is not a file"):
        LPIPS(backbone_weights="nowhere.pth").score(FRAMES, FRAMES)


def test_a_damaged_download_is_refused(hub):
    (hub / "alexnet-owt-7be5be79.pth").write_bytes(b"half a download")
    with pytest.raises(WeightsError, match="damaged: its SHA-256 does not start with 7be5be79"):
        LPIPS().score(FRAMES, FRAMES)


def test_weights_of_another_network_are_refused(tmp_path):
    pytest.importorskip("lpips")
    file = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, file)
    with pytest.raises(WeightsError, match=r"must hold 'features\.0\.weight' of shape \(64, 3, 11, 11\)"):
        LPIPS(backbone_weights=str(file)).score(FRAMES, FRAMES)


def test_weights_that_would_run_code_are_refused(tmp_path):
    pytest.importorskip("lpips")
    file = tmp_path / "model.pth"
    torch.save(torch.nn.Conv2d(3, 64, 11), file)  # a pickled module, not a state dict
    with pytest.raises(WeightsError, match="cannot be read"):
        LPIPS(backbone_weights=str(file)).score(FRAMES, FRAMES)


def test_small_frames_are_not_measured(hub):
    with pytest.raises(NotMeasuredError, match="at least 64 pixels a side, got 64x40"):
        LPIPS().score(FRAMES[..., :40, :], FRAMES[..., :40, :])


def test_an_unknown_network_is_refused():
    with pytest.raises(ConfigError, match="alex, vgg, squeeze"):
        LPIPS(net="resnet")
