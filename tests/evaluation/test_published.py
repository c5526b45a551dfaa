"""Published scores beside measured ones: only where set, degradation and protocol agree."""

import io
import json

import pytest
from rich.console import Console

from tests.data.test_benchmarks import lay_out
from vrestore.data import Vid4
from vrestore.evaluation import NIQE, PSNR, SSIM
from vrestore.evaluation.benchmark import run_benchmark
from vrestore.evaluation.published import protocol_text, published_scores
from vrestore.evaluation.report import print_report, write_report

Y = [PSNR("Y").protocol, SSIM("Y").protocol]


def test_protocols_as_the_index_spells_them():
    assert protocol_text(PSNR("Y").protocol) == "Y, crop border 0, whole clips"
    assert protocol_text(SSIM("RGB", crop_border=8).protocol) == "RGB, crop border 8, whole clips"
    mirrored = {**PSNR("Y").protocol, "frames": "7 frames mirrored to 14, mean of both centre frames"}
    assert protocol_text(mirrored) == "Y, crop border 0, 7 frames mirrored to 14, mean of both centre frames"
    assert protocol_text(PSNR("Y", round_to_uint8=False).protocol) is None
    assert protocol_text(NIQE().protocol) is None or "crop border" in protocol_text(NIQE().protocol)


@pytest.mark.parametrize(
    ("where", "protocols", "entry", "values"),
    [
        (("Vid4", "BDx4"), Y, "basicvsr-pp-vimeo90k-bd", (29.0400, 0.8753)),
        (("UDM10", "BDx4"), Y, "iconvsr-vimeo90k-bd", (40.0640, 0.9697)),
        (("REDS4", "BIx4"), [PSNR("RGB").protocol], "edvr-l-reds4", (31.0467,)),
        (("REDS4", "BIx4"), [SSIM("RGB").protocol, PSNR("RGB").protocol], "basicvsr-reds4", (0.8909, 31.4170)),
        (("Vid4", "BIx4"), [PSNR("Y").protocol, PSNR("RGB").protocol], "edvr-l-vimeo90k", (27.35, 25.83)),
    ],
)
def test_what_was_published(where, protocols, entry, values):
    found = {published.entry: published for published in published_scores(*where, protocols)}
    assert found[entry].values == values
    assert found[entry].source


@pytest.mark.parametrize(
    ("where", "protocols"),
    [
        (("REDS4", "BIx4"), Y),
        (("Vid4", "BIx4"), [PSNR("Y", crop_border=8).protocol]),
        (("Vid4 (part)", "BIx4"), Y),
        (("Vid4", "BIx8"), Y),
        (("Vid4", "BIx4"), [{**PSNR("Y").protocol, "frames": "first 6 of each clip"}]),
        (("Vimeo-90K-T", "BIx4"), [{**PSNR("Y").protocol, "frames": "7 frames, the centre frame"}]),
        ((None, None), Y),
    ],
)
def test_another_protocol_has_no_published_scores(where, protocols):
    assert published_scores(*where, protocols) == []


def test_the_mirrored_protocol_of_vimeo_is_that_of_its_benchmark():
    from vrestore.data.benchmarks.vimeo import PROTOCOLS

    protocols = [{**PSNR("Y").protocol, "frames": PROTOCOLS["mirrored"]}]
    found = {published.entry: published.values for published in published_scores("Vimeo-90K-T", "BDx4", protocols)}
    assert found["basicvsr-vimeo90k-bd"] == (37.5501,)


def test_they_stand_in_every_form_of_the_report(tmp_path):
    config = {
        "methods": ["nearest"],
        "benchmarks": [
            {
                "dataset": Vid4(lay_out(tmp_path / "Vid4", Vid4.layout)),
                "metrics": [{"type": "PSNR"}, {"type": "NIQE"}],
            }
        ],
        "output": {"comparison": False},
    }
    result = run_benchmark(config, work_dir=tmp_path / "out", device="cpu")
    write_report(result, tmp_path / "out")
    (table,) = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["tables"]
    published = {row["entry"]: row["values"] for row in table["published"]}
    assert published["basicvsr-vimeo90k-bi"] == [27.2755, None]
    assert "edvr-l-vimeo90k" in published
    markdown = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "Published under the same protocols:" in markdown
    assert "| basicvsr-vimeo90k-bi | 27.28 | – | MMagic README |" in markdown
    console = Console(file=io.StringIO(), width=140)
    print_report(result, console)
    shown = console.file.getvalue()
    assert "basicvsr-vimeo90k-bi (published)" in shown
    assert "(published): by others on the same set, degradation and protocol" in shown
    assert "**" not in markdown.split("Published under")[1].split("\n\n")[1], "what nobody measured is no best"
