"""Where studies are planned: in this process, in processes of a local cluster, or on a cluster that is there already.

All three take jobs by ``submit``, as executors do. The clusters are those of dask.distributed: its nannies start a
worker that died again, and its workers end when the process that started them does.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ...core.errors import AutoVolumeError, UsageError
from .processes import ctrl_c_deferred, end_cluster, environment, kill_workers

if TYPE_CHECKING:
    import distributed
    from distributed import Client, LocalCluster

#: How long a scheduler or its first worker may take to answer.
_PATIENCE_S = 30

#: How long there may be no worker at all: those of a local cluster take seconds to start again.
_ALONE_S = 300

#: The engine counts attempts itself; dask must not give up earlier because of studies that only waited for a worker.
_ALLOWED_FAILURES = 100

_SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": _ALLOWED_FAILURES,
    # A worker that is being started again is not lost, nor is one whose study keeps the interpreter to itself.
    "distributed.scheduler.worker-ttl": None,
    "distributed.deploy.lost-worker-timeout": "1 day",
    "distributed.worker.preload": ["AutoVolumeCalibrationLib.service.engine.worker_setup"],
    "distributed.worker.daemon": True,
    # What dask measures of itself for pages that are not shown here: it would take a part of every second.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    # By default dask has the C library return memory so eagerly that arrays of images are paged in again and again.
    "distributed.nanny.pre-spawn-environ": {},
    # Every scheduler and worker has a web server; it then has no pages.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


class LostError(Exception):
    """A task went with its worker, or its result did."""


@dataclass(frozen=True)
class Workers:
    """Something that plans studies.

    Attributes:
        submit: as that of executors. Its futures may raise LostError.
        at_once: how many jobs to submit at a time: those being planned and one more for each, so that none waits.
        limits_hold: whether a study that exceeds its limits can be ended without the batch.
        check: raises AutoVolumeError where no result can be expected any more.
        kill: ends what is running, at once.
    """

    submit: Callable[..., Future]
    at_once: int
    limits_hold: bool
    check: Callable[[], None] = lambda: None
    kill: Callable[[], None] = lambda: None


def cluster_is_installed() -> bool:
    """Whether dask.distributed is there (the extra ``cluster``)."""
    return find_spec("distributed") is not None


@contextmanager
def in_this_process() -> Iterator[Workers]:
    """One study after the other, each while it is submitted."""
    yield Workers(_run_now, 1, limits_hold=False)


@contextmanager
def local_cluster(count: int) -> Iterator[Workers]:
    """``count`` worker processes on this machine, which nobody else can send work to."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    be_quiet()
    security = Security.temporary()
    with ExitStack() as stack:
        scratch = stack.enter_context(TemporaryDirectory(prefix="autovolume-workers-"))
        stack.enter_context(dask.config.set({**_SETTINGS, "temporary-directory": scratch}))
        with ctrl_c_deferred():
            cluster = _quietly(
                LocalCluster,
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,  # the engine's own limit says which study exceeded it
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
                protocol="tls://",
                security=security,
                env=environment(count),
            )
            stack.callback(end_cluster, cluster)
        client = stack.enter_context(Client(cluster, security=security, set_as_default=False))
        yield _workers_of(client, count, lambda: kill_workers(cluster))


@contextmanager
def remote_cluster(address: str) -> Iterator[Workers]:
    """The workers of a scheduler that is running, such as ``tcp://host:8786``. They see the same folders.

    Raises:
        UsageError: no scheduler or no worker answers there.
    """
    from distributed import Client

    be_quiet()
    try:
        client = Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"no dask scheduler answers ({error})", source=address, remedy="Start one, or check the address."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE_S)
        except TimeoutError as error:
            raise UsageError("the scheduler has no workers", source=address, remedy="Start some.") from error
        threads = sum(client.nthreads().values())
        yield _workers_of(client, threads, lambda: None)


def _quietly(start: Callable[..., LocalCluster], **options: Any) -> LocalCluster:
    """The cluster, without dask's warning that its web server takes another port than usual."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return start(**options)


def be_quiet() -> None:
    """Leave what dask logs about its connections out of the command's output: what matters reaches the engine."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _workers_of(client: Client, count: int, kill: Callable[[], None]) -> Workers:
    seen_at = time.monotonic()

    def check() -> None:
        nonlocal seen_at
        with suppress(OSError, TimeoutError):
            if client.scheduler_info(n_workers=1)["workers"]:
                seen_at = time.monotonic()
        if client.status != "running" or time.monotonic() - seen_at > _ALONE_S:
            raise AutoVolumeError("the cluster has gone", remedy="Go on with --resume.")

    def submit(function: Callable[..., Any], /, *arguments: Any) -> Future:
        nonlocal seen_at
        seen_at = time.monotonic()  # nobody asked after the workers while there was nothing to do
        done: Future = Future()
        client.submit(function, *arguments, pure=False).add_done_callback(partial(_pass_on, done))
        return done

    return Workers(submit, 2 * count, True, check, kill)


def _pass_on(done: Future, remote: distributed.Future) -> None:
    """Give what became of a task to whom waits for it.

    A result lies on its worker until it is asked for. Where that worker dies first, dask computes it anew, which may
    never end; the engine submits the study again and finds the outcome in the record.
    """
    if remote.status == "error":
        done.set_exception(remote.exception(timeout=_PATIENCE_S))
        return
    try:
        done.set_result(remote.result(timeout=_PATIENCE_S))
    except (OSError, TimeoutError, CancelledError) as error:
        done.set_exception(LostError(str(error)))


def _run_now(function: Callable[..., Any], /, *arguments: Any) -> Future:
    """As ``submit``, done before it returns. What the function raises, a Ctrl-C included, is raised here."""
    done: Future = Future()
    done.set_result(function(*arguments))
    return done
