"""Small clips made on the spot, so that a clone without reference footage tests every kind of file."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vrestore.video import colour
from vrestore.video.colour import ColourTags
from vrestore.video.pixels import frame_of, layout_of


def smooth_frames(count: int, height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    """Moving smooth colours (T, 3, H, W): every frame differs from every other."""
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    t, y, x = np.meshgrid(np.arange(count), np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    waves = [
        0.5 + 0.4 * np.sin(a * x + b * y + 0.35 * t + p) for a, b, p in zip((3, 4, 2), (2, -1, 5), phase, strict=True)
    ]
    return torch.from_numpy(np.stack(waves, 1)).float()


def encode(
    path: Path,
    frames: Tensor,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: Fraction | int = 25,
    options: dict[str, str] | None = None,
    tags: ColourTags | None = None,
    times: Sequence[Fraction] | None = None,
    time_base: Fraction | None = None,
    gop: int | None = None,
    container: dict[str, str] | None = None,
    prepare: Callable[[Any], None] | None = None,
    sound: bool = False,
    interlaced: bool = False,
    cover: bytes | None = None,
) -> Path:
    """Encode frames with PyAV alone, as a foreign program would (untagged unless `tags` is given).

    `prepare` is handed the stream before the header is written.
    """
    written = tags or ColourTags()
    kind = layout_of(pix_fmt).kind
    resolved = colour.resolve(written, kind, pix_fmt, codec, frames.shape[3], frames.shape[2])
    siting = colour.siting_of({"libtheora": "theora", "mpeg1video": "mpeg1video"}.get(codec, codec))
    base = time_base or 1 / Fraction(fps)
    with av.open(f"file:{path}", "w", container_options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=Fraction(fps), options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames.shape[3], frames.shape[2], pix_fmt
        context = stream.codec_context
        context.time_base = stream.time_base = base
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = colour.codes_of(written)
        if gop:
            context.gop_size = gop
        if prepare:
            prepare(stream)
        tone: Any = output.add_stream("aac", rate=44100) if sound else None
        picture: Any = output.add_stream("mjpeg", rate=25) if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuvj420p"
            picture.disposition = 0x400
        for i, image in enumerate(frames):
            planes = colour.from_rgb(image, layout_of(pix_fmt), resolved, siting)
            frame = frame_of(planes, pix_fmt, frames.shape[3], frames.shape[2])
            frame.pts, frame.time_base = (i if times is None else round(times[i] / base)), base
            if times is None and base != 1 / Fraction(fps):
                frame.pts = round(i / Fraction(fps) / base)
            frame.colorspace, frame.color_range, _, _ = colour.codes_of(written)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if picture is not None:
            frame = av.VideoFrame(32, 32, "yuvj420p")
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            output.mux(picture.encode(frame))
            output.mux(picture.encode())
        if tone is not None:
            output.mux(tone_packets(tone, Fraction(len(frames)) / fps))
    return path


def tone_packets(stream: Any, seconds: Fraction) -> list:
    """A tone of 440 Hz, encoded."""
    count = int(seconds * 44100)
    wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(count) / 44100)).astype(np.float32)
    packets = []
    for start in range(0, count, 1024):
        part = np.ascontiguousarray(wave[None, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
        packets += stream.encode(frame)
    return packets + stream.encode()


def write_png(path: Path, image: Tensor, bits: int = 8) -> Path:
    """One image (3, H, W) as PNG, by Pillow for 8 bits and by FFmpeg for 16."""
    if bits == 8:
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
        return path
    height, width = image.shape[1:]
    planes = [(channel.double() * 65535).round().numpy().astype(np.uint16) for channel in image]
    context: Any = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, "rgb48be", Fraction(1, 25)
    frame = frame_of(planes, "rgb48be", width, height)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    path.write_bytes(b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)]))
    return path


def write_gif(path: Path, frames: Tensor, milliseconds: int = 100) -> Path:
    """An animated GIF by Pillow, with a palette of its own a frame."""
    images = [Image.fromarray(f.mul(255).round().byte().permute(1, 2, 0).numpy()).quantize(64) for f in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return path


def jpeg_bytes(size: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (200, 30, 40)).save(buffer, "jpeg")
    return buffer.getvalue()


def psnr(a: Tensor, b: Tensor) -> float:
    """Decibels of float frames in [0, 1]."""
    return float(-10 * torch.log10(((a.double() - b.double()) ** 2).mean().clamp_min(1e-20)))


# name: (suffix, arguments of `encode`), one of each kind that differs in how it is indexed, sought or converted.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264": (".mp4", {}),
    "h264_short_gops": (".mp4", {"gop": 4}),
    "h264_open_gop": (".mkv", {"options": {"x264-params": "open-gop=1:keyint=6:min-keyint=2"}}),
    "h264_ts": (".ts", {"gop": 6}),
    "h264_raw": (".h264", {"gop": 6}),
    "h264_444_odd": (".mp4", {"pix_fmt": "yuv444p"}),
    "hevc_open_gop": (
        ".mp4",
        {"codec": "libx265", "options": {"x265-params": "log-level=error:keyint=6:min-keyint=2"}},
    ),
    "hevc_10bit": (
        ".mkv",
        {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=error"}},
    ),
    "vp9": (".webm", {"codec": "libvpx-vp9", "gop": 8, "options": {"lag-in-frames": "8", "auto-alt-ref": "1"}}),
    "vp8_hidden_frames": (
        ".webm",
        {"codec": "libvpx", "gop": 8, "options": {"lag-in-frames": "8", "auto-alt-ref": "1"}},
    ),
    "mpeg2_ps": (".mpg", {"codec": "mpeg2video", "gop": 6, "options": {"bf": "2"}}),
    "mpeg4_avi": (".avi", {"codec": "mpeg4", "gop": 6, "options": {"bf": "2"}}),
    "mjpeg": (".avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "prores": (".mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "ffv1_gray": (".mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
    "gif": (".gif", {}),
    "vfr": (".mp4", {"gop": 5, "time_base": Fraction(1, 90000), "uneven": True}),
}
FRAMES_OF_A_KIND = 17


def make(kind: str, folder: Path) -> Path:
    """The clip of a kind: `FRAMES_OF_A_KIND` frames of 80x48 (81x49 where the kind is odd)."""
    suffix, arguments = KINDS[kind]
    arguments = dict(arguments)
    odd = kind.endswith("odd")
    frames = smooth_frames(FRAMES_OF_A_KIND, 49 if odd else 48, 81 if odd else 80)
    if suffix == ".gif":
        return write_gif(folder / f"{kind}.gif", frames)
    if arguments.pop("uneven", False):
        arguments["times"] = uneven_times(FRAMES_OF_A_KIND)
    return encode(folder / f"{kind}{suffix}", frames, **arguments)


def uneven_times(count: int) -> list[Fraction]:
    steps = np.random.default_rng(3).integers(1, 5, count)
    return [Fraction(int(step), 25) for step in np.concatenate(([0], np.cumsum(steps)[:-1]))]
