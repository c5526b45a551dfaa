"""restore_video: a video file or a folder of frames in, a restored one out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from vrestore.errors import MediaError, RequestError
from vrestore.inference.blocks import restored_blocks
from vrestore.inference.plan import plan_blocks
from vrestore.inference.progress import progress_bar
from vrestore.inference.report import RestoreReport, peak_memory_bytes
from vrestore.inference.timeline import plan_timeline
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.request import Request
from vrestore.video import ColourTags, VideoInfo, VideoReader, VideoWriter
from vrestore.video.contract import check_contract
from vrestore.video.formats import codec_for, plan_encoding
from vrestore.video.writer import BT709, check_target


def restore_video(
    src: str | Path,
    dst: str | Path,
    model: str | Path | Mapping[str, Any] | BaseRestorer = "bicubic",
    *,
    weights: str | Path | None = None,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    fps: float | Fraction | None = None,
    prompt: str | None = None,
    negative_prompt: str | None = None,
    strength: int | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    sampler: str | None = None,
    parity: bool = False,
    folder_fps: float | Fraction | None = None,
    block_frames: int | None = None,
    codec: str | None = None,
    crf: float | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    overwrite: bool = False,
    device: str | torch.device | None = None,
    precision: str = "fp32",
    seed: int = 0,
    progress: bool = True,
) -> RestoreReport:
    """Restore a video.

    The output is written beside its place under a temporary name, read back and compared with what was promised (number,
    size and times of the frames, colour tags), and only then moved into place: a failure leaves nothing behind.

    Args:
        src: a video in any format FFmpeg reads, or a folder of images.
        dst: .mp4, .m4v, .mov or .mkv; a name without a suffix is a folder of PNG files.
        model: a name of the zoo, a config, a weight file, or a restorer.
        weights: a weight file in place of the model's own.
        scale: factor of height and width; not together with `size`. None is the model's own.
        size: (height, width) in pixels. The shape of the picture as shown is kept through the shape of its pixels.
        fps: target frames a second.
        prompt, negative_prompt, strength, steps, guidance_scale, sampler, parity, precision, seed: see `Request`.
        folder_fps: frames a second of a folder of images, which has no clock; 25 where not given.
        block_frames: frames restored at a time; None fits about half a gigabyte of frames.
        codec: ``h264``, ``h265``, ``ffv1`` or ``png``; None goes by the ending of `dst` (H.264, or H.265 for sources of more
            than 8 bits).
        crf, preset, pix_fmt: see `vrestore.video.formats.plan_encoding`.
        overwrite: replace what is at `dst`.
        device: where a model is loaded; None is the GPU where there is one. A restorer that is handed in is moved there too,
            unless None.
        progress: show a bar, on a terminal.

    Returns:
        What was done, what it cost, and what a person should know.

    Raises:
        MediaError: a source that cannot be read, or an output that cannot be written as asked.
        RequestError: the model does not serve the request or the clip, or gave frames that are no numbers.
        ConfigError, RegistryError, WeightsError: the model cannot be had.
    """
    started = time.perf_counter()
    src, dst = Path(src), Path(dst)
    output = {"codec": codec, "crf": crf, "preset": preset, "pix_fmt": pix_fmt}
    with VideoReader(src, fps=_rate("folder_fps", folder_fps)) as reader:
        info = reader.info
        _check_paths(src, dst, overwrite, codec)
        factor = _factor(_rate("fps", fps), 1 / reader.frame_step)
        request = Request(
            scale=scale, size=size, fps=factor / reader.frame_step if factor != 1 else None, source_fps=1 / reader.frame_step,
            strength=strength, prompt=prompt, negative_prompt=negative_prompt, steps=steps, guidance_scale=guidance_scale,
            sampler=sampler, seed=seed, precision=precision, parity=parity,
        )  # fmt: skip
        restorer = _restorer(model, weights, device)
        capabilities = restorer.capabilities
        frames_in = reader.frame_count
        capabilities.check(request, frames_in, info.height, info.width)
        height, width = _size_out(info, capabilities.factor(request), request.size)
        plan_encoding(dst, width, height, **output, bit_depth=info.bit_depth)  # refuse before the long work
        bytes_a_frame = math.ceil(12 * (info.height * info.width + height * width * factor))
        plan = plan_blocks(capabilities, factor, frames_in, bytes_a_frame, block_frames)
        timeline = plan_timeline(info, reader.frame_step, factor)
        writer = VideoWriter(
            dst, **output, fps=timeline.fps, time_base=timeline.tick, bit_depth=info.bit_depth, colour=_colour(info),
            sample_aspect_ratio=_aspect(info, width, height), sound_from=src if info.has_audio else None,
            sound_shift=info.origin, end_time=_end_time(info), overwrite=overwrite,
        )  # fmt: skip
        times: list[Fraction] = []
        frames_read, seconds = 0, 0.0
        with writer, progress_bar(src.name, frames_in, progress) as advance:
            for block in restored_blocks(restorer, request, reader, timeline, plan):
                writer.write(block.frames, block.times)
                times += block.times
                frames_read += block.frames_in
                seconds += block.seconds
                advance(block.frames_in)
            writer.check = lambda path: check_contract(
                path, width=width, height=height, times=times, tags=writer.tags, sound_streams=writer.sound_streams
            )
        assert writer.encoding is not None
        return RestoreReport(
            source=src,
            target=dst,
            model=str(model) if isinstance(model, (str, Path)) else type(restorer).__name__,
            frames_in=frames_read,
            frames_out=len(times),
            size_in=(info.width, info.height),
            size_out=(width, height),
            fps_in=info.fps,
            fps_out=None if writer.encoding.codec == "png" else timeline.fps,
            codec=writer.encoding.codec,
            pix_fmt=writer.encoding.pix_fmt,
            sound_streams=writer.sound_streams,
            block_frames=plan.block_frames,
            overlap_frames=plan.overlap_frames,
            seconds=time.perf_counter() - started,
            seconds_restoring=seconds,
            peak_memory_bytes=peak_memory_bytes(),
            peak_device_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None,
            warnings=[*plan.reasons, *reader.warnings, *writer.warnings, *_notes(info, request, capabilities, frames_in, frames_read)],
        )


def _check_paths(src: Path, dst: Path, overwrite: bool, codec: str | None) -> None:
    if dst.exists() and src.samefile(dst):
        raise MediaError(f"source and target are the same ('{src}'); write to another name")
    codec_for(dst, codec)
    check_target(dst, overwrite)


def _rate(name: str, value: float | Fraction | None) -> Fraction | None:
    """A frame rate as an exact fraction; 23.976, 29.97, 59.94, … mean the broadcast rates 24000/1001, 30000/1001, …"""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)) or not 0 < value < 10000:
        raise RequestError(f"{name} must be a number of frames a second above 0, got {value!r}")
    if isinstance(value, float):
        broadcast = Fraction(round(value * 1001 / 1000) * 1000, 1001)
        if value != round(value) and abs(value - broadcast) < 0.006:
            return broadcast
    return Fraction(value).limit_denominator(10**5)


def _factor(fps: Fraction | None, source_fps: Fraction) -> Fraction:
    """The multiple of the frame rate; rates that differ by less than a thousandth are the same."""
    if fps is None or abs(fps / source_fps - 1) < Fraction(1, 1000):
        return Fraction(1)
    return fps / source_fps


def _restorer(model: Any, weights: str | Path | None, device: str | torch.device | None) -> BaseRestorer:
    from vrestore.checkpoints.zoo import load_restorer

    if isinstance(model, BaseRestorer) and device is None:  # it stays where it is
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return load_restorer(model, weights, device)


def _size_out(info: VideoInfo, scale: float, size: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) of a restored frame."""
    return size or (max(round(info.height * scale), 1), max(round(info.width * scale), 1))


