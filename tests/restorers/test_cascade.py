"""Restorers in a row: the same as by hand, any split of a request, and errors that name the stage."""

from fractions import Fraction

import pytest
import torch
from safetensors.torch import save_file

from tests.checkpoints.parts import SMALL, same_weights, small_basicvsr
from tests.inference.restorers import Between, Plain
from vrestore.checkpoints.zoo import load_restorer
from vrestore.errors import ConfigError, RegistryError, RequestError
from vrestore.registry import MODELS
from vrestore.restorers import CascadeRestorer, Request
from vrestore.restorers.capabilities import Scales

BLEND = dict(type="ResampleRestorer", temporal="blend")
BASICVSR = dict(type="RegressionRestorer", backbone=SMALL, chunk_overlap_frames=3, weights_licence="Apache-2.0")
SRVGG = dict(type="SRVGGNetCompact", mid_channels=6, num_convs=1, upscale_factor=2)
FRAMEWISE = dict(type="FramewiseRestorer", backbone=SRVGG, weights_licence="BSD-3-Clause")
RRDB1 = dict(type="RRDBNet", mid_channels=6, num_blocks=1, growth_channels=4, upscale_factor=1)


def cascade(*stages, **more):
    torch.manual_seed(0)
    return MODELS.build(dict(type="CascadeRestorer", stages=list(stages), **more))


@pytest.mark.parametrize("size", [(9, 14), (16, 8), (17, 11)])
def test_it_is_its_stages_one_after_the_other(size):
    both = cascade(BLEND, BASICVSR)
    frames = torch.rand(3, 3, *size)
    first, second = both.stages
    by_hand = second.restore(first.restore(frames, Request(scale=1, temporal_scale=2)))
    assert torch.equal(both.restore(frames, Request(temporal_scale=2)), by_hand)
    assert by_hand.shape == (6, 3, size[0] * 4, size[1] * 4)


def test_the_other_order():
    both = cascade(BASICVSR, BLEND)
    frames = torch.rand(3, 3, 9, 14)
    first, second = both.stages
    by_hand = second.restore(first.restore(frames), Request(scale=1, temporal_scale=2))
    assert torch.equal(both.restore(frames, Request(temporal_scale=2)), by_hand)


def test_every_stage_pads_for_itself():
    odd = cascade(FRAMEWISE, dict(type="FramewiseRestorer", backbone=RRDB1))
    frames = torch.rand(2, 3, 9, 7)
    by_hand = odd.stages[1].restore(odd.stages[0].restore(frames))
    assert torch.equal(odd.restore(frames), by_hand)
    assert by_hand.shape == (2, 3, 18, 14)
    assert odd.capabilities.size_multiple == 2  # of 4 after x2


@pytest.mark.parametrize("size", [(37, 50), (9, 14), (100, 3)])
@pytest.mark.parametrize("stages", [(BLEND, BASICVSR), (BASICVSR, BLEND), (FRAMEWISE, FRAMEWISE)])
def test_a_target_size_is_met(stages, size):
    assert cascade(*stages).restore(torch.rand(2, 3, 9, 14), Request(size=size)).shape == (2, 3, *size)


def test_a_size_goes_to_the_stage_that_reaches_any():
    both = cascade(BASICVSR, BLEND)
    assert [r.size for r in both.stage_requests(Request(size=(30, 40)), 9, 14)] == [None, (30, 40)]
    both = cascade(BLEND, BASICVSR)
    assert [r.size for r in both.stage_requests(Request(size=(30, 40)), 9, 14)] == [None, (30, 40)]
    both = cascade(BLEND, dict(type="FramewiseRestorer", backbone=RRDB1))
    assert [r.size for r in both.stage_requests(Request(size=(30, 40)), 9, 14)] == [(30, 40), None]


@pytest.mark.parametrize(("scale", "each"), [(None, (1, 4)), (4, (1, 4)), (8, (2, 4)), (6, (1.5, 4))])
def test_the_scale_is_split(scale, each):
    both = cascade(BLEND, BASICVSR)
    requests = both.stage_requests(Request(scale=scale), 10, 12)
    assert tuple(r.scale for r in requests) == each
    assert both.restore(torch.rand(2, 3, 10, 12), Request(scale=scale)).shape[-2:] == (
        10 * (scale or 4),
        12 * (scale or 4),
    )


