"""VideoCompression: the clip through a real video codec at a drawn bitrate."""

from __future__ import annotations

import copy
import difflib
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from vrestore.degradations import yuv
from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.draws import Range, check_number, check_range, check_weights, choose
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import DEGRADATIONS
from vrestore.video.formats import PRESETS
from vrestore.video.pixels import frame_of, samples_of

ENCODER_OF = {"h264": "libx264", "h265": "libx265", "hevc": "libx265"}
AVX2 = 11  # OpenCV's number of that feature of processors
# One thread and no frames handed out of order, so that the same bits come out on a machine of any size; and for x264 no
# AVX-512, with which its rate control comes out differently from run to run (a few clips in a hundred, seen in the
# encoder that PyAV 18.1 carries), though mostly as with AVX2.
OPTIONS = {
    "libx264": {"x264-params": "threads=1"},
    "libx265": {"x265-params": "pools=none:frame-threads=1:wpp=0:log-level=none"},
}
PIX_FMT = "yuv420p"
USUAL_ENCODERS = ("libx264", "libx265", "mpeg4", "mpeg2video", "libvpx-vp9", "libsvtav1")
LEAST_SIDE = 16  # pixels; smaller frames are filled up by repeating their edge
# Frames one coding block (64 pixels) wide come out of x265 differently from run to run, and narrower ones crash it
# (seen in the encoder that PyAV 18.1 carries).
H265_LEAST_WIDTH = 80


@DEGRADATIONS.register_module()
class VideoCompression(Degradation):
    """Encodes and decodes the clip with FFmpeg, on the CPU, in 8-bit 4:2:0; defaults are RealBasicVSR's.

    Args:
        codecs: how often each codec is drawn: names of FFmpeg's encoders (`libx264`, `libx265`, `mpeg4`, `mpeg2video`,
            `libvpx-vp9`, …), or `h264`, `h265`.
        bitrate: least and most bits a second, drawn uniformly; a clip counts as one of `fps` frames a second.
        fps: frames a second, 1 in RealBasicVSR: bitrates are then bits a frame.
        area_px: pixels of a frame that the bitrates are meant for: within a chain, they grow and shrink with the area
            of the chain's clean frames, so that one recipe serves crops and whole frames alike. None takes them as
            they are.
        preset: speed of H.264 and H.265 (`ultrafast` … `veryslow`); None is the encoder's own.

    Raises:
        ConfigError: an unknown codec, or an impossible range.
    """

    def __init__(
        self,
        codecs: Any = ("libx264", "h264", "mpeg4"),
        bitrate: Range = (1e4, 1e5),
        fps: float = 1,
        area_px: int | None = 256 * 256,
        preset: str | None = None,
    ):
        self.codecs = check_weights("VideoCompression", "codecs", codecs)
        for name in self.codecs:
            _check_codec(name)
        self.bitrate = check_range("VideoCompression", "bitrate", bitrate, 1)
        self.fps = Fraction(check_number("VideoCompression", "fps", fps, 1e-3, 1000)).limit_denominator(1001)
        self.area_px = None if area_px is None else check_number("VideoCompression", "area_px", area_px, 1)
        if preset is not None and preset not in PRESETS:
            raise ConfigError(f"VideoCompression (DEGRADATIONS): preset must be {', '.join(PRESETS)}, got {preset!r}")
        self.preset = preset
        self._share = 1.0

    def for_input(self, height: int, width: int) -> VideoCompression:
        """A copy whose bitrates are for clean frames of this size."""
        if self.area_px is None:
            return self
        bound = copy.copy(self)
        bound._share = height * width / self.area_px
        return bound

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        if frames_TCHW.shape[1] != 3:
            raise RequestError(f"VideoCompression takes RGB frames (T, 3, H, W), got {tuple(frames_TCHW.shape)}")
        codec = choose(rng, self.codecs)
        low, high = self.bitrate
        bitrate = max(1000, int(rng.integers(int(low), int(high) + 1) * self._share))
        coded = recode(frames_TCHW, codec, bitrate, self.fps, self.preset)
        return coded, {"name": "VideoCompression", "scale": 1, "codec": codec, "bitrate": bitrate}