def _aspect(info: VideoInfo, width: int, height: int) -> Fraction:
    """The shape of a pixel that keeps the shape of the picture as shown."""
    shown = info.sample_aspect_ratio * info.width / info.height
    aspect = shown * height / width
    # A size rounded to whole pixels is no reason for pixels that are not square.
    unchanged = abs(aspect / info.sample_aspect_ratio - 1) < Fraction(1, 50)
    return info.sample_aspect_ratio if unchanged else Fraction(1) if abs(aspect - 1) < Fraction(1, 50) else aspect


def _colour(info: VideoInfo) -> ColourTags:
    """The colours to write: those of the source; BT.709 where it holds RGB, gray or photographs."""
    return BT709 if info.kind == "folder" or info.colour.matrix == "rgb" or info.pix_fmt.startswith("gray") else info.colour


def _end_time(info: VideoInfo) -> Fraction | None:
    """When the last frame of an uneven source ends; an even one needs no telling."""
    return info.start_time + info.duration - info.origin if info.is_vfr and info.duration else None


def _notes(info: VideoInfo, request: Request, capabilities: Any, counted: int, read: int) -> list[str]:
    notes = []
    if read != counted:
        notes.append(f"{read} frames could be read where {counted} were counted")
    if info.has_alpha:
        notes.append("the transparency of the source is left out")
    if request.prompt and not capabilities.takes_prompt:
        notes.append("the prompt is not used: this model takes none")
    return notes
