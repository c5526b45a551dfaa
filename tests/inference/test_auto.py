"""The choice of a model for `--model auto`."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vrestore.checkpoints.index import zoo
from vrestore.errors import RequestError
from vrestore.inference import auto
from vrestore.inference.auto import choose_model, format_duration, read_candidates
from vrestore.registry import MODELS

CLIP = {"frames": 10, "height": 90, "width": 160, "scale": 4.0, "flops_per_s": 1e11}


def everything(model, offline):
    return None


def shipped_only(model, offline):
    return None if model == read_candidates()["real"][0].model else "its weights are not on this machine"


@pytest.mark.parametrize("content", ["real", "animation"])
@pytest.mark.parametrize(
    ("device", "quality", "position"),
    [
        ("cpu", "fast", 0),
        ("cpu", "balanced", 0),
        ("cpu", "best", -1),
        ("cuda", "fast", 0),
        ("cuda", "balanced", -1),
        ("cuda", "best", -1),
    ],
)
def test_quality_and_device_choose_the_end_of_the_list(content, device, quality, position):
    choice = choose_model(**CLIP, content=content, device=device, quality=quality, available=everything)
    assert choice.model == read_candidates()[content][position].model
    assert {name for name, _, _ in choice.alternatives} == {c.model for c in read_candidates()[content]} - {
        choice.model
    }


@pytest.mark.parametrize("content", ["real", "animation"])
def test_the_shipped_model_serves_when_no_other_is_there(content):
    choice = choose_model(**CLIP, content=content, device="cuda", quality="best", offline=True, available=shipped_only)
    assert choice.model == read_candidates()["real"][0].model
    assert "not available" in choice.reason
    assert "offline" in choice.reason


def test_the_prediction_is_the_arithmetic_over_the_speed():
    choice = choose_model(**CLIP, device="cpu", available=everything)
    candidate = read_candidates()["real"][0]
    assert choice.seconds == pytest.approx(candidate.mflop_per_px * 1e6 * 10 * 90 * 160 / 1e11)
    assert choice.model in str(choice)
    assert "alternatives" in str(choice)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 8.0}, "no model of --model auto serves scale 8"),
        ({"content": "cartoon"}, "content must be one of real, animation, got 'cartoon'"),
        ({"quality": "high"}, "quality must be one of fast, balanced, best, got 'high'"),
        ({"available": lambda *_: "its weights cannot be downloaded"}, "no model of --model auto is available"),
    ],
)
def test_what_cannot_be_served_is_refused(options, message):
    with pytest.raises(RequestError, match=message):
        choose_model(**{**CLIP, "device": "cpu", "available": everything, **options})


def _candidates():
    return [c for content in auto.CONTENTS for c in read_candidates()[content]]


@pytest.mark.parametrize("candidate", _candidates(), ids=lambda c: c.model)
def test_the_arithmetic_per_pixel_is_that_of_the_network(candidate):
    entry = zoo()[candidate.model]
    restorer = MODELS.build(entry.restorer_config())
    clip = torch.rand(4, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        restorer.restore(clip)
    measured = counter.get_total_flops() / (4 * 32 * 32) / 1e6
    assert candidate.mflop_per_px == pytest.approx(measured, rel=0.05)
    assert auto.MODEL_SCALE in restorer.capabilities.spatial_scales


def test_the_shipped_candidate_needs_no_download():
    assert auto.weights_available(read_candidates()["real"][0].model, offline=True) is None


def test_the_speed_of_the_device_is_measured():
    assert 1e8 < auto.measure_flops_per_s(torch.device("cpu")) < 1e15


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (120, "2 min"), (9000, "2.5 h")])
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text


def test_a_failed_download_falls_back_to_the_weights_on_this_machine(tmp_path, monkeypatch, caplog):
    import vrestore
    from vrestore.checkpoints import zoo as loading
    from vrestore.errors import WeightsError
    from vrestore.video import VideoWriter

    load = loading.load_restorer

    def unreachable(name, *arguments):
        if name == "realesrgan-x4plus":
            raise WeightsError("no source could be reached")
        return load(name, *arguments)

    monkeypatch.setattr(loading, "load_restorer", unreachable)
    with VideoWriter(tmp_path / "in.mkv", fps=25) as writer:
        writer.write(torch.rand(2, 3, 16, 16))
    options = {"quality": "best", "device": "cpu", "progress": False}
    with caplog.at_level("INFO", logger="vrestore"):
        report = vrestore.restore_video(tmp_path / "in.mkv", tmp_path / "out.mkv", scale=2, **options)
    assert report.model == "basicvsr-small-x4"
    assert report.size_out == (32, 32)
    assert "realesrgan-x4plus is not available: no source could be reached" in caplog.text