def test_rounding_twice_does_not_miss_the_size():
    both = cascade(BLEND, FRAMEWISE, requests=[dict(scale=1.5), {}])
    frames = torch.rand(1, 3, 9, 11)  # 1.5 times 9 is 13.5, rounded to 14, and twice 14 is 28
    assert both.output_size(Request(), 9, 11) == (27, 33)
    assert both.restore(frames).shape == (1, 3, 27, 33)


def test_rates_are_split_and_told():
    both = cascade(BASICVSR, BLEND)
    asked = Request(fps=Fraction(60000, 1001), source_fps=Fraction(30000, 1001))
    first, second = both.stage_requests(asked, 9, 9)
    assert (first.fps, first.time_factor()) == (None, 1)
    assert (second.fps, second.source_fps) == (asked.fps, asked.source_fps)
    twice = CascadeRestorer(
        [Plain(temporal_scales=Scales(fixed=(2.0,))), Plain(temporal_scales=Scales(fixed=(1.0, 2.0)))]
    )
    first, second = twice.stage_requests(Request(fps=100, source_fps=25), 9, 9)
    assert (first.time_factor(), second.time_factor()) == (2, 2)
    assert (first.source_fps, second.source_fps) == (25, 50)
    assert twice.capabilities.temporal_scales.fixed == (2, 4)
    assert len(twice.restore(torch.rand(3, 3, 9, 9), Request(fps=100, source_fps=25))) == 12


def test_prompts_go_to_the_stage_that_takes_one():
    both = CascadeRestorer([Plain(), Plain(takes_prompt=True)])
    first, second = both.stage_requests(Request(prompt="rain", negative_prompt="blur", seed=5, steps=3), 9, 9)
    assert (first.prompt, first.negative_prompt, first.seed, first.steps) == (None, None, 5, 3)
    assert (second.prompt, second.negative_prompt, second.seed) == ("rain", "blur", 5)
    assert both.capabilities.takes_prompt


def test_fixed_fields():
    both = CascadeRestorer(
        [Plain(dtypes=("fp32",)), Plain(takes_prompt=True, dtypes=("fp32", "bf16"))],
        requests=[dict(precision="fp32"), dict(seed=7, prompt="sharp")],
    )
    assert both.capabilities.dtypes == ("fp32", "bf16")
    first, second = both.stage_requests(Request(precision="bf16", prompt="rain"), 9, 9)
    assert (first.precision, first.prompt) == ("fp32", None)
    assert (second.precision, second.prompt, second.seed) == ("bf16", "sharp", 7)


def test_capabilities_are_put_together():
    caps = cascade(BLEND, BASICVSR, FRAMEWISE).capabilities
    assert caps.spatial_scales.between == (8, 512)
    assert caps.default_scale == 8
    assert caps.temporal_scales.between == (1, 64)
    assert caps.context_frames is None
    assert caps.chunk_overlap_frames == 1 + 3
    assert caps.least_size_px == 8
    assert caps.dtypes == ("fp32",)
    assert caps.weights_licence == "Apache-2.0; BSD-3-Clause"


def test_lengths_count_in_the_units_of_the_input():
    stages = [
        Plain(2, temporal_scales=Scales(fixed=(2.0,)), context_frames=1, chunk_overlap_frames=1, tile_overlap_px=4),
        Plain(1, temporal_scales=Scales(fixed=(1.0,)), context_frames=5, chunk_overlap_frames=4, tile_overlap_px=9,
              size_multiple=8, least_size_px=33, least_frames=5, dtypes=("fp32", "bf16")),
    ]  # fmt: skip
    caps = CascadeRestorer(stages).capabilities
    assert (caps.context_frames, caps.chunk_overlap_frames, caps.tile_overlap_px) == (1 + 3, 1 + 2, 4 + 5)
    assert (caps.size_multiple, caps.least_size_px, caps.least_frames) == (4, 17, 3)
    assert CascadeRestorer([stages[0], Plain(context_frames=2)]).capabilities.chunk_overlap_frames is None
    assert CascadeRestorer([stages[0], Plain()]).capabilities.tile_overlap_px is None


