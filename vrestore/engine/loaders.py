"""Data loaders from configs."""

from __future__ import annotations

import signal
from functools import partial

from mmengine.registry import FUNCTIONS
from torch.utils.data import DataLoader

from vrestore.errors import RegistryError
from vrestore.registry import DATA_SAMPLERS, DATASETS


def build_dataloader(dataloader: DataLoader | dict, seed: int | None = None) -> DataLoader:
    """Build ``dict(dataset=dict(…), batch_size=…, num_workers=…, sampler=…, collate_fn=…, …)``.

    Args:
        dataloader: the config, or a built data loader, which is returned. The sampler defaults to StreamSampler, the
            collate function to clip_collate; what else it holds goes to `torch.utils.data.DataLoader`.
        seed: handed to the sampler.

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
    name = collate.pop("type")
    function = FUNCTIONS.get(name) if isinstance(name, str) else name
    if function is None:
        raise RegistryError(f"collate_fn '{name}' is not registered in FUNCTIONS; the default is clip_collate")
    return DataLoader(
        dataset, sampler=sampler, collate_fn=partial(function, **collate), worker_init_fn=_leave_signals, **cfg
    )


def _leave_signals(worker_id: int) -> None:
    """Ctrl-C reaches the whole process group; a data worker leaves the answer to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
