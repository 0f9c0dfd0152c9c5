"""Training by several processes, on one machine or more, as ``torchrun`` starts them.

Every process learns from its own share of each step's batches; gradients are averaged. The first one keeps the run's
folder. Without ``torchrun`` there is one process and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started; leave them on exit.

    The body has to drop its networks of ``in_parallel`` before it ends: destroyed later, the network would hold
    Python's lock and wait for a thread of the group, which waits for that lock to drop a finished broadcast.
    """
    if "WORLD_SIZE" not in os.environ or not dist.is_available():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        dist.barrier()  # no process leaves while another still waits for it
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process."""
    return dist.get_rank() if _several() else 0


def started_rank() -> int:
    """Number of this process as torchrun started it, also outside of the group."""
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _several() else 1


def own_device(device: torch.device) -> torch.device:
    """The device of this process: on a machine with several GPUs each process has its own."""
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def in_parallel(network: torch.nn.Module) -> torch.nn.Module:
    """The network with its gradients averaged over the processes."""
    if not _several():
        return network
    # Some networks have heads that only answer under deep supervision.
    return torch.nn.parallel.DistributedDataParallel(network, find_unused_parameters=True, broadcast_buffers=False)


def agreed(value: float) -> float:
    """The first process's value, in all of them."""
    if not _several():
        return value
    device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def total(value: torch.Tensor) -> torch.Tensor:
    """The sum of a scalar over the processes."""
    if not _several():
        return value
    shared = value.detach().clone()
    dist.all_reduce(shared)
    return shared


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if not _several():
        return flag
    device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
    shared = torch.tensor([int(flag)], device=device)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return bool(shared.item())


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