def test_a_cascade_within_a_cascade():
    inner = dict(type="CascadeRestorer", stages=[BLEND, FRAMEWISE])
    outer = cascade(inner, FRAMEWISE)
    frames = torch.rand(2, 3, 8, 9)
    assert outer.restore(frames, Request(temporal_scale=2)).shape == (4, 3, 32, 36)
    assert outer.capabilities.weights_licence == "BSD-3-Clause"


def test_frames_between_frames():
    both = CascadeRestorer([Between(), Between()], requests=[dict(temporal_scale=2), dict(temporal_scale=2)])
    assert len(both.restore(torch.rand(4, 3, 8, 8), Request(temporal_scale=4))) == 13


class TestErrors:
    @pytest.mark.parametrize(
        ("config", "error", "words"),
        [
            (dict(stages=[]), ConfigError, "needs stages="),
            (dict(stages=BLEND), ConfigError, "needs stages="),
            (dict(stages=[BLEND, dict(type="Nothing")]), RegistryError, "stage 2 of 2: 'Nothing' is not registered"),
            (
                dict(stages=[{**BLEND, "spatial": "cubist"}]),
                ConfigError,
                "stage 1 of 1: ResampleRestorer: spatial must",
            ),
            (dict(stages=["bicubic"]), ConfigError, "stage 1 of 1 is a name, 'bicubic'; names are looked up by"),
            (
                dict(stages=[dict(model=BLEND, file="x")]),
                ConfigError,
                "stage 1 of 1: unknown key 'file' beside 'model'",
            ),
            (dict(stages=[BLEND], requests=[{}, {}]), ConfigError, "one dict for each of the 1 stages, got 2"),
            (
                dict(stages=[BLEND], requests=[dict(size=(1, 1))]),
                ConfigError,
                r"stage 1 of 1 \(Res.* cannot fix 'size'",
            ),
            (
                dict(stages=[BLEND], requests=[dict(scale=-1)]),
                ConfigError,
                r"stage 1 of 1 \(Res.*scale must be a finite",
            ),
        ],
    )
    def test_of_configs(self, config, error, words):
        with pytest.raises(error, match=words):
            MODELS.build(dict(type="CascadeRestorer", **config))

    def test_of_stages(self):
        both = cascade(
            BASICVSR, dict(type="FramewiseRestorer", backbone={**SRVGG, "in_channels": 4, "out_channels": 4})
        )
        with pytest.raises(ConfigError, match=r"stage 2 of 2 \(FramewiseRestorer\): SRVGGNetCompact takes 4 channels"):
            both.restore(torch.rand(2, 3, 8, 8))
        picky = CascadeRestorer([Plain(), Plain(least_frames=3)], requests=[dict(temporal_scale=0.5), {}])
        with pytest.raises(
            RequestError, match=r"stage 2 of 2 \(Plain\): the clip has 2 frame\(s\); this model needs at"
        ):
            picky.restore_frames(torch.rand(4, 3, 8, 8), Request(temporal_scale=0.5))

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            (Request(scale=1), r"scale=1 is not served; this model serves scale 4 to 256"),
            (Request(temporal_scale=0.5), "0.5 times the frame rate is not served; this model serves 1 to 64 times"),
            (Request(precision="bf16"), "precision=bf16 is not served; this model serves fp32"),
        ],
    )
    def test_of_requests(self, request_, words):
        with pytest.raises(RequestError, match=words):
            cascade(BLEND, BASICVSR).restore(torch.rand(2, 3, 8, 8), request_)

    def test_of_splits(self):
        gap = CascadeRestorer(
            [Plain(spatial_scales=Scales(fixed=(2.0, 4.0))), Plain(spatial_scales=Scales(between=(1, 1.5)))]
        )
        with pytest.raises(
            RequestError, match=r"scale=3.5 cannot be split over the stages: stage 1 of 2 \(Plain\) serves 2, 4; "
        ):
            gap.stage_requests(Request(scale=3.5), 8, 8)
        halves = CascadeRestorer(
            [Plain(), Plain(temporal_scales=Scales(fixed=(2.0,)))], requests=[dict(temporal_scale=1.5), {}]
        )
        with pytest.raises(
            RequestError, match="3 times the frame rate cannot be split over the stages so that a clip can be cut"
        ):
            halves.stage_requests(Request(temporal_scale=3), 8, 8)


