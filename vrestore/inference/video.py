"""restore_video: a video file or a folder of frames in, a restored one out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from vrestore.checkpoints.download import offline_mode
from vrestore.errors import MediaError, RequestError, WeightsError
from vrestore.inference.auto import AUTO, MODEL_SCALE, choose_model
from vrestore.inference.blocks import restored_blocks
from vrestore.inference.plan import BlockPlan, plan_blocks
from vrestore.inference.progress import progress_bar
from vrestore.inference.report import RestoreReport, peak_memory_bytes
from vrestore.inference.timeline import Timeline, plan_timeline
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.request import Request
from vrestore.video import ColourTags, VideoInfo, VideoReader, VideoWriter
from vrestore.video.contract import check_contract
from vrestore.video.formats import codec_for, plan_encoding
from vrestore.video.writer import BT709, check_target

logger = logging.getLogger("vrestore")

DEFAULT_MODEL = AUTO


def restore_video(
    src: str | Path,
    dst: str | Path,
    model: str | Path | Mapping[str, Any] | BaseRestorer = DEFAULT_MODEL,
    *,
    weights: str | Path | None = None,
    content: str = "real",
    quality: str = "balanced",
    offline: bool = False,
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

    The output is written beside its place under a temporary name, read back and compared with what was promised
    (number, size and times of the frames, colour tags), and only then moved into place: a failure leaves nothing.

    Args:
        src: a video in any format FFmpeg reads, or a folder of images.
        dst: .mp4, .m4v, .mov or .mkv; a name without a suffix is a folder of PNG files.
        model: a name of the zoo (`vrestore zoo` lists them), a config, a weight file, or a restorer. The default,
            ``auto``, chooses a model for the content, the device, the quality and the weights that can be had, and logs
            the choice in one line (see `vrestore.inference.auto`).
        weights: a weight file in place of the model's own; not with ``auto``.
        content: ``real`` or ``animation``; read by ``auto``.
        quality: ``fast``, ``balanced`` or ``best``; read by ``auto``.
        offline: download nothing; ``auto`` chooses among the weights on this machine.
        scale: factor of height and width; not together with `size`. None is the model's own.
        size: (height, width) in pixels. The shape of the picture as shown is kept through the shape of its pixels.
        fps: target frames a second.
        prompt, negative_prompt, strength, steps, guidance_scale, sampler, parity, precision, seed: see `Request`.
        folder_fps: frames a second of a folder of images, which has no clock; 25 where not given.
        block_frames: frames restored at a time; None fits about half a gigabyte of frames.
        codec: ``h264``, ``h265``, ``ffv1`` or ``png``; None goes by the ending of `dst` (H.264, or H.265 for sources of
            more than 8 bits).
        crf, preset, pix_fmt: see `vrestore.video.formats.plan_encoding`.
        overwrite: replace what is at `dst`.
        device: where a model is loaded; None is the GPU where there is one. A restorer that is handed in is moved there
            too, unless None.
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
    output: dict[str, Any] = {"codec": codec, "crf": crf, "preset": preset, "pix_fmt": pix_fmt}
    with offline_mode(offline), VideoReader(src, fps=_rate("folder_fps", folder_fps)) as reader:
        _check_paths(src, dst, overwrite, codec)
        factor = _factor(_rate("fps", fps), 1 / reader.frame_step)
        restorer = None
        if model == AUTO:
            if weights is not None:
                raise RequestError(f"weights need a model: name it (model=…, --model), got weights={str(weights)!r}")
            asked = (reader, scale, size, device, content, quality)
            model, scale, size = _choose(*asked, offline)
            try:
                restorer = _restorer(model, None, device)
            except WeightsError as error:
                if offline:
                    raise
                logger.warning(f"{model} is not available: {error}")
                model, scale, size = _choose(*asked, True)
        request = Request(
            scale=scale,
            size=size,
            fps=None if factor == 1 else factor / reader.frame_step,
            source_fps=1 / reader.frame_step,
            strength=strength,
            prompt=prompt,
            negative_prompt=negative_prompt,
            steps=steps,
            guidance_scale=guidance_scale,
            sampler=sampler,
            seed=seed,
            precision=precision,
            parity=parity,
        )
        job = _prepare(reader, restorer or _restorer(model, weights, device), request, factor, block_frames)
        # What cannot be written is refused before the long work.
        plan_encoding(dst, job.width, job.height, **output, bit_depth=reader.info.bit_depth)
        writer = _writer(dst, output, overwrite, job)
        done = _run(job, writer, progress)
        assert writer.encoding is not None
        return RestoreReport(
            source=src,
            target=dst,
            model=str(model) if isinstance(model, (str, Path)) else type(job.restorer).__name__,
            frames_in=done.frames_in,
            frames_out=len(done.times),
            size_in=(reader.info.width, reader.info.height),
            size_out=(job.width, job.height),
            fps_in=reader.info.fps,
            fps_out=None if writer.encoding.codec == "png" else job.timeline.fps,
            codec=writer.encoding.codec,
            pix_fmt=writer.encoding.pix_fmt,
            sound_streams=writer.sound_streams,
            block_frames=job.plan.block_frames,
            overlap_frames=job.plan.overlap_frames,
            seconds=time.perf_counter() - started,
            seconds_restoring=done.seconds,
            peak_memory_bytes=peak_memory_bytes(),
            peak_device_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None,
            warnings=[*job.plan.reasons, *reader.warnings, *writer.warnings, *_notes(job, done)],
        )


@dataclass(frozen=True)
class _Job:
    """A restoration that has been checked and planned."""

    reader: VideoReader
    restorer: BaseRestorer
    request: Request
    frame_count: int
    height: int
    width: int
    plan: BlockPlan
    timeline: Timeline


@dataclass
class _Done:
    """What a run has brought so far."""

    times: list[Fraction]
    frames_in: int = 0
    seconds: float = 0.0


def _prepare(
    reader: VideoReader, restorer: BaseRestorer, request: Request, factor: Fraction, block_frames: int | None
) -> _Job:
    info, capabilities, count = reader.info, restorer.capabilities, reader.frame_count
    capabilities.check(request, count, info.height, info.width)
    height, width = (max(side, 1) for side in restorer.output_size(request, info.height, info.width))
    bytes_a_frame = math.ceil(12 * (info.height * info.width + height * width * factor))  # 3 channels of float32
    plan = plan_blocks(capabilities, factor, count, bytes_a_frame, block_frames)
    restorer.check_memory(request, min(plan.block_frames + 2 * plan.overlap_frames, count), info.height, info.width)
    timeline = plan_timeline(info, reader.frame_step, factor)
    return _Job(reader, restorer, request, count, height, width, plan, timeline)


def _choose(
    reader: VideoReader,
    scale: float | None,
    size: tuple[int, int] | None,
    device: str | torch.device | None,
    content: str,
    quality: str,
    offline: bool,
) -> tuple[str, float | None, tuple[int, int] | None]:
    """The model that `auto` chooses, and the request's scale and size for it: other scales are target sizes."""
    info = reader.info
    Request(scale=scale, size=size)  # refuses values out of range
    asked = max(size[0] / info.height, size[1] / info.width) if size is not None else scale or MODEL_SCALE
    choice = choose_model(
        frames=reader.frame_count,
        height=info.height,
        width=info.width,
        scale=asked,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
        content=content,
        quality=quality,
        offline=offline,
    )
    logger.info(str(choice))
    if scale is not None and scale != MODEL_SCALE:
        return choice.model, None, (max(round(info.height * scale), 1), max(round(info.width * scale), 1))
    return choice.model, scale, size


