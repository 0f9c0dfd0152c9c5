"""``autovolume dataset``: make data sets to train on, check them, and learn a site's box rule from them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .run_arguments import at_least

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

    from ..core.datasets.building import Candidate, Skipped

#: Exit code of a check that found errors in the data set.
FOUND_ERRORS_CODE = 3


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    dataset = commands.add_parser("dataset", description="Build a data set to train on, and check it")
    kinds = dataset.add_subparsers(required=True, metavar="COMMAND")
    _register_build(kinds)
    _register_check(kinds)
    _register_protocol(kinds)


def _add_kind(kinds: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    """Add a sub-command with ``text`` in the list of sub-commands and as the first line of its own help."""
    return kinds.add_parser(name, help=text, description=text)


def _register_build(kinds: argparse._SubParsersAction) -> None:
    build = _add_kind(kinds, "build", "Add studies from files or an archive to a data set, new or not")
    build.add_argument("--output", required=True, type=Path, metavar="DATASET")
    source = build.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--scouts",
        type=Path,
        metavar="FOLDER",
        help="scouts with point files (.mrk.json, .fcsv, .csv), one sub-folder per study, or with matching names",
    )
    source.add_argument("--volumes", type=Path, metavar="FOLDER", help="3D volumes with point files of the same name")
    source.add_argument(
        "--archive", type=Path, metavar="FOLDER", help="DICOM studies: localizers, and the boxes planned on them"
    )
    _add_protocol(build)
    build.add_argument(
        "--anatomy", metavar="NAME|FILE", help="instead of a protocol: an anatomy, or a draft of anatomy new"
    )
    build.add_argument(
        "--poses", type=at_least(1), default=10, metavar="N", help="random poses per volume (default: 10)"
    )
    build.add_argument("--slices", type=at_least(1), default=5, metavar="N", help="per plane of a volume (default: 5)")
    build.add_argument(
        "--prefix",
        default="case",
        help="of the studies' names; another one for every set of other people (default: case)",
    )
    build.add_argument("--seed", type=at_least(0), default=0, help="of the poses")
    build.add_argument(
        "--series",
        default="*",
        metavar="PATTERN",
        help="in the description of an archive's diagnostic series",
    )
    build.set_defaults(run=run_build)


def _register_check(kinds: argparse._SubParsersAction) -> None:
    check = _add_kind(kinds, "check", "Check a data set; exit code 3 where something must be corrected")
    check.add_argument("dataset", type=Path, metavar="DATASET")
    _add_protocol(check)
    check.add_argument(
        "--folds", type=int, metavar="N", help="split the subjects into this number of folds and check these too"
    )
    check.add_argument("--seed", type=at_least(0), default=0, help="of the folds")
    check.set_defaults(run=run_check)


def _register_protocol(kinds: argparse._SubParsersAction) -> None:
    protocol = _add_kind(kinds, "protocol", "Write a protocol with the box rule that a site planned its archive by")
    protocol.add_argument("dataset", type=Path, metavar="DATASET", help="made with build --archive")
    protocol.add_argument("--name", required=True, help="of the protocol: letters, digits, _")
    protocol.add_argument("--output", required=True, type=Path, metavar="FILE.json")
    _add_protocol(protocol)
    protocol.add_argument("--box", metavar="NAME", help="which of its boxes (default: the first)")
    protocol.add_argument("--model", metavar="NAME|DIR", help="finds the landmarks of studies that have none")
    protocol.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    protocol.set_defaults(run=run_protocol)


def _add_protocol(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--protocol", default="BrainAcPc", metavar="NAME|FILE", help="whose landmarks (default: BrainAcPc)"
    )


def run_build(arguments: argparse.Namespace) -> int:
    """``autovolume dataset build``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.errors import InputError
    from AutoVolumeCalibrationLib.core.storage.dataset import study_names

    from ..core.datasets.building import build_dataset
    from ..core.new_anatomy.anatomy_file import read_any_anatomy

    if arguments.anatomy:
        anatomy = read_any_anatomy(arguments.anatomy)
        name, constellation = anatomy.name, anatomy.constellation
    else:
        protocol = load_protocol(arguments.protocol)
        name, constellation = protocol.anatomy, protocol.constellation
    built = build_dataset(arguments.output, _candidates(arguments), constellation, name, arguments.prefix)
    if not built.added:
        first = f"The first: {built.skipped[0].source}: {built.skipped[0].reason}" if built.skipped else ""
        raise InputError(f"no study was added; {len(built.skipped)} left out", remedy=first)
    for name, source in built.added:
        print(f"{name}  {source}")
    for skipped in built.skipped:
        print(f"left out  {skipped.source}: {skipped.reason}")
    total = len(study_names(arguments.output))
    print(f"{arguments.output}: studies added: {len(built.added)}, left out: {len(built.skipped)}, in all: {total}")
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """``autovolume dataset check``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.storage.dataset import study_names

    from ..core.datasets.check import check_dataset, deal_folds
    from ..core.datasets.findings import has_errors, report

    protocol = load_protocol(arguments.protocol)
    folds = deal_folds(arguments.dataset, arguments.folds, arguments.seed) if arguments.folds is not None else None
    findings = check_dataset(arguments.dataset, protocol, folds)
    print(report(findings, len(study_names(arguments.dataset))), end="")
    return FOUND_ERRORS_CODE if has_errors(findings) else 0


def run_protocol(arguments: argparse.Namespace) -> int:
    """``autovolume dataset protocol``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
    from AutoVolumeCalibrationLib.core.models.anatomies import model_for
    from AutoVolumeCalibrationLib.core.models.bundle import load_model

    from ..core.datasets.habit.detected import planned_exams
    from ..core.datasets.habit.site_protocol import site_protocol
    from ..core.datasets.habit.words import habit_in_words, outliers_in_words

    if arguments.output.suffix != ".json" or arguments.output.exists():
        raise UsageError(
            "already exists" if arguments.output.exists() else "is not a valid name for a protocol file",
            source=str(arguments.output),
            remedy="Give a new file that ends in .json.",
        )
    protocol = load_protocol(arguments.protocol)

    def load() -> LandmarkModel:
        return load_model(arguments.model or model_for(protocol), arguments.device)

    exams = planned_exams(arguments.dataset, protocol, load)
    site = site_protocol(exams, protocol, name=arguments.name, title=arguments.name, box=arguments.box)
    write_text(arguments.output, site.text)
    for skipped in site.skipped:
        print(f"left out  {skipped.source}: {skipped.reason}")
    for line in (*habit_in_words(site.habit, protocol.name), *outliers_in_words(site.habit)):
        print(line)
    print(f"{arguments.output}: studies learnt from: {len(site.habit.exams)}")
    return 0


def _candidates(arguments: argparse.Namespace) -> Iterator[Candidate | Skipped]:
    from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry

    from ..core.datasets.from_archive import archive_candidates
    from ..core.datasets.from_files import scout_candidates, volume_candidates

    if arguments.scouts:
        return scout_candidates(arguments.scouts)
    if arguments.volumes:
        geometry = ScoutGeometry(slices=arguments.slices)
        return volume_candidates(arguments.volumes, geometry, arguments.poses, arguments.seed)
    return archive_candidates(arguments.archive, arguments.series)
