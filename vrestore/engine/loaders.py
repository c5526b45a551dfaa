"""Data loaders from configs."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from functools import partial

from mmengine.registry import FUNCTIONS
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

from vrestore.data.clips import DamagedClipWarning
from vrestore.errors import ConfigError, RegistryError
from vrestore.registry import DATA_SAMPLERS, DATASETS

HANGS_AFTER = 1800.0  # seconds that a batch may take before its data worker is taken for stuck


def build_dataloader(dataloader: DataLoader | dict, seed: int | None = None, name: str = "dataloader") -> DataLoader:
    """Build ``dict(dataset=dict(…), batch_size=…, num_workers=…, sampler=…, collate_fn=…, …)``.

    Args:
        dataloader: the config, or a built data loader, which is returned. The sampler defaults to StreamSampler, the
            collate function to clip_collate, the `timeout` of data workers to half an hour (0 waits forever); what
            else it holds goes to `torch.utils.data.DataLoader`.
        seed: handed to the sampler.
        name: what the config calls it, for errors.

    Raises:
        RegistryError: an unknown dataset, sampler or collate function.
        ConfigError: an argument that one of them does not take.
    """
    if isinstance(dataloader, DataLoader):
        return dataloader
    cfg = dict(dataloader)
    dataset = cfg.pop("dataset")
    dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
    sampler = cfg.pop("sampler", None) or {"type": "StreamSampler"}
    if isinstance(sampler, dict):
        sampler = DATA_SAMPLERS.build(sampler, default_args={"dataset": dataset, "seed": seed})
    collate = dict(cfg.pop("collate_fn", None) or {"type": "clip_collate"})
    kind = collate.pop("type")
    function = FUNCTIONS.get(kind) if isinstance(kind, str) else kind
    if function is None:
        raise RegistryError(f"{name}: collate_fn '{kind}' is not registered in FUNCTIONS; the default is clip_collate")
    if cfg.get("num_workers", 0) > 0:
        cfg.setdefault("timeout", HANGS_AFTER)
    try:
        return DataLoader(
            dataset, sampler=sampler, collate_fn=partial(function, **collate), worker_init_fn=_begin_worker, **cfg
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} cannot be built: {error}") from error


def batches_in_work(batches: Iterator, waited: bool) -> list[int]:
    """Numbers of the batches, from the first of a running data loader, at which its lost or slow workers are.

    PyTorch does not say; this looks into its iterator, and finds none where that is made otherwise.

    Args:
        batches: the iterator.
        waited: whether the next batch was waited for too long; else only workers that are lost count.
    """
    workers, tasks = getattr(batches, "_workers", []), getattr(batches, "_task_info", {})
    lost = {number for number, worker in enumerate(workers) if not worker.is_alive()}
    begun: dict[int, int] = {}  # the first unfinished batch of each worker: it makes them in order
    for number, task in sorted(tasks.items()):
        if len(task) == 1:  # a finished one carries its data as well
            begun.setdefault(task[0], number)
    if lost:
        return [number for worker, number in begun.items() if worker in lost]
    return [getattr(batches, "_rcvd_idx", 0)] if begun and waited else []


def end_workers(batches: Iterator) -> None:
    """End the data workers of a data loader's iterator at once, those that hang too; PyTorch waits seconds for each."""
    if not getattr(batches, "_worker_pids_set", False):
        return
    signal_handling._remove_worker_pids(id(batches))  # else their death would be told as a failure of its own
    batches._worker_pids_set = False  # type: ignore[attr-defined]
    for worker in getattr(batches, "_workers", []):
        worker.kill()


def _begin_worker(worker_id: int) -> None:
    """Ctrl-C reaches the whole process group; a data worker leaves the answer to its parent, as it does the telling."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore", DamagedClipWarning)
