"""Stopping a run from outside: a signal asks, and the run ends by itself at the next step with a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
import time

import torch
import torch.distributed
from mmengine.device import get_device
from mmengine.dist import get_world_size

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEAT_SECONDS = 3.0  # a terminal and a launcher may both pass the same signal on; only a later one is a second wish


class TrainingStopped(SystemExit):
    """The run ended early because a signal asked for it; its checkpoint is written. The status is 128 + signal."""

    def __init__(self, signal_number: int, message: str):
        super().__init__(128 + signal_number)
        self.message = message


class StopRequest:
    """Inside ``with``, SIGINT and SIGTERM are noted instead of obeyed; a second SIGINT after a while is obeyed.

    Attributes:
        signal_number: the noted signal, or None.
        agreed: whether all processes know of a request; they stop together, since each step needs them all.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.agreed = False
        self._noted_at = 0.0
        self._process = os.getpid()
        self._previous: dict = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # Python sets handlers there only
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def agree(self, values: list[float]) -> list[float]:
        """The mean of `values` over all processes; settles in passing whether any of them was asked to stop."""
        asked = float(self.signal_number is not None)
        if get_world_size() > 1:
            shared = torch.tensor([asked, *values], dtype=torch.float64, device=_device())
            torch.distributed.all_reduce(shared)
            asked, *values = shared.tolist()
            values = [value / get_world_size() for value in values]
        self.agreed = asked > 0
        return values

    def _note(self, number: int, frame: object) -> None:
        if os.getpid() != self._process:
            return  # a data worker inherited this handler; its parent ends it
        now = time.monotonic()
        if self.signal_number is not None and number == signal.SIGINT and now - self._noted_at > REPEAT_SECONDS:
            raise KeyboardInterrupt("stopped at once; the last checkpoint on the disk is whole")
        if self.signal_number is None:
            self.signal_number, self._noted_at = number, now
            name = signal.Signals(number).name
            os.write(2, f"\n{name}: stopping after this step, with a checkpoint\n".encode())


def _device() -> str:
    return get_device() if torch.distributed.get_backend() == "nccl" else "cpu"