def recode(frames_TCHW: Tensor, codec: str, bitrate: int, fps: Fraction, preset: str | None = None) -> Tensor:
    """Frames (T, 3, H, W) in [0, 1] after encoding at `bitrate` bits a second and decoding.

    Raises:
        RequestError: the codec fails on these frames.
    """
    height, width = frames_TCHW.shape[-2:]
    padded = _filled_up(frames_TCHW.detach().float().cpu(), _least_width(codec))
    try:
        decoded = _decode(codec, *_encode(padded, codec, bitrate, fps, preset))
    except (av.FFmpegError, ValueError) as error:
        raise RequestError(
            f"VideoCompression: {codec} fails on {len(frames_TCHW)} frames of {width}x{height} at {bitrate} bits a "
            f"second: {error}"
        ) from error
    if len(decoded) != len(frames_TCHW):
        raise RequestError(f"VideoCompression: {codec} gave {len(decoded)} frames back for {len(frames_TCHW)}")
    return decoded[..., :height, :width].contiguous().to(frames_TCHW)


def _encode(
    frames_TCHW: Tensor, codec: str, bitrate: int, fps: Fraction, preset: str | None
) -> tuple[list[bytes], bytes | None]:
    """The packets in coding order, and what the decoder must know before the first."""
    encoder: Any = av.CodecContext.create(ENCODER_OF.get(codec, codec), "w")
    encoder.height, encoder.width = frames_TCHW.shape[-2:]
    encoder.pix_fmt = PIX_FMT
    encoder.time_base, encoder.framerate = 1 / fps, fps
    encoder.bit_rate = bitrate
    encoder.bit_rate_tolerance = bitrate  # MPEG-4's is megabits else, which swallows any bitrate drawn here
    encoder.thread_count = 1
    options = dict(OPTIONS.get(encoder.name, {}))
    if encoder.name == "libx264" and _has_avx2():
        options["x264-params"] += ":asm=AVX2"
    if preset is not None and encoder.name in OPTIONS:
        options["preset"] = preset
    encoder.options = options
    packets = []
    for index, (luma, chroma) in enumerate(zip(*yuv.to_yuv420(frames_TCHW), strict=True)):
        frame = frame_of([luma, *chroma], PIX_FMT, encoder.width, encoder.height)
        frame.pts, frame.time_base = index, 1 / fps
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [bytes(packet) for packet in packets], encoder.extradata


def _decode(codec: str, packets: list[bytes], extradata: bytes | None) -> Tensor:
    decoder: Any = av.CodecContext.create(av.Codec(ENCODER_OF.get(codec, codec), "w").canonical_name, "r")
    decoder.thread_count = 1
    if extradata:
        decoder.extradata = extradata
    luma, chroma = [], []
    for packet in [*packets, None]:
        for frame in decoder.decode(None if packet is None else _packet_of(packet)):
            y, u, v = samples_of(frame)[1]
            luma.append(y.copy())
            chroma.append(np.stack((u, v)))
    return yuv.to_rgb(np.stack(luma), np.stack(chroma))


def _packet_of(data: bytes) -> Any:
    """A packet in memory of FFmpeg's own: decoders read some bytes beyond its end, which are zero there.

    Behind bytes of Python's anything may stand, and MPEG-4 now and then comes out differently for it.
    """
    packet = av.Packet(len(data))
    packet.update(data)
    return packet


def _filled_up(frames_TCHW: Tensor, least_width: int) -> Tensor:
    """The frames with their right and bottom edges repeated to even sides that an encoder takes."""
    height, width = frames_TCHW.shape[-2:]
    more_h = max(LEAST_SIDE, height + height % 2) - height
    more_w = max(least_width, width + width % 2) - width
    if not more_h and not more_w:
        return frames_TCHW
    return torch.nn.functional.pad(frames_TCHW, (0, more_w, 0, more_h), mode="replicate")


def _least_width(codec: str) -> int:
    return H265_LEAST_WIDTH if ENCODER_OF.get(codec, codec) == "libx265" else LEAST_SIDE


@cache
def _has_avx2() -> bool:
    import cv2

    return bool(cv2.checkHardwareSupport(AVX2))


@lru_cache(maxsize=64)
def _codes(name: str) -> bool:
    """Whether two small frames come through a codec."""
    try:
        return len(_decode(name, *_encode(torch.full((2, 3, 96, 96), 0.5), name, 10**5, Fraction(25), None))) == 2
    except (av.FFmpegError, ValueError, AttributeError):  # the last for what encodes no video
        return False


def _check_codec(name: str) -> None:
    if not _codes(name):
        there = [known for known in (*ENCODER_OF, *USUAL_ENCODERS) if _codes(known)]
        close = difflib.get_close_matches(name, there, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(
            f"VideoCompression (DEGRADATIONS): codecs names '{name}', which this FFmpeg does not encode in {PIX_FMT}"
            f"{hint} (usual ones that there are: {', '.join(there)})"
        )
