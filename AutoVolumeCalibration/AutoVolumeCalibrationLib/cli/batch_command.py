"""``batch``: plan many studies, each into its own folder, with a table of the outcomes."""

from __future__ import annotations

import argparse
import csv
import io
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .console import say
from .exit_codes import error_exit_code, exit_code
from .planning_commands import (
    add_planning_flags,
    choose_drawings,
    choose_protocol,
    claimed_folder,
    plan_scouts,
    read_scout_study,
    write_plan,
)

if TYPE_CHECKING:
    from ..core.planning.checks import Check
    from ..core.storage.results import SavedCalibration

SUMMARY = "batch.csv"


@dataclass(frozen=True)
class Study:
    """A study's name, which becomes its folder, and its scouts."""

    name: str
    scouts: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a study: the exit code that ``calibrate`` would have, and why."""

    study: str
    exit_code: int
    message: str


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
    batch.add_argument("--workers", type=_positive_count, default=1, metavar="N", help="processes (default: 1)")
    batch.add_argument("--resume", action="store_true", help="skip studies that already have these results")
    batch.add_argument("--overwrite", action="store_true", help="replace results in DIR")
    batch.set_defaults(run=run_batch)


def run_batch(arguments: argparse.Namespace) -> int:
    """``autovolume batch``; 0 where every study was planned, else the lowest code of a study that was not."""
    from ..core.errors import Cancelled
    from ..core.files.atomic_write import write_text

    choose_protocol(arguments)
    studies = list_studies(arguments.studies, arguments.output)
    outcomes = _earlier_outcomes(studies, arguments)
    todo = [study for study in studies if study.name not in outcomes]
    with claimed_folder(arguments.output, overwrite=True):
        try:
            for number, outcome in enumerate(_outcomes(todo, arguments), start=1):
                outcomes[outcome.study] = outcome
                say(f"{number}/{len(todo)}  {outcome.study}: {outcome.message}")
        except KeyboardInterrupt as stop:
            raise Cancelled(
                f"cancelled with {len(outcomes)} of {len(studies)} studies done. --resume goes on"
            ) from stop
        finally:
            if outcomes:
                ordered = [outcomes[study.name] for study in studies if study.name in outcomes]
                write_text(arguments.output / SUMMARY, _table(ordered))
    return min((outcome.exit_code for outcome in outcomes.values() if outcome.exit_code), default=0)


def list_studies(source: Path, output: Path) -> list[Study]:
    """The studies of a manifest, whose paths (several: separated by ``;``) are relative to it, or of a folder.

    Hidden folders, and ``output`` where it lies inside the folder, are not studies.

    Raises:
        InputError: there are none, the manifest cannot be read, or two studies share a name.
    """
    from ..core.errors import InputError

    if source.is_dir():
        folders = [path for path in sorted(source.iterdir()) if path.is_dir() and not path.name.startswith(".")]
        studies = [Study(path.name, (str(path),)) for path in folders if path.resolve() != output.resolve()]
        if not studies:
            raise InputError("holds no study folders", source=str(source), remedy="Give one folder per study.")
        return studies
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot be read as a manifest ({reason})", source=str(source), remedy="Give a table in CSV, UTF-8."
        ) from error
    if not rows or any(not row.get("study") or not _scouts(row.get("scouts") or "", source.parent) for row in rows):
        raise InputError("needs the columns study and scouts in every row", source=str(source), remedy="Complete it.")
    names = [row["study"] for row in rows]
    if len(set(names)) < len(names) or not all(_is_plain(name) for name in names):
        raise InputError(
            "study names must be unique and valid as folder names", source=str(source), remedy="Rename the studies."
        )
    return [Study(row["study"], _scouts(row["scouts"], source.parent)) for row in rows]


def _is_plain(name: str) -> bool:
    """Can a folder of this name be made in the output folder, and nowhere else?"""
    return not name.startswith(".") and not set(name) & set("/\\:\0") and name != SUMMARY


def _scouts(entry: str, folder: Path) -> tuple[str, ...]:
    return tuple(str(folder / part.strip()) for part in entry.split(";") if part.strip())


def _earlier_outcomes(studies: Iterable[Study], arguments: argparse.Namespace) -> dict[str, Outcome]:
    """Study name -> earlier outcome, with ``--resume``.

    Raises:
        UsageError: there are results, and neither --resume nor --overwrite is given.
    """
    from ..core.errors import InputError, UsageError
    from ..core.storage.results import CALIBRATION_FILE, read_results

    done = [study.name for study in studies if (arguments.output / study.name / CALIBRATION_FILE).exists()]
    if done and not (arguments.resume or arguments.overwrite):
        raise UsageError(
            f"already holds results of {len(done)} of these studies",
            source=str(arguments.output),
            remedy="Give another folder, --resume or --overwrite.",
        )
    outcomes = {}
    for study in (one for one in studies if one.name in done) if arguments.resume else ():
        with suppress(InputError):  # damaged results do not count: the study is planned again
            saved = read_results(arguments.output / study.name)
            if _is_of(saved, study, arguments):
                outcomes[study.name] = _outcome(study.name, saved.checks)
    return outcomes


def _is_of(saved: SavedCalibration, study: Study, arguments: argparse.Namespace) -> bool:
    """Whether earlier results are those that the flags would give: same protocol, box, model and scouts."""
    from ..core.anatomy.protocol import box_rule
    from ..core.models.bundle import read_metadata
    from ..core.models.store import model_folder
    from ..core.scouts.identity import difference
    from ..core.scouts.reader import read_scouts
    from ..core.storage.results import protocol_digest, protocol_reference

    protocol = choose_protocol(arguments)
    digest = read_metadata(model_folder(arguments.model))["weights"]["sha256"]
    same_request = (
        saved.protocol == protocol_reference(protocol)
        and saved.protocol_sha256 in (None, protocol_digest(protocol))
        and saved.box.name == box_rule(protocol, arguments.box).name
        and (saved.model is not None and saved.model.sha256 == digest)
        and list(saved.sources) == [str(Path(path).absolute()) for path in study.scouts]
    )
    if not same_request or not saved.scouts:
        return same_request
    return difference(saved.scouts, read_scouts(study.scouts, force=True, series=arguments.series)) is None


def _outcomes(studies: Sequence[Study], arguments: argparse.Namespace) -> Iterator[Outcome]:
    """The outcome of each study, in their order."""
    if arguments.workers > 1 and len(studies) > 1:
        yield from _outcomes_of_workers(studies, arguments)
    else:
        for study in studies:
            yield _calibrate(study, arguments)


def _outcomes_of_workers(studies: Sequence[Study], arguments: argparse.Namespace) -> Iterator[Outcome]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    from ..core.errors import AutoVolumeError

    workers = min(arguments.workers, len(studies))
    threads = max(1, (os.cpu_count() or 1) // workers)
    # Spawned, not forked: a process in which torch has run cannot be forked safely.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (threads,))
    try:
        yield from pool.map(_calibrate, studies, [arguments] * len(studies))
    except BrokenProcessPool as error:
        raise AutoVolumeError(
            "a worker process died, perhaps out of memory", remedy="Go on with --resume and fewer --workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(threads: int) -> None:
    """Share the cores, and leave Ctrl-C, which reaches all processes of a terminal, to the parent."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _calibrate(study: Study, arguments: argparse.Namespace) -> Outcome:
    """One study; a failure is its outcome and does not end the batch."""
    from ..core.errors import AutoVolumeError

    folder = arguments.output / study.name
    flags = argparse.Namespace(**{**vars(arguments), "scouts": study.scouts})
    try:
        with claimed_folder(folder, overwrite=True):
            drawings = choose_drawings(folder)
            protocol = choose_protocol(flags)
            calibration = plan_scouts(flags, *read_scout_study(flags), protocol)
            write_plan(calibration, folder, study.scouts, drawings)
    except AutoVolumeError as error:
        return Outcome(study.name, error_exit_code(error), str(error))
    return _outcome(study.name, calibration.checks)


def _outcome(study: str, checks: Sequence[Check]) -> Outcome:
    worst = checks[0]
    return Outcome(study, exit_code(checks), f"{worst.level}: {worst.message}")


def _table(outcomes: Iterable[Outcome]) -> str:
    from ..core.errors import printable

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["study", "exit_code", "message"])
    # The name of a folder need not be text.
    writer.writerows([printable(o.study), o.exit_code, printable(o.message)] for o in outcomes)
    return text.getvalue()


def _positive_count(word: str) -> int:
    """An argparse type."""
    if not (word.isdecimal() and int(word) > 0):
        raise argparse.ArgumentTypeError(f"{word!r} is not a positive integer")
    return int(word)