class TestWeights:
    def test_of_stages(self, tmp_path):
        network = small_basicvsr(seed=3)
        save_file(network.state_dict(), tmp_path / "b.safetensors")
        torch.manual_seed(4)
        file = tmp_path / "s.pth"
        torch.save({"params": MODELS.build(FRAMEWISE).backbone.state_dict()}, file)
        stages = [
            dict(model=BASICVSR, weights=str(tmp_path / "b.safetensors")),
            {**FRAMEWISE, "weights": str(file)},
            dict(type="CascadeRestorer", stages=[BLEND, str(file)]),
        ]
        restorer = load_restorer(dict(type="CascadeRestorer", stages=stages), device="cpu")
        assert same_weights(restorer.stages[0].backbone, network)
        for stage in (restorer.stages[1], restorer.stages[2].stages[1]):
            assert torch.equal(stage.backbone.body[0].weight, torch.load(file)["params"]["body.0.weight"])

    def test_names_of_the_zoo(self, caplog, monkeypatch):
        restorer = load_restorer(dict(type="CascadeRestorer", stages=[BLEND, "basicvsr-small-x4"]), device="cpu")
        alone = load_restorer("basicvsr-small-x4", device="cpu")
        assert same_weights(restorer.stages[1], alone)
        assert restorer.capabilities.weights_licence == "Apache-2.0"
        with pytest.raises(RegistryError, match="no model is called 'basicvrs'"):
            load_restorer(dict(type="CascadeRestorer", stages=[BLEND, "basicvrs"]), device="cpu")

    def test_that_are_missing_are_told(self, caplog, monkeypatch):
        import logging

        monkeypatch.setattr(logging.getLogger("vrestore"), "propagate", True)
        load_restorer(dict(type="CascadeRestorer", stages=[BLEND, BLEND]), device="cpu")
        assert not caplog.records
        load_restorer(dict(type="CascadeRestorer", stages=[BLEND, BASICVSR]), device="cpu")
        assert "random weights: none were given" in caplog.text

    def test_of_the_whole(self, tmp_path):
        config = dict(type="CascadeRestorer", stages=[BASICVSR, FRAMEWISE])
        whole = cascade(BASICVSR, FRAMEWISE)
        save_file(whole.state_dict(), tmp_path / "w.safetensors")
        assert same_weights(load_restorer(config, str(tmp_path / "w.safetensors"), device="cpu"), whole)


def test_the_last_stage_streams_and_every_stage_tells_its_share():
    class Slow(Plain):
        def stream_frames(self, frames_TCHW, request):
            for i in range(len(frames_TCHW)):
                if self.on_progress:
                    self.on_progress((i + 1) / len(frames_TCHW))
                yield frames_TCHW[i : i + 1]

    both = CascadeRestorer([Slow(), Slow()])
    told = []
    both.on_progress = told.append
    frames = torch.rand(2, 3, 8, 8)
    pieces = list(both.stream(frames))
    assert [len(piece) for piece in pieces] == [1, 1]
    assert torch.equal(torch.cat(pieces), frames)
    assert told == [0.25, 0.5, 0.5, 0.75, 1, 1]
    assert both.stages[0].on_progress is None


def test_memory_is_asked_of_every_stage():
    class Hungry(Plain):
        def check_memory(self, request, frames, height, width):
            if frames * height * width > 5000:
                raise RequestError(f"{frames} frames of {width}x{height} are too much")

    both = CascadeRestorer([Hungry(2), Hungry(2)], requests=[dict(temporal_scale=2), dict(temporal_scale=1)])
    both.restore(torch.rand(2, 3, 8, 8), Request(temporal_scale=2))
    with pytest.raises(RequestError, match=r"stage 2 of 2 \(Hungry\): 8 frames of 32x40 are too much"):
        both.restore(torch.rand(4, 3, 20, 16), Request(temporal_scale=2))
