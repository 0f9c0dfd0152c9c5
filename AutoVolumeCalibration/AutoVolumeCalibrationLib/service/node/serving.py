"""The loops of ``serve`` and ``watch``: until they are interrupted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...core.errors import AutoVolumeError, UsageError
from ..batch.resume import resolved
from ..batch.table import write_table
from ..engine.limits import Limits
from ..engine.outcome import Outcome
from ..engine.records import Records
from ..engine.workers import Workers, cluster_is_installed, in_this_process, local_cluster
from ..page import server as page
from ..planning import PlanRequest
from . import results
from .configuration import Configuration
from .health import reporting
from .outbox import objects_in
from .planner import PLANNED, Planner
from .receiver import receiving
from .sending import sending
from .spool import OUTBOX, PLANS, ReceivedStudy, Spool, studies_in
from .spool_desk import SpoolDesk
from .tls import server_context

_logger = logging.getLogger(__name__)

#: All studies with their outcomes, in the spool: what could not be planned stands there with the reason.
STUDIES_TABLE = "studies.csv"

_POLL_S, _SWEEP_S = 0.5, 3600.0


def check(configuration: Configuration) -> None:
    """Find out what would keep a service from running, without running it.

    Raises:
        AutoVolumeError: the protocol, the model or a TLS file does not do, a package is missing, the spool is in use.
    """
    _require_packages(configuration)
    resolved(configuration.request)
    if configuration.tls:
        server_context(configuration.tls)
    with _only_one(configuration.spool):
        pass


def serve(configuration: Configuration, stopped: Callable[[], bool] = lambda: False) -> None:
    """Receive, plan and send until KeyboardInterrupt.

    Args:
        stopped: whether a signal came whose KeyboardInterrupt was lost, as it is while the workers start.

    Raises:
        AutoVolumeError: it cannot begin, or the workers are gone.
    """
    _require_packages(configuration)
    with _only_one(configuration.spool):
        spool = Spool(configuration.spool)
        spool.recover()
        planner = Planner(
            resolved(configuration.request),
            configuration.limits,
            configuration.spool / PLANS,
            Records(configuration.spool / "records"),
            configuration.quiet_s,
            configuration.spool.absolute(),
            configuration.destinations,
            configuration.title,
        )
        outcomes = {study.name: planner.records.read(study.name).outcome for study in spool.studies()}
        facts = partial(_facts, configuration, spool, outcomes)
        desk = SpoolDesk(configuration, spool, planner.records, outcomes)
        with (
            _workers() as workers,
            receiving(configuration, spool),
            # After the node: where a monitor reads "ok", images are received.
            reporting(configuration.health_port, facts),
            page.showing(configuration.page, desk),
            sending(configuration),
        ):
            _logger.info("%s listens on %s:%d", configuration.title, configuration.host, configuration.port)
            _plan_for_ever(_held(planner, workers), spool, outcomes, configuration, workers, stopped)


def watch(
    folder: Path,
    output: Path,
    request: PlanRequest,
    limits: Limits,
    quiet_s: float,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Outcome]:
    """Plan the sub-folders of ``folder`` as they become complete, for ever; ``stopped`` as in ``serve``."""
    planner = Planner(resolved(request), limits, output, Records(output.absolute() / ".batch"), quiet_s)
    settled: dict[str, float] = {}

    def note(study: ReceivedStudy) -> None:
        settled[study.name] = study.latest

    with _workers() as workers:
        planner = _held(planner, workers)
        while True:
            _end_where(stopped)
            studies = [one for one in studies_in(folder) if settled.get(one.name) != one.latest]
            yield from planner.plan((one for one in studies if one.folder.resolve() != output.resolve()), note, workers)
            time.sleep(_POLL_S)


def _require_packages(configuration: Configuration) -> None:
    results.require_packages(form for destination in configuration.destinations for form in destination.forms)
    page.require_packages(configuration.page)


def _facts(configuration: Configuration, spool: Spool, outcomes: dict[str, Outcome | None]) -> dict[str, float]:
    """What ``/health`` shows."""
    known = [one for one in outcomes.copy().values() if one is not None]
    waiting = [configuration.spool / OUTBOX / one.name for one in configuration.destinations]
    return {
        "studies_planned": sum(one.exit_code == PLANNED for one in known),
        "studies_not_planned": sum(one.exit_code != PLANNED for one in known),
        "studies_open": sum(1 for _ in spool.changed()),
        "results_to_send": sum(len(objects_in(folder)) for folder in waiting),
        "objects_unreadable": spool.unreadable(),
        "disk_free_gb": round(spool.free_gb(), 3),
    }


def _plan_for_ever(
    planner: Planner,
    spool: Spool,
    outcomes: dict[str, Outcome | None],
    configuration: Configuration,
    workers: Workers,
    stopped: Callable[[], bool],
) -> None:
    table, swept_at = configuration.spool / STUDIES_TABLE, -_SWEEP_S

    def note(name: str, outcome: Outcome | None) -> None:
        if outcome is not None and outcome != outcomes.get(name):
            outcomes[name] = outcome
            _write_studies(table, outcomes)

    def settled(study: ReceivedStudy) -> None:
        spool.settle(study)
        # A worker may have ended it after the service that began it was killed.
        note(study.name, planner.records.read(study.name).outcome)

    _write_studies(table, outcomes)  # killed after the last study, the service did not list it
    while True:
        _end_where(stopped)
        for outcome in planner.plan(spool.changed(), settled, workers):
            _logger.info("study %s: exit code %d in %.1f s", outcome.study, outcome.exit_code, outcome.seconds)
            note(outcome.study, outcome)
        if time.monotonic() - swept_at > _SWEEP_S:
            swept_at = time.monotonic()
            for name in spool.remove_older(configuration.keep_days):
                planner.records.forget(name)
                outcomes.pop(name, None)
        time.sleep(_POLL_S)


def _end_where(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise KeyboardInterrupt


def _held(planner: Planner, workers: Workers) -> Planner:
    """The planner with limits only where a study that exceeds them does not end this process."""
    return planner if workers.limits_hold else replace(planner, limits=Limits())


def _write_studies(path: Path, outcomes: dict[str, Outcome | None]) -> None:
    try:
        write_table(path, [one for _, one in sorted(outcomes.items()) if one is not None])
    except AutoVolumeError as error:
        _logger.warning("%s", error)


@contextmanager
def _workers() -> Iterator[Workers]:
    with local_cluster(1) if cluster_is_installed() else in_this_process() as workers:
        yield workers


@contextmanager
def _only_one(spool: Path) -> Iterator[None]:
    """Keep other services from the same spool."""
    from filelock import FileLock, Timeout

    try:
        spool.mkdir(parents=True, exist_ok=True)
        lock = FileLock(spool / "service.lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise UsageError("another service uses this spool", source=str(spool), remedy="Stop it first.") from error
    except OSError as error:
        raise UsageError(
            f"cannot be used as a spool ({error.strerror or error})", source=str(spool), remedy="Choose another folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
