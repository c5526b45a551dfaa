"""BaseRestorer: the contract of everything that a config's `model` can name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import RequestError
from vrestore.layers.padding import pad_frames_to_multiple, pad_to_multiple
from vrestore.memory import GIB, MemoryNeed, free_memory_bytes
from vrestore.restorers.capabilities import Capabilities
from vrestore.restorers.request import Request
from vrestore.restorers.runner_model import RunnerModel

# Where a weight file is: a path, an address, or dict(file=…, url=…, sha256=…).
Place = str | os.PathLike | Mapping[str, Any]
# A weight file, or several with their shares.
WeightFiles = Place | Sequence[tuple[Place, float]]

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class BaseRestorer(RunnerModel):
    """A whole restoration method: trained through `forward`, used through `restore`.

    A subclass declares `capabilities` and implements `restore_frames`; one that can be trained implements `loss` too.
    It owns no file, no chunk and no tile.

    Attributes:
        weight_files: where its parts' weights are, by the name of the part: a path, an address, or dict(file=…, url=…,
            sha256=…); `vrestore.load_restorer` loads them. Several with shares, ``[(file, 0.3), (file, 0.7)]``, are
            interpolated.
        weights_dtype: precision that they are loaded in; None is the network's own.
        may_run_untrained: whether it is meant to run with random weights, as tests and timings do.
        averaged_part: the part of which a training keeps a running average; '' is the whole.
        optimised_parts: the parts that train with an optimiser each; empty is one for all.
        on_progress: told by restorers that work long on one clip how much of it is done, 0 to 1.
    """

    weight_files: dict[str, WeightFiles] = {}
    weights_dtype: str | None = None
    may_run_untrained: bool = False
    averaged_part: str = ""
    optimised_parts: tuple[str, ...] = ()
    on_progress: Callable[[float], None] | None = None

    def __init__(self, data_preprocessor: dict | None = None, init_cfg: dict | None = None):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        # After any preprocessor has moved a batch to the device, so that no restorer need know of it.
        self.data_preprocessor.register_forward_hook(_degrade_what_is_deferred)

    @property
    def capabilities(self) -> Capabilities:
        """What this restorer serves, as data."""
        raise NotImplementedError(f"{type(self).__name__} declares no capabilities")

    def restore(self, frames_TCHW: Tensor, request: Request | None = None) -> Tensor:
        """Restore one clip.

        Args:
            frames_TCHW: float RGB frames (T, 3, H, W) with values in [0, 1]; never changed.
            request: what is asked; None asks for the default.

        Returns:
            Restored frames (T', 3, H', W'), float32 in [0, 1], on the restorer's device, or on the CPU where a network
            keeps long clips there.

        Raises:
            RequestError: frames of a wrong shape, type or range, a request this restorer does not serve, or more memory
                than there is.
        """
        pieces = list(self.stream(frames_TCHW, request))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def stream(self, frames_TCHW: Tensor, request: Request | None = None) -> Iterator[Tensor]:
        """Restore one clip, piece by piece: what is finished leaves while the rest is still to be made.

        Arguments and errors as `restore`; what is wrong with them is told here, before the first piece is asked for.

        Yields:
            Restored frames (t, 3, H', W') in order; all together they are what `restore` returns.
        """
        request = request or Request()
        check_frames(frames_TCHW)
        t, _, h, w = frames_TCHW.shape
        caps = self.capabilities
        caps.check(request, t, h, w)
        self.check_memory(request, t, h, w)
        padded = self.pad(frames_TCHW.to(self.device_of(frames_TCHW), torch.float32))
        # Frames made of those that padding added are not the caller's.
        wanted = max(round(t * request.time_factor()), 1) if len(padded) > t else None
        return self._finished_pieces(padded, request, h, w, wanted)

    def device_of(self, frames: Tensor | None = None) -> torch.device:
        """Where this restorer works: where its weights are; without any, where the frames are (None: the CPU)."""
        fallback = torch.device("cpu") if frames is None else frames.device
        return next((p.device for p in self.parameters()), fallback)

    @torch.no_grad()
    def _finished_pieces(
        self, padded: Tensor, request: Request, height: int, width: int, wanted: int | None
    ) -> Iterator[Tensor]:
        size = self.output_size(request, height, width)
        dtype = AUTOCAST_DTYPES.get(request.precision)
        was_training = self.training
        self.eval()
        try:
            pieces = iter(self.stream_frames(padded, request))
            while True:
                # Between two pieces the caller's own precision holds.
                with torch.autocast(padded.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
                    piece = next(pieces, None)
                if piece is None:
                    return
                if wanted is not None:
                    piece = piece[:wanted]
                    wanted -= len(piece)
                    if not len(piece):
                        return
                yield self._fit(piece, request, size, height, width).float().clamp(0, 1)
        finally:
            self.train(was_training)

    def _fit(self, restored: Tensor, request: Request, size: tuple[int, int], height: int, width: int) -> Tensor:
        """Cut the padding off; a target size that the network does not hit by itself is reached by resampling."""
        if request.size is None:
            return restored[..., : size[0], : size[1]]
        if restored.shape[-2:] == size:
            return restored
        factor = self.capabilities.factor(request)
        return resize_to(restored[..., : round(height * factor), : round(width * factor)], size)

    def memory_need(self, request: Request, frames: int, height: int, width: int) -> MemoryNeed | None:
        """What restoring a clip takes beside the weights; None where that is not known before.

        Args:
            request: one that this restorer serves.
            frames: of the clip.
            height, width: of its frames, in pixels.
        """
        return None

    def check_memory(self, request: Request, frames: int, height: int, width: int) -> None:
        """Refuse a clip that the free memory cannot hold; arguments as `memory_need`.

        Raises:
            RequestError: says what is needed, what is free, and which settings lower it.
        """
        free = free_memory_bytes(self.device_of())
        if free is None:
            return
        need = self.memory_need(request, frames, height, width)
        if need is not None and need.total > free:
            raise RequestError(
                f"restoring {frames} frame(s) of {width}x{height} needs {need}, and {free / GIB:.1f} GiB are free; "
                f"{need.lower_by}"
            )

    def output_size(self, request: Request, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels of what `restore` gives for frames of that height and width."""
        if request.size is not None:
            return request.size
        factor = self.capabilities.factor(request)
        return round(height * factor), round(width * factor)

    def pad(self, frames_TCHW: Tensor) -> Tensor:
        """Checked frames as `restore_frames` gets them: padded to the right, to the bottom, and at the clip's end."""
        caps = self.capabilities
        return pad_frames_to_multiple(pad_to_multiple(frames_TCHW, caps.size_multiple), caps.frames_multiple)

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        """Restore checked frames whose sides are multiples of `size_multiple`, and their number of `frames_multiple`.

        The result may leave [0, 1]. A restorer that reaches `request.size` itself returns that size; any other returns
        its own factor's.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot restore")

    def stream_frames(self, frames_TCHW: Tensor, request: Request) -> Iterator[Tensor]:
        """`restore_frames` in pieces, for a restorer that has some frames finished before the others."""
        yield self.restore_frames(frames_TCHW, request)

    def part_loaded(self, part: str) -> None:
        """Called when the weights of a part (see `weight_files`) were loaded."""

    def build_for_training(self) -> None:
        """Build what only a training needs, such as a discriminator; called once before one, and before its optimisers.

        Raises:
            ConfigError: the config does not tell all of it.
            WeightsError: weights that it needs cannot be had.
        """

    def check_training_size(self, height: int, width: int) -> None:
        """Refuse clean training clips of a size that the network cannot be trained on; called before any work.

        Raises:
            RequestError: names the nearest sizes that it can.
        """

    def training_need(
        self, batch: int, frames: int, height: int, width: int, precision: torch.dtype | None = None
    ) -> dict[str, int] | None:
        """Bytes that the tensors of a training step take beside weights, gradients and the optimiser's state.

        Args:
            batch, frames, height, width: of the clean clips in one process.
            precision: of an autocast around the network; None is none.

        Returns:
            The bytes by stage of the step, one after the other; None where that is little, or not known before.
        """
        return None

    def loss(self, lq: Tensor, hq: Tensor, record: list | None = None) -> dict[str, Tensor]:
        """Training losses by name; every name that holds 'loss' is summed and minimised.

        Args:
            lq: degraded clips (B, T, 3, h, w) in [0, 1].
            hq: clean clips (B, T', 3, H, W) in [0, 1].
            record: one record of the drawn degradation a clip.
        """
        raise NotImplementedError(f"{type(self).__name__} has no training loss")

    def forward(
        self,
        lq: Tensor,
        hq: Tensor | None = None,
        record: list | None = None,
        clip: list | None = None,
        judged: list | None = None,
        mode: str = "tensor",
        **_: object,
    ):
        """What MMEngine's Runner calls with a collated batch.

        Returns:
            mode ``loss``: a dict of losses. ``predict``: a list with one dict(pred_TCHW, lq, hq, clip, record) a clip.
            ``tensor``: the restored batch (B, T', 3, H', W').
        """
        if mode == "loss":
            if hq is None:
                raise RequestError("training needs clean frames: the batch has no 'hq'")
            return self.loss(lq, hq, record)
        if mode == "predict":
            return [
                {
                    "pred": judged_frames(self.restore(lq[i]), None if judged is None else judged[i]),
                    "lq": lq[i],
                    "hq": None if hq is None else hq[i],
                    "clip": None if clip is None else clip[i],
                    "record": None if record is None else record[i],
                }
                for i in range(len(lq))
            ]
        if mode == "tensor":
            return torch.stack([self.restore_frames(clip_TCHW, Request()) for clip_TCHW in lq])
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")


def judged_frames(frames_TCHW: Tensor, judged: Sequence[int] | None) -> Tensor:
    """What a benchmark holds against its clean frames: all frames, or the mean of the `judged` ones (1, C, H, W)."""
    return frames_TCHW if judged is None else frames_TCHW[list(judged)].mean(0, keepdim=True)


def _degrade_what_is_deferred(_: torch.nn.Module, __: Any, batch: Any) -> Any:
    from vrestore.degradations import deferred  # only training batches have deferred steps

    return deferred.finish(batch)


def check_frames(frames_TCHW: Tensor) -> None:
    """Refuse anything but float RGB frames (T, 3, H, W) in [0, 1].

    Raises:
        RequestError: says what the tensor is and what is right.
    """
    if not isinstance(frames_TCHW, Tensor):
        raise RequestError(f"frames must be a tensor (T, 3, H, W), got {type(frames_TCHW).__name__}")
    if frames_TCHW.ndim != 4 or frames_TCHW.shape[1] != 3:
        shape = tuple(frames_TCHW.shape)
        raise RequestError(f"frames must have the shape (T, 3, H, W) with 3 RGB channels, got {shape}")
    if 0 in frames_TCHW.shape:
        raise RequestError(f"frames are empty: {tuple(frames_TCHW.shape)}")
    if not frames_TCHW.is_floating_point():
        dtype = frames_TCHW.dtype
        raise RequestError(f"frames must be floating point in [0, 1], got {dtype}; divide 8-bit frames by 255")
    low, high = frames_TCHW.amin().item(), frames_TCHW.amax().item()
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # also catches NaN
        raise RequestError(f"frames must lie in [0, 1], got values from {low:g} to {high:g}")


def resize_to(frames_TCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic resampling to (height, width) in pixels, antialiased where it shrinks."""
    return F.interpolate(frames_TCHW.float(), size=size, mode="bicubic", antialias=True, align_corners=False)
