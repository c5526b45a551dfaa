"""The folder that a run writes to, when an earlier run has written there already."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mmengine.dist import barrier, is_main_process

from vrestore.disk import is_full
from vrestore.engine.checkpoint import POINTER, checkpoints_in
from vrestore.errors import ConfigError

FILES_OF_A_RUN = ("iter_*.pth", "best_*.pth", POINTER, "log.jsonl", "weights.safetensors", "samples")


def make_work_dir(work_dir: str | Path) -> None:
    """Make the folder of a run, or see that it can be written to.

    Raises:
        ConfigError: it cannot.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_full(error):
            raise
        raise ConfigError(
            f"the work dir {work_dir} cannot be made: {error.strerror}; choose another (--work-dir)"
        ) from error
    if not os.access(work_dir, os.W_OK | os.X_OK):
        raise ConfigError(f"the work dir {work_dir} may not be written to; choose another (--work-dir)")


def set_earlier_run_aside(work_dir: str | Path) -> Path | None:
    """Move the checkpoints, log, weights and samples of an earlier run into ``<work_dir>/earlier_<time>``.

    A run that starts from the beginning would else overwrite them, and a later resume could take one of its checkpoints
    for its own.

    Returns:
        Where they are now; None where there was no checkpoint to lose.
    """
    work_dir = Path(work_dir)
    aside = None
    if is_main_process() and checkpoints_in(work_dir):
        stamp = time.strftime("earlier_%Y%m%d_%H%M%S")
        aside = next(p for n in range(1000) if not (p := work_dir / (f"{stamp}_{n}" if n else stamp)).exists())
        aside.mkdir()
        for pattern in FILES_OF_A_RUN:
            for path in sorted(work_dir.glob(pattern)):
                path.rename(aside / path.name)
    barrier()  # no process may look before everything has its place
    return aside
