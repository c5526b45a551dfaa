"""Files <-> frames: probe, reader, writer, colour, the media contract (PyAV)."""

from vrestore.video.colour import ColourTags
from vrestore.video.probe import VideoInfo, count_frames, probe
from vrestore.video.reader import FrameBlock, VideoReader, read_clip

__all__ = ["ColourTags", "FrameBlock", "VideoInfo", "VideoReader", "count_frames", "probe", "read_clip"]
