"""Draw the picture of docs/degradations.md: three frames of a clip under every degradation and every recipe.

    python tools/render_degradations.py [CLIP] [--out docs/images/degradations.jpg]

CLIP is a video or a folder of images; without one, a camera over a photograph that scikit-image brings along.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vrestore.config import find_recipe, load_config
from vrestore.data.benchmarks.bundled import BundledClips
from vrestore.degradations import SpaceTimeDown, imresize
from vrestore.degradations.random_resize import resize
from vrestore.registry import DEGRADATIONS
from vrestore.video import read_clip

ROOT = Path(__file__).resolve().parents[1]
N_FRAMES, SHOWN = 9, (0, 2, 4)
VIEW = (108, 144)  # height and width of a frame in the picture: a part of the clean frame, pixel by pixel
COLUMNS, GAP, LABEL = 2, 4, 16
SEED = 6

# Drawn values are fixed near the strong end, so that each shows; recipes draw theirs.
CELLS: list[tuple[str, dict[str, Any]]] = [
    ("clean", dict(type="Identity")),
    ("UnsharpMask", dict(type="UnsharpMask")),
    ("RandomBlur: aniso", dict(type="RandomBlur", kernel_size=21, kinds="aniso", sigma_x=3, sigma_y=0.6, angle=0.6)),
    ("RandomBlur: sinc", dict(type="RandomBlur", kernel_size=21, kinds="sinc", omega=0.9)),
    ("RandomResize: down by 3, area", dict(type="RandomResize", modes="down", factor=(0.33, 1), step=0, ops="area")),
    ("BicubicDown, x4", dict(type="BicubicDown", scale=4)),
    ("BlurDown, x4", dict(type="BlurDown", scale=4)),
    ("RandomNoise: Gaussian, colour", dict(type="RandomNoise", gaussian_prob=1, gray_prob=0, sigma=22)),
    ("RandomNoise: Poisson, gray", dict(type="RandomNoise", gaussian_prob=0, gray_prob=1, poisson_scale=1.8)),
    ("JPEGCompression: quality 10", dict(type="JPEGCompression", quality=10, step=0)),
    ("VideoCompression: H.264", dict(type="VideoCompression", codecs="h264", bitrate=2.5e3)),
    ("VideoCompression: H.265", dict(type="VideoCompression", codecs="h265", bitrate=1.2e3)),
    ("VideoCompression: MPEG-4", dict(type="VideoCompression", codecs="mpeg4", bitrate=2.5e3)),
    ("FilmGrain", dict(type="FilmGrain", strength=16, size=0.9)),
    ("Interlace: none (combs)", dict(type="Interlace", deinterlacers="none")),
    ("Interlace: blend (ghosts)", dict(type="Interlace", deinterlacers="blend")),
    ("Interlace: bob (stairs)", dict(type="Interlace", deinterlacers="bob")),
    ("Flicker", dict(type="Flicker", strength=0.25)),
    ("ColourDrift", dict(type="ColourDrift", gain=(0.7, 1.3), step=0.2)),
    ("FrameDrop: repeat", dict(type="FrameDrop", prob=0.7)),
    ("SpaceTimeDown: x5, every 4th", dict(type="SpaceTimeDown", downscale=5, key_frame_stride=4)),
]
RECIPES = ("realbasicvsr", "realesrgan", "archive_film")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", help="a video or a folder of images")
    parser.add_argument("--start", type=int, default=0, help="first frame")
    parser.add_argument("--stride", type=int, default=1, help="take every so many frames, for more motion")
    parser.add_argument("--shrink", type=float, default=1, help="make the clean frames smaller first")
    parser.add_argument("--at", type=int, nargs=2, metavar=("TOP", "LEFT"), help="where the part shown lies")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "degradations.jpg")
    args = parser.parse_args()
    clip = footage(args)
    cells = [*CELLS, *((f"recipe {name}", recipe(name)) for name in RECIPES)]
    strips = [(label, strip(clip, config, args.at)) for label, config in cells]
    picture = laid_out(strips)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(args.out, quality=75)
    print(f"{args.out}: {picture.width}x{picture.height}, {args.out.stat().st_size / 1000:.0f} kB")


def recipe(name: str) -> dict[str, Any]:
    return find_recipe(load_config(f"degradations/{name}"), name)


def footage(args: argparse.Namespace) -> Tensor:
    """(N_FRAMES, 3, H, W), sides multiples of 8."""
    if args.clip is None:
        clip = BundledClips(["cat"], n_frames=N_FRAMES, size=(240, 320))[0]["hq"]
    else:
        clip = read_clip(args.clip, args.start, (N_FRAMES - 1) * args.stride + 1)[:: args.stride]
    clip = imresize(clip, scale=1 / args.shrink).clamp(0, 1)
    height, width = (side // 8 * 8 for side in clip.shape[-2:])
    return clip[..., :height, :width]


def strip(clip: Tensor, config: dict[str, Any], at: list[int] | None) -> np.ndarray:
    """The shown frames side by side, uint8 (H, 3 * W, 3), enlarged by nearest pixels where they were made smaller."""
    degrade = DEGRADATIONS.build(dict(config))
    frames, record = degrade(clip, np.random.default_rng(SEED))
    size = tuple(clip.shape[-2:])
    frames = resize(frames, size, "nearest")
    if isinstance(degrade, SpaceTimeDown):  # what was not kept is shown black
        whole = torch.zeros_like(clip)
        whole[record["key_frames"]] = frames
        frames = whole
    top, left = at or ((size[0] - VIEW[0]) // 2, (size[1] - VIEW[1]) // 2)
    shown = frames[list(SHOWN)][..., top : top + VIEW[0], left : left + VIEW[1]]
    return shown.clamp(0, 1).mul(255).round().byte().permute(2, 0, 3, 1).reshape(VIEW[0], -1, 3).numpy()


def laid_out(strips: list[tuple[str, np.ndarray]]) -> Image.Image:
    rows = -(-len(strips) // COLUMNS)
    width, height = strips[0][1].shape[1], VIEW[0] + LABEL
    picture = Image.new("RGB", (COLUMNS * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=12)
    for index, (label, image) in enumerate(strips):
        left, top = (index % COLUMNS) * (width + GAP), (index // COLUMNS) * (height + GAP)
        draw.text((left + 2, top), label, fill="black", font=font)
        picture.paste(Image.fromarray(image), (left, top + LABEL))
    return picture


if __name__ == "__main__":
    main()