def _writer(dst: Path, output: dict, overwrite: bool, job: _Job) -> VideoWriter:
    info = job.reader.info
    return VideoWriter(
        dst,
        **output,
        fps=job.timeline.fps,
        time_base=job.timeline.tick,
        bit_depth=info.bit_depth,
        colour=_colour(info),
        sample_aspect_ratio=_aspect(info, job.width, job.height),
        sound_from=info.path if info.has_audio else None,
        sound_shift=info.origin,
        end_time=_end_time(info),
        overwrite=overwrite,
    )


def _run(job: _Job, writer: VideoWriter, progress: bool) -> _Done:
    done = _Done([])
    with writer, progress_bar(job.reader.path.name, job.frame_count, progress) as move_to:
        for block in restored_blocks(job.restorer, job.request, job.reader, job.timeline, job.plan, move_to):
            if block.times:
                writer.write(block.frames, block.times)
            done.times += block.times
            done.frames_in += block.frames_in
            done.seconds += block.seconds
        writer.check = lambda path: check_contract(
            path,
            width=job.width,
            height=job.height,
            times=done.times,
            tags=writer.tags,
            sound_streams=writer.sound_streams,
        )
    return done


def _check_paths(src: Path, dst: Path, overwrite: bool, codec: str | None) -> None:
    if dst.exists() and src.samefile(dst):
        raise MediaError(f"source and target are the same ('{src}'); write to another name")
    codec_for(dst, codec)
    check_target(dst, overwrite)


def _rate(name: str, value: float | Fraction | None) -> Fraction | None:
    """A frame rate as an exact fraction; 23.976, 29.97 and their like mean 24000/1001, 30000/1001, …"""
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


def _aspect(info: VideoInfo, width: int, height: int) -> Fraction:
    """The shape of a pixel that keeps the shape of the picture as shown."""
    shown = info.sample_aspect_ratio * info.width / info.height
    aspect = shown * height / width
    # A size rounded to whole pixels is no reason for pixels that are not square.
    unchanged = abs(aspect / info.sample_aspect_ratio - 1) < Fraction(1, 50)
    return info.sample_aspect_ratio if unchanged else Fraction(1) if abs(aspect - 1) < Fraction(1, 50) else aspect


def _colour(info: VideoInfo) -> ColourTags:
    """The colours to write: those of the source; BT.709 where it holds RGB, gray or photographs."""
    return (
        BT709
        if info.kind == "folder" or info.colour.matrix == "rgb" or info.pix_fmt.startswith("gray")
        else info.colour
    )


def _end_time(info: VideoInfo) -> Fraction | None:
    """When the last frame of an uneven source ends; an even one needs no telling."""
    return info.start_time + info.duration - info.origin if info.is_vfr and info.duration else None


def _notes(job: _Job, done: _Done) -> list[str]:
    notes = []
    if done.frames_in != job.frame_count:
        notes.append(f"{done.frames_in} frames could be read where {job.frame_count} were counted")
    if job.reader.info.has_alpha:
        notes.append("the transparency of the source is left out")
    if job.request.prompt and not job.restorer.capabilities.takes_prompt:
        notes.append("the prompt is not used: this model takes none")
    return notes
