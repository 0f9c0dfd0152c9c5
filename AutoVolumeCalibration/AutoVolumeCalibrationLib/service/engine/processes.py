"""The worker processes of a local cluster: what they share of the machine, how they hear of Ctrl-C, how they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import LocalCluster

#: How long killed processes may take to end.
_END_S = 10


def environment(count: int) -> dict[str, str]:
    """Threads of each worker's libraries: its share of the cores that this process may use, unless that is set."""
    from dask import system

    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, system.CPU_COUNT // count)))}


def memory_share_gb(count: int) -> float:
    """What each of ``count`` workers may have of this machine's memory, or of the part that this process may use."""
    from distributed.system import MEMORY_LIMIT

    share: float = MEMORY_LIMIT / 2**30 / count
    return share


@contextmanager
def ctrl_c_deferred() -> Iterator[None]:
    """Hold a Ctrl-C back until the end; threads and processes that are started meanwhile never get one.

    It reaches all processes of a terminal. Workers that are still loading would answer with a traceback, and a cluster
    whose start is interrupted cannot be closed. Windows has no such means.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Python starts it with the first process, and then lets the thread that does so have SIGINT again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_workers(cluster: LocalCluster) -> None:
    """End the worker processes at once, and for good: a nanny starts no worker again that it was to kill."""
    import psutil

    processes = []
    for nanny in list(cluster.workers.values()):
        nanny.close_gracefully()  # else it starts the worker again
        started = getattr(nanny.process, "process", None)
        if started is not None and started.pid is not None:
            with suppress(psutil.NoSuchProcess):
                processes.append(psutil.Process(started.pid))
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_END_S)


def end_cluster(cluster: LocalCluster) -> None:
    """Close the cluster and its processes, whatever they do."""
    with _undisturbed(), suppress(TimeoutError):  # a worker that is starting: it ends with this process
        kill_workers(cluster)
        cluster.close(timeout=_END_S)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not keep the first from ending the workers."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: it gets no signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
