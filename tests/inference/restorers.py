"""Small restorers with a known answer, one for each way of looking at time."""

from __future__ import annotations

import torch

from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales

ANY = Scales(between=(1 / 8, 8))


class Plain(BaseRestorer):
    """Gives the frames back, repeated in space and time: needs no context."""

    def __init__(self, scale: int = 1, **capabilities):
        super().__init__()
        self._capabilities = {
            "spatial_scales": Scales(fixed=(float(scale),)),
            "temporal_scales": ANY,
            "context_frames": 0,
        } | capabilities
        self.windows: list[int] = []  # lengths of the clips it was given

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(**self._capabilities)

    def restore_frames(self, frames_TCHW, request):
        self.windows.append(len(frames_TCHW))
        scale = int(self.capabilities.factor(request))
        frames = frames_TCHW.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
        count = round(len(frames) * request.time_factor())
        earlier = (torch.arange(count, dtype=torch.float64) / request.time_factor() + 1e-9).floor().long()
        return self.work(frames)[earlier]

    def work(self, frames):
        return frames


class Smooth(Plain):
    """The mean of five neighbours, fewer at the ends: two frames of context on either side."""

    def __init__(self, **capabilities):
        super().__init__(**({"context_frames": 2, "chunk_overlap_frames": 2} | capabilities))

    def work(self, frames):
        return torch.stack([frames[max(i - 2, 0) : i + 3].mean(0) for i in range(len(frames))])


class WholeClip(Plain):
    """Subtracts the mean of the clip: every frame changes every other."""

    def __init__(self, **capabilities):
        super().__init__(**({"context_frames": None} | capabilities))

    def work(self, frames):
        return frames - frames.mean(0) + 0.5


class Between(Plain):
    """Frames between the frames, none after the last: (T - 1) k + 1."""

    def __init__(self, **capabilities):
        super().__init__(**({"context_frames": 1, "chunk_overlap_frames": 1} | capabilities))

    def restore_frames(self, frames_TCHW, request):
        factor = round(request.time_factor())
        position = torch.arange((len(frames_TCHW) - 1) * factor + 1) / factor
        earlier = position.floor().long()
        later = (earlier + 1).clamp(max=len(frames_TCHW) - 1)
        share = (position - earlier).view(-1, 1, 1, 1)
        return torch.lerp(frames_TCHW[earlier], frames_TCHW[later], share)


class Broken(Plain):
    """Gives NaN from its second call on."""

    def work(self, frames):
        return frames if len(self.windows) < 2 else frames * float("nan")


class OutOfMemory(Plain):
    def work(self, frames):
        raise MemoryError


class Defect(Plain):
    def work(self, frames):
        raise RuntimeError("shapes cannot be multiplied")
