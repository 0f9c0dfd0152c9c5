"""``batch``: plan many studies, each into its own folder, with a table of the outcomes."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..service.planning import PlanRequest, made_folder, prepare
from .console import ProgressLine, print_notes, say
from .planning_commands import add_planning_flags, choose_protocol, positive_number

if TYPE_CHECKING:
    from ..core.storage.results import SavedCalibration
    from ..service.batch.manifest import Study
    from ..service.batch.resume import Request
    from ..service.engine.attempt import Job
    from ..service.engine.outcome import Outcome
    from ..service.engine.records import Records
    from ..service.engine.workers import Workers

#: Inside the output folder: what several processes and later ones need to know.
RECORDS_FOLDER = ".batch"

#: A line on stdout at least so often while earlier results are compared.
_REPORT_S = 10.0


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    batch = commands.add_parser("batch", description="Plan many studies, each into its own folder")
    batch.add_argument(
        "studies",
        type=Path,
        metavar="MANIFEST.csv|FOLDER",
        help="table with columns study, scouts; or folder of studies",
    )
    batch.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="output root, one sub-folder per study"
    )
    add_planning_flags(batch)
    batch.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="processes (default: 1; 0 plans in this process, without limits)",
    )
    batch.add_argument("--scheduler", metavar="ADDRESS", help="workers of a running dask scheduler, tcp://HOST:8786")
    batch.add_argument(
        "--shard", type=_shard, metavar="I/N", help="the I-th of N parts of the studies; the parts share DIR"
    )
    batch.add_argument(
        "--time-limit", type=positive_number, default=600.0, metavar="S", help="seconds for a study (default: 600)"
    )
    batch.add_argument(
        "--memory-limit",
        type=positive_number,
        metavar="GB",
        help="memory of a worker (default: its share of this machine)",
    )
    batch.add_argument("--resume", action="store_true", help="skip studies that already have these results")
    batch.add_argument("--retry-killed", action="store_true", help="try studies again that ended their worker before")
    batch.add_argument("--overwrite", action="store_true", help="replace results in DIR")
    batch.set_defaults(run=run_batch)


def run_batch(arguments: argparse.Namespace) -> int:
    """``autovolume batch``; 0 where every study was planned, else the lowest code of a study that was not."""
    from ..core.errors import Cancelled
    from ..service.batch.manifest import list_studies
    from ..service.batch.parts import in_order, studies_of_part, table_name, write_whole_table
    from ..service.batch.resume import resolved
    from ..service.batch.table import OutcomeTable, write_table
    from ..service.engine.records import Records

    request = resolved(plan_request(arguments))
    all_studies = list_studies(arguments.studies, arguments.output)
    studies = studies_of_part(all_studies, arguments.shard)
    records = Records(arguments.output.absolute() / RECORDS_FOLDER)
    outcomes = _earlier_outcomes(studies, arguments, request, records)
    if outcomes:
        say(f"{len(outcomes)} of {len(studies)} studies have these results already")
    jobs = _jobs([study for study in studies if study.name not in outcomes], arguments, request, records)
    table_path = arguments.output / table_name(arguments.shard)
    with made_folder(arguments.output):
        try:
            table = OutcomeTable(table_path, outcomes.values())
            with closing(_planned(jobs, arguments)) as planned:
                for outcome in planned:
                    outcomes[outcome.study] = outcome
                    table.append(outcome)
        except KeyboardInterrupt as stop:
            raise Cancelled(
                f"cancelled with {len(outcomes)} of {len(studies)} studies done. --resume goes on"
            ) from stop
        finally:
            if outcomes:
                write_table(table_path, in_order(studies, outcomes))
            else:
                table_path.unlink(missing_ok=True)
        if arguments.shard:
            write_whole_table(arguments.output, all_studies, outcomes, records, request.key)
    return min((outcome.exit_code for outcome in outcomes.values() if outcome.exit_code), default=0)


def plan_request(arguments: argparse.Namespace) -> PlanRequest:
    """How the flags say to plan; the errors of the protocol come before the work."""
    from ..core.storage.results import protocol_reference

    protocol = choose_protocol(arguments)
    model = arguments.model
    return PlanRequest(
        protocol_reference(protocol) if protocol else "",
        arguments.box,
        os.path.abspath(model) if model and os.path.isdir(model) else model,
        arguments.device,
        arguments.backend,
        tuple(arguments.series or ()),
        arguments.force,
    )


def _earlier_outcomes(
    studies: Sequence[Study], arguments: argparse.Namespace, request: Request, records: Records
) -> dict[str, Outcome]:
    """Study name -> earlier outcome, with ``--resume``.

    Raises:
        UsageError: there are results, and neither --resume nor --overwrite is given.
    """
    from ..core.errors import UsageError
    from ..core.storage.results import CALIBRATION_FILE
    from ..service.batch.resume import EarlierResults

    if arguments.resume:
        earlier = EarlierResults(request, arguments.output, records, _outcome_of_saved)
        found = {study.name: earlier.find(study) for study in _shown(studies)}
        return {name: outcome for name, outcome in found.items() if outcome is not None}
    if not arguments.overwrite:
        done = [study for study in studies if (arguments.output / study.name / CALIBRATION_FILE).exists()]
        if done:
            raise UsageError(
                f"already holds results of {len(done)} of these studies",
                source=str(arguments.output),
                remedy="Give another folder, --resume or --overwrite.",
            )
    return {}


def _shown(studies: Sequence[Study]) -> Iterator[Study]:
    """The studies, while their earlier results are compared: how many there were is shown."""
    shown_at = time.monotonic()
    with ProgressLine() as progress:
        for done, study in enumerate(studies):
            text = f"comparing earlier results {done}/{len(studies)}"
            progress(text)
            if time.monotonic() - shown_at > _REPORT_S:
                shown_at = time.monotonic()
                say(text)
            yield study


def _outcome_of_saved(study: str, saved: SavedCalibration) -> Outcome:
    from .batch_study import planned_outcome

    return planned_outcome(study, saved, float(saved.timings_s.get("total", 0.0)), "")


def _jobs(studies: Sequence[Study], arguments: argparse.Namespace, request: Request, records: Records) -> list[Job]:
    from ..service.engine.attempt import Job
    from ..service.engine.limits import Limits
    from .batch_study import BatchWork

    limits = Limits() if _in_this_process(arguments) else Limits(arguments.time_limit, _memory_gb(arguments))
    output = arguments.output.absolute()
    jobs = []
    for study in studies:
        if arguments.overwrite or arguments.retry_killed:
            records.forget(study.name)
        scouts = tuple(os.path.abspath(path) for path in study.scouts)
        work = BatchWork(study.name, scouts, output, request.request, request.key)
        seen = records.read(study.name).stamp
        jobs.append(Job(work, records.folder, limits, seen, partial(prepare, request.request)))
    return jobs


def _planned(jobs: Sequence[Job], arguments: argparse.Namespace) -> Generator[Outcome]:
    """The outcomes as they come, each shown on a line with the time that the rest will take."""
    from ..service.engine.running import run

    if not jobs:
        return
    started = time.monotonic()
    with _workers(arguments, len(jobs)) as workers, closing(run(jobs, workers)) as outcomes:
        for number, outcome in enumerate(outcomes, start=1):
            left_s = (time.monotonic() - started) / number * (len(jobs) - number)
            rest = f"; {duration_text(left_s)} left" if number < len(jobs) else ""
            say(f"{number}/{len(jobs)}  {outcome.study}: {outcome.message} [{outcome.seconds:.1f} s{rest}]")
            yield outcome


def _workers(arguments: argparse.Namespace, jobs: int) -> AbstractContextManager[Workers]:
    from ..service.engine import workers

    if arguments.scheduler:
        return workers.remote_cluster(arguments.scheduler)
    if _in_this_process(arguments):
        if arguments.workers:
            print_notes(["dask.distributed is not installed: studies have no limits of time and memory."])
        return workers.in_this_process()
    return workers.local_cluster(min(arguments.workers, jobs))


def _in_this_process(arguments: argparse.Namespace) -> bool:
    """Whether no worker process is wanted, or none can be had.

    Raises:
        UsageError: what would run them is not installed, and is asked for.
    """
    from ..core.errors import UsageError
    from ..core.install_remedy import install_remedy
    from ..service.engine.workers import cluster_is_installed

    if not arguments.scheduler and arguments.workers == 0:
        return True
    if cluster_is_installed():
        return False
    if arguments.scheduler or arguments.workers > 1:
        raise UsageError("several workers need dask.distributed", remedy=install_remedy("distributed", "cluster"))
    return True


def _memory_gb(arguments: argparse.Namespace) -> float | None:
    """The limit of a worker; workers of another cluster have limits of their own unless one is given."""
    if arguments.memory_limit or arguments.scheduler:
        return arguments.memory_limit
    from ..service.engine.processes import memory_share_gb

    return memory_share_gb(arguments.workers)


def duration_text(seconds: float) -> str:
    """``45 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _count(word: str) -> int:
    """An argparse type."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of processes")
    return int(word)


def _shard(word: str) -> tuple[int, int]:
    """An argparse type."""
    part, _, parts = word.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{word!r} is not a part such as 2/8")
    return int(part), int(parts)
