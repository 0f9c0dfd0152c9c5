"""``calibrate``, ``refit`` and ``check``: scouts in, plan out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .console import ProgressLine, print_plan

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.calibration import Calibration
    from AutoVolumeCalibrationLib.core.landmarks import Landmark

#: A point of a file that lies further than this from where it was written has been moved.
MOVED_MM = 0.01

DEFAULT_PROTOCOL = "BrainAcPc"


def register(commands: argparse._SubParsersAction) -> None:
    """Add the three commands."""
    calibrate = commands.add_parser("calibrate", help="find landmarks on scouts and plan the scan box")
    calibrate.add_argument("scouts", nargs="+", metavar="SCOUT", help="DICOM folder or file, or image file")
    calibrate.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder for the results")
    add_planning_flags(calibrate)
    calibrate.add_argument("--landmarks", type=Path, metavar="FILE", help="placed points (.mrk.json, .fcsv) that hold")
    calibrate.add_argument("--scene", action="store_true", help="write scene.mrb for Slicer too")
    calibrate.add_argument("--overwrite", action="store_true", help="replace results in DIR")
    calibrate.set_defaults(run=run_calibrate)

    refit = commands.add_parser("refit", help="plan again from corrected points, without the network")
    refit.add_argument("folder", type=Path, metavar="DIR", help="folder that calibrate wrote")
    refit.add_argument("--landmarks", required=True, type=Path, metavar="FILE", help="the points, some of them moved")
    refit.set_defaults(run=run_refit)

    check = commands.add_parser("check", help="can these scouts be planned on?")
    check.add_argument("scouts", nargs="+", metavar="SCOUT")
    add_planning_flags(check)
    check.set_defaults(run=run_check)


def add_planning_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that plans from scouts."""
    parser.add_argument("--protocol", default=DEFAULT_PROTOCOL, metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument("--box", metavar="NAME", help="one of the protocol's boxes (default: its first)")
    parser.add_argument("--model", metavar="NAME|DIR", help="model bundle (default: the one that is shipped)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--force", action="store_true", help="accept other modalities than MR")


def run_calibrate(arguments: argparse.Namespace) -> int:
    """``autovolume calibrate``."""
    from AutoVolumeCalibrationLib.core.results import require_place

    require_place(arguments.output, arguments.overwrite)
    calibration = plan_scouts(arguments, arguments.landmarks)
    write_plan(calibration, arguments.output, arguments.scouts, overwrite=True, scene=arguments.scene)
    return print_plan(calibration, arguments.output)


def run_refit(arguments: argparse.Namespace) -> int:
    """``autovolume refit``."""
    from AutoVolumeCalibrationLib.core.errors import InputError
    from AutoVolumeCalibrationLib.core.pipeline import plan_from_landmarks
    from AutoVolumeCalibrationLib.core.protocols import load_protocol
    from AutoVolumeCalibrationLib.core.readers import read_scouts
    from AutoVolumeCalibrationLib.core.results import SCENE_FILE, read_results

    saved = read_results(arguments.folder)
    corrections = corrections_of(arguments.landmarks, saved.landmarks)
    if not saved.sources:
        raise InputError("does not name its scouts", source=str(arguments.folder), remedy="Run calibrate again.")
    calibration = plan_from_landmarks(
        read_scouts(saved.sources, force=True),
        load_protocol(saved.protocol),
        corrections,
        predicted=saved.predicted,
        model=saved.model,
        box=saved.box.name,
        timings_s=saved.timings_s,
    )
    has_scene = (arguments.folder / SCENE_FILE).exists()
    write_plan(calibration, arguments.folder, saved.sources, overwrite=True, scene=has_scene)
    return print_plan(calibration, arguments.folder)


def run_check(arguments: argparse.Namespace) -> int:
    """``autovolume check``: the quality gate only; nothing is written."""
    return print_plan(plan_scouts(arguments), None)


def plan_scouts(arguments: argparse.Namespace, landmarks: Path | None = None) -> Calibration:
    """Read, detect and plan as the flags say; points of the file ``landmarks`` hold."""
    from AutoVolumeCalibrationLib.core.bundles import DEFAULT_MODEL, load_model
    from AutoVolumeCalibrationLib.core.pipeline import calibrate
    from AutoVolumeCalibrationLib.core.protocols import box_rule, load_protocol
    from AutoVolumeCalibrationLib.core.readers import read_scouts

    protocol = load_protocol(arguments.protocol)
    box_rule(protocol, arguments.box)
    placed = corrections_of(landmarks, ()) if landmarks else []
    with ProgressLine() as progress:
        started = time.perf_counter()
        progress("reading scouts")
        stacks = read_scouts(arguments.scouts, force=arguments.force)
        read_s = time.perf_counter() - started
        progress("loading model")
        model = load_model(arguments.model or DEFAULT_MODEL, arguments.device)
        result = calibrate(
            stacks,
            protocol,
            model,
            box=arguments.box,
            corrections=placed,
            progress=lambda part: progress(f"finding landmarks {part:.0%}"),
        )
    timings = {"read": read_s, **result.timings_s}
    return replace(result, timings_s={**timings, "total": timings["total"] + read_s})


def write_plan(
    calibration: Calibration, folder: Path, sources: Sequence[Path | str], *, overwrite: bool, scene: bool
) -> None:
    """The four files of a plan and, if wanted, the scene; all or none."""
    from AutoVolumeCalibrationLib.core.overview import draw_overview
    from AutoVolumeCalibrationLib.core.results import OVERVIEW_FILE, SCENE_FILE, write_results

    drawings = {OVERVIEW_FILE: draw_overview}
    if scene:
        from AutoVolumeCalibrationLib.mrml.scene_file import save_scene

        drawings[SCENE_FILE] = save_scene
    write_results(calibration, folder, overwrite=overwrite, sources=sources, drawings=drawings)


def corrections_of(path: Path, saved: Sequence[Landmark]) -> list[Landmark]:
    """What a person changed in a point file.

    A point that lies where ``saved`` has it as a prediction is none; a point that was moved or placed is a
    correction; one that the file lists without a place was marked missing.

    Raises:
        InputError: the file cannot be read.
    """
    import numpy as np

    from AutoVolumeCalibrationLib.core.landmarks import CORRECTED, MISSING, Landmark
    from AutoVolumeCalibrationLib.core.markups_json import read_landmarks

    before = {mark.name: mark for mark in saved}
    corrections = []
    for point in read_landmarks(path):
        known = before.get(point.name, Landmark(point.name))
        if point.position_mm is None:
            if known.status != MISSING:
                corrections.append(Landmark(point.name))
            continue
        moved = known.position_mm is None or np.linalg.norm(point.position_mm - known.position_mm) > MOVED_MM
        if moved or known.status == CORRECTED:
            corrections.append(known.corrected(point.position_mm))
    return corrections
