"""A picture that compares methods: the same crop of every output side by side, each with its name and score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from vrestore.errors import ConfigError
from vrestore.evaluation.benchmark import BenchmarkResult, input_preview_path, preview_path
from vrestore.evaluation.colour import rgb_to_y
from vrestore.evaluation.files import safe_name, write_png

TILE_PX = 256
MARGIN_PX, LABEL_PX, GAP_PX = 10, 42, 8
BACKGROUND, INK, FAINT, FRAME = (250, 250, 250), (20, 20, 20), (110, 110, 110), (235, 60, 40)


@dataclass(frozen=True)
class Panel:
    """One crop of the picture: an image (H, W, 3) uint8 of the ground truth's size, a name, and a second line."""

    name: str
    detail: str
    image_HWC: np.ndarray


def write_comparisons(result: BenchmarkResult) -> list[Path]:
    """One picture a clip under ``<work_dir>/comparison``, from the middle frames that the run kept.

    A clip for which no output was kept has no picture.

    Returns:
        The files written.
    """
    written = []
    for benchmark in result.benchmarks:
        for _, clip in sorted(benchmark.clips.items()):
            panels, overview = _panels(result, benchmark.name, clip)
            if len(panels) < 2:
                continue
            path = result.work_dir / "comparison" / f"{safe_name(benchmark.name)}-{safe_name(clip)}.png"
            written.append(write_png(path, draw_comparison(panels, overview, f"{benchmark.name}, {clip}")))
    return written


def draw_comparison(panels: Sequence[Panel], overview_HWC: np.ndarray, heading: str, crop_px: int = 96) -> np.ndarray:
    """Draw the overview with the cropped region framed, and the crop of every panel enlarged.

    Args:
        panels: what to compare; images of one size.
        overview_HWC: the image in which the region is shown and by whose texture it is chosen, uint8, of that size too.
        heading: text above.
        crop_px: side of the region.

    Returns:
        The picture (H, W, 3) uint8.

    Raises:
        ConfigError: there is nothing to compare, or sizes differ.
    """
    sizes = {panel.image_HWC.shape for panel in panels} | {overview_HWC.shape}
    if not panels or len(sizes) != 1:
        raise ConfigError(f"a comparison needs images of one size, got {sorted(sizes)}")
    height, width = overview_HWC.shape[:2]
    side = min(crop_px, height, width)
    top, left = most_textured_region(overview_HWC, side)

    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    body_height = rows * (TILE_PX + LABEL_PX) + (rows - 1) * GAP_PX
    shown_height = body_height - LABEL_PX
    shown_width = round(width * shown_height / height)
    if shown_width > 3 * TILE_PX:  # a wide frame must not dwarf its crops
        shown_width, shown_height = 3 * TILE_PX, round(height * 3 * TILE_PX / width)
    canvas_width = 2 * MARGIN_PX + shown_width + GAP_PX + columns * (TILE_PX + GAP_PX) - GAP_PX
    canvas = Image.new("RGB", (canvas_width, 2 * MARGIN_PX + 24 + body_height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    y0 = MARGIN_PX + 24
    draw.text((MARGIN_PX, MARGIN_PX), heading, fill=INK, font=_font(16))

    overview = Image.fromarray(overview_HWC).resize((shown_width, shown_height), Image.Resampling.LANCZOS)
    canvas.paste(overview, (MARGIN_PX, y0))
    ratio = shown_width / width
    box = [MARGIN_PX + left * ratio, y0 + top * ratio, MARGIN_PX + (left + side) * ratio, y0 + (top + side) * ratio]
    draw.rectangle(box, outline=FRAME, width=3)

    for index, panel in enumerate(panels):
        x = MARGIN_PX + shown_width + GAP_PX + (index % columns) * (TILE_PX + GAP_PX)
        y = y0 + (index // columns) * (TILE_PX + LABEL_PX + GAP_PX)
        crop = Image.fromarray(panel.image_HWC[top : top + side, left : left + side])
        # Enlarged without smoothing: what is compared are the methods' pixels.
        canvas.paste(crop.resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST), (x, y))
        draw.text((x, y + TILE_PX + 3), _fit(draw, panel.name, 15), fill=INK, font=_font(15))
        draw.text((x, y + TILE_PX + 22), _fit(draw, panel.detail, 13), fill=FAINT, font=_font(13))
    return np.asarray(canvas)


def most_textured_region(image_HWC: np.ndarray, side: int) -> tuple[int, int]:
    """Top and left of the square with the strongest edges of a few pixels' width; it depends on no method.

    Finer texture is lost in the degraded clip whatever the method, and says little.
    """
    luma = rgb_to_y(torch.from_numpy(np.array(image_HWC)).permute(2, 0, 1).double() / 255)
    luma = F.avg_pool2d(F.pad(luma[None], (1, 2, 1, 2), mode="replicate"), 4, stride=1)[0, 0]
    change = torch.zeros_like(luma)
    change[:-1] += (luma[1:] - luma[:-1]).abs()
    change[:, :-1] += (luma[:, 1:] - luma[:, :-1]).abs()
    sums = F.avg_pool2d(change[None, None], side, stride=max(side // 8, 1))[0, 0]
    row, column = divmod(int(sums.argmax()), sums.shape[1])
    stride = max(side // 8, 1)
    return row * stride, column * stride


def _panels(result: BenchmarkResult, benchmark: str, clip: str) -> tuple[list[Panel], np.ndarray]:
    """The degraded frame, every kept output and the ground truth, all at the size of the outputs."""
    finished = {cell.method: cell for cell in result.cells if (cell.benchmark, cell.clip) == (benchmark, clip)}
    outputs = [
        Panel(method, _detail(finished[method]), image)
        for method in result.methods
        if method in finished and (image := _read(preview_path(result.work_dir, method, benchmark, clip))) is not None
    ]
    lq, hq = (_read(input_preview_path(result.work_dir, which, benchmark, clip)) for which in ("lq", "hq"))
    if hq is not None:
        outputs.append(Panel("ground truth", "", hq))
    sizes = {panel.image_HWC.shape for panel in outputs}
    if lq is None or len(sizes) != 1:
        return [], np.zeros((1, 1, 3), np.uint8)
    height, width = outputs[0].image_HWC.shape[:2]
    enlarged = Image.fromarray(lq).resize((width, height), Image.Resampling.NEAREST)
    given = Panel("input", f"{lq.shape[1]}x{lq.shape[0]}", np.asarray(enlarged))
    return [given, *outputs], outputs[-1].image_HWC


def _read(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _detail(cell) -> str:
    """The first score that was measured."""
    for score in cell.scores:
        if score.frames is not None:
            return f"{score.name} {score.clip.mean:.2f}{' ' + score.unit if score.unit else ''} (clip)"
    return ""


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fit(draw: ImageDraw.ImageDraw, text: str, size: int) -> str:
    """Text cut to the width of a tile."""
    if draw.textlength(text, font=_font(size)) <= TILE_PX:
        return text
    while text and draw.textlength(text + "…", font=_font(size)) > TILE_PX:
        text = text[:-1]
    return text + "…"
