"""Metrics in MMEngine's Evaluator, as the val loop uses them."""

import math
from typing import ClassVar

import pytest
import torch
from mmengine.evaluator import Evaluator

from tests.evaluation.parts import NoisyX4, TinyBenchmark, moving_clip
from vrestore.errors import EvaluationError
from vrestore.evaluation import PSNR, SSIM, Metric
from vrestore.evaluation.plan import build_metrics
from vrestore.registry import METRICS


@pytest.fixture
def predictions():
    dataset, restorer = TinyBenchmark(clips=3), NoisyX4().eval()
    samples = [dataset[i] for i in range(3)]
    return [
        restorer(s["lq"][None], s["hq"][None], record=[s["record"]], clip=[s["clip"]], mode="predict")[0]
        for s in samples
    ]


def test_the_evaluator_gives_the_mean_over_clips(predictions):
    evaluator = Evaluator([METRICS.build({"type": "PSNR"}), {"type": "vrestore.SSIM"}, PSNR("RGB", crop_border=4)])
    for sample in predictions:
        evaluator.process([sample], {"clip": [sample["clip"]]})
    result = evaluator.evaluate(3)
    assert list(result) == ["PSNR-Y", "SSIM-Y", "PSNR-RGB-crop4"]
    per_clip = [sum(PSNR().score(s["pred"], s["hq"])) / len(s["pred"]) for s in predictions]
    assert result["PSNR-Y"] == pytest.approx(sum(per_clip) / 3)
    assert evaluator.metrics[0].results == []


def test_identical_frames_do_not_hide_the_others():
    hq = moving_clip(0)
    pred = hq.clone()
    pred[1:] = (pred[1:] + 0.1).clamp(0, 1)
    metric = PSNR()
    metric.process({}, [{"pred": pred, "hq": hq, "clip": "a"}])
    finite = [v for v in metric.score(pred, hq) if math.isfinite(v)]
    assert metric.evaluate(1) == {"PSNR-Y": pytest.approx(sum(finite) / 3)}
    metric.process({}, [{"pred": hq, "hq": hq, "clip": "a"}])
    assert metric.evaluate(1) == {"PSNR-Y": math.inf}


def test_what_cannot_be_measured_yields_no_number(predictions):
    evaluator = Evaluator([METRICS.build({"type": "NIQE"}), METRICS.build({"type": "PSNR"})])
    evaluator.process([predictions[0]])  # 64x80: too small for NIQE
    assert list(evaluator.evaluate(1)) == ["PSNR-Y"]


def test_a_mismatch_stops_with_the_name_of_the_clip():
    hq = moving_clip(0)
    with pytest.raises(EvaluationError, match="SSIM-Y of clip 'a': the output has 3 frame"):
        SSIM().process({}, [{"pred": hq[:-1], "hq": hq, "clip": "a"}])


def test_a_plug_in_metric_needs_a_score_and_a_protocol():
    class Brightness(Metric):
        metric: ClassVar[str] = "Brightness"
        needs_reference: ClassVar[bool] = False

        @property
        def protocol(self):
            return self.base_protocol(colour="RGB")

        def score(self, pred_TCHW, hq_TCHW=None):
            return pred_TCHW.mean((1, 2, 3)).tolist()

    (metric,) = build_metrics([Brightness()], "metrics")
    metric.process({}, [{"pred": torch.full((2, 3, 4, 4), 0.25), "hq": None, "clip": "a"}])
    assert metric.evaluate(1) == {"Brightness": 0.25}
