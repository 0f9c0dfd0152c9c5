"""``batch``: calibrate many studies, one folder of results each, and a table of how it went."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .planning_commands import add_planning_flags, plan_scouts, write_plan

SUMMARY = "batch.csv"


@dataclass(frozen=True)
class Study:
    """A study's name, which becomes its folder, and its scouts."""

    name: str
    scouts: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a study went: the exit code that ``calibrate`` would have, and why."""

    study: str
    exit_code: int
    message: str


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    batch = commands.add_parser("batch", help="calibrate many studies")
    batch.add_argument(
        "studies",
        type=Path,
        metavar="MANIFEST.csv|FOLDER",
        help="table with columns study, scouts; or folder of studies",
    )
    batch.add_argument("--output", required=True, type=Path, metavar="DIR")
    add_planning_flags(batch)
    batch.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    batch.add_argument("--resume", action="store_true", help="leave out studies that have results already")
    batch.set_defaults(run=run_batch)


def run_batch(arguments: argparse.Namespace) -> int:
    """``autovolume batch``; 0 where every study was planned, else the lowest code of a study that was not."""
    from AutoVolumeCalibrationLib.core.whole_files import write_text

    studies = list_studies(arguments.studies)
    if arguments.resume:
        studies = [s for s in studies if not (arguments.output / s.name / "calibration.json").exists()]
    outcomes = []
    for number, outcome in enumerate(_outcomes(studies, arguments), start=1):
        outcomes.append(outcome)
        print(f"{number}/{len(studies)}  {outcome.study}: {outcome.message}", flush=True)
    if outcomes:
        write_text(arguments.output / SUMMARY, _table(outcomes))
    return min((outcome.exit_code for outcome in outcomes if outcome.exit_code), default=0)


def list_studies(source: Path) -> list[Study]:
    """The studies of a manifest, whose paths (several: separated by ``;``) are relative to it, or of a folder.

    Raises:
        InputError: there are none, the manifest cannot be read, or two studies share a name.
    """
    from AutoVolumeCalibrationLib.core.errors import InputError

    if source.is_dir():
        studies = [Study(path.name, (str(path),)) for path in sorted(source.iterdir()) if path.is_dir()]
        if not studies:
            raise InputError("holds no study folders", source=str(source), remedy="Give one folder per study.")
        return studies
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read as a manifest ({error})", source=str(source)) from error
    if not rows or any(not row.get("study") or not row.get("scouts") for row in rows):
        raise InputError("needs the columns study and scouts in every row", source=str(source), remedy="Complete it.")
    names = [row["study"] for row in rows]
    if len(set(names)) < len(names) or any(Path(name).name != name for name in names):
        raise InputError("study names must be plain and differ", source=str(source), remedy="Rename the studies.")
    return [Study(r["study"], tuple(str(source.parent / part) for part in r["scouts"].split(";"))) for r in rows]


def _outcomes(studies: list[Study], arguments: argparse.Namespace) -> Iterator[Outcome]:
    if arguments.workers <= 1:
        for study in studies:
            yield _calibrate(study, arguments)
        return
    with ProcessPoolExecutor(arguments.workers) as pool:
        yield from pool.map(_calibrate, studies, [arguments] * len(studies))


def _calibrate(study: Study, arguments: argparse.Namespace) -> Outcome:
    """One study; a failure is its outcome and does not end the batch."""
    from AutoVolumeCalibrationLib.core.errors import AutoVolumeError

    values = {**vars(arguments), "scouts": study.scouts}
    values.pop("run", None)
    try:
        calibration = plan_scouts(argparse.Namespace(**values))
        write_plan(calibration, arguments.output / study.name, study.scouts, overwrite=True, scene=False)
    except AutoVolumeError as error:
        return Outcome(study.name, error.exit_code, str(error))
    worst = calibration.checks[0]
    return Outcome(study.name, 5 if calibration.has_errors else 0, f"{worst.level}: {worst.message}")


def _table(outcomes: list[Outcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["study", "exit_code", "message"])
    writer.writerows([o.study, o.exit_code, o.message] for o in outcomes)
    return text.getvalue()
