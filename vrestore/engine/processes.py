"""Joining the other processes of a distributed run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel

from vrestore.errors import ConfigError


def join_processes(backend: str | None = None, timeout: float | None = None) -> bool:
    """Join the processes that torchrun started, over NCCL on CUDA and gloo elsewhere.

    Args:
        backend: ``nccl`` or ``gloo``; None takes what suits the device.
        timeout: seconds that a process waits for the others before it gives up.

    Returns:
        Whether this call joined them; False when they were joined already.

    Raises:
        ConfigError: this process was not started by torchrun, or the backend needs a device that is absent.
    """
    if torch.distributed.is_initialized():
        return False
    if "RANK" not in os.environ or "LOCAL_RANK" not in os.environ:
        raise ConfigError(
            "launcher='pytorch' needs torchrun: torchrun --nproc_per_node=N tools/train.py CONFIG --launcher pytorch"
        )
    on_cuda = torch.cuda.is_available()
    if backend == "nccl" and not on_cuda:
        raise ConfigError("env_cfg.dist_cfg.backend='nccl' needs CUDA devices, and none is here; use 'gloo'")
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(
        backend or ("nccl" if on_cuda else "gloo"), timeout=None if timeout is None else timedelta(seconds=timeout)
    )
    return True


@contextmanager
def processes(launcher: str, **settings: Any) -> Iterator[None]:
    """`join_processes` where `launcher` is ``pytorch``, and leave them at the end of the block.

    After an error nothing is waited for: the launcher ends the other processes.
    """
    joined = launcher == "pytorch" and join_processes(**settings)
    yield
    if joined:
        leave_processes()


def leave_processes() -> None:
    """Leave the others once all of them have come here: gloo aborts a process whose partner left it talking."""
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def share_weights(model: torch.nn.Module) -> torch.nn.Module:
    """`model` with the main process's weights and buffers in every process; its optimisers average the gradients."""
    for tensor in [*model.parameters(), *model.buffers()]:
        torch.distributed.broadcast(tensor.data, 0)
    return model


@torch.no_grad()
def average_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Put the mean of all processes' gradients in their place; where only some have one, the others count as zero."""
    if not parameters:
        return
    there = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    torch.distributed.all_reduce(there, torch.distributed.ReduceOp.MAX)
    shared = [p for p, some in zip(parameters, there.tolist(), strict=True) if some]
    for parameter in shared:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in shared if p.grad is not None]
    for dtype in {gradient.dtype: None for gradient in gradients}:
        alike = [gradient for gradient in gradients if gradient.dtype == dtype]
        flat = torch.cat([gradient.reshape(-1) for gradient in alike])
        torch.distributed.all_reduce(flat)
        flat /= torch.distributed.get_world_size()
        for gradient, mean in zip(alike, flat.split([gradient.numel() for gradient in alike]), strict=True):
            gradient.copy_(mean.view(gradient.shape))


def share_model(model: torch.nn.Module, find_unused_parameters: bool = False) -> MMDistributedDataParallel:
    """`model` with its gradients averaged over all processes; it must lie on its device."""
    on_cpu = torch.device(get_device()).type == "cpu"
    return MMDistributedDataParallel(
        module=model,
        device_ids=None if on_cpu else [int(os.environ["LOCAL_RANK"])],  # only modules on a GPU may name one
        broadcast_buffers=False,
        find_unused_parameters=find_unused_parameters,
    )
