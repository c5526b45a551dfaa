"""Files <-> frames: probe, reader, writer, colour, the media contract (PyAV)."""

from vrestore.video.colour import ColourTags
from vrestore.video.probe import VideoInfo, count_frames, probe
from vrestore.video.reader import FrameBlock, VideoReader, read_clip
from vrestore.video.writer import VideoWriter

__all__ = ["ColourTags", "FrameBlock", "VideoInfo", "VideoReader", "VideoWriter", "count_frames", "probe", "read_clip"]
