"""``refit``: plan again from corrected landmarks; with ``--repredict``, rerun detection guided by them first."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..service.planning import choose_drawings, named, naming, with_total, write_plan
from .console import ProgressLine, print_notes, print_plan
from .corrections import changed_points
from .planning_commands import BACKENDS, DEVICES, add_report_flags, detection_progress, report_title

if TYPE_CHECKING:
    from ..core.anatomy.landmark import Landmark
    from ..core.workflow.calibration import Calibration


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    refit = commands.add_parser("refit", description="Plan again from corrected landmarks")
    refit.add_argument(
        "folder", type=Path, metavar="DIR", help="output folder of calibrate; the new plan replaces the one in it"
    )
    refit.add_argument(
        "--landmarks",
        required=True,
        type=Path,
        action="append",
        metavar="FILE",
        help="the landmarks, some of them corrected; may be given several times",
    )
    refit.add_argument("--scouts", nargs="+", default=(), metavar="SCOUT", help="where the scouts are, if they moved")
    refit.add_argument("--repredict", action="store_true", help="rerun detection guided by these points")
    refit.add_argument(
        "--model",
        metavar="NAME|DIR",
        help="for --repredict (default: the one that DIR was planned with, if it is installed, else the current one)",
    )
    refit.add_argument("--device", choices=DEVICES, help="for --repredict (default: auto)")
    refit.add_argument("--backend", choices=BACKENDS, help="for --repredict (default: auto)")
    add_report_flags(refit)
    refit.set_defaults(run=run_refit)


def run_refit(arguments: argparse.Namespace) -> int:
    """``autovolume refit``."""
    from ..core.anatomy.protocol_file import load_protocol
    from ..core.storage.results import read_results
    from ..core.workflow.checked_plan import with_follow_up
    from ..core.workflow.pipeline import plan_from_landmarks
    from ..core.workflow.saved_plan import stacks_of

    _require_repredict(arguments)
    saved = read_results(arguments.folder)
    drawings = choose_drawings(arguments.folder, report=report_title(arguments))
    protocol = load_protocol(saved.protocol)
    changed = changed_points(arguments.landmarks, protocol, saved.predicted, saved.landmarks)
    started = time.perf_counter()
    stacks = stacks_of(saved, arguments.folder, arguments.scouts)
    timings = {**saved.timings_s, "read": time.perf_counter() - started}
    with naming(named(arguments.landmarks)):
        calibration = plan_from_landmarks(
            stacks,
            protocol,
            changed.landmarks,
            predicted=saved.predicted,
            model=saved.model,
            box=saved.box.name,
            timings_s=timings,
            disagreeing=saved.disagreeing,
            motion=saved.motion,
            birge_ratios=saved.birge_ratios,
        )
        calibration = with_follow_up(calibration, saved.follow_up)
    if arguments.repredict:
        calibration = _repredicted(calibration, changed.landmarks, arguments)
    calibration = with_total(calibration, started)
    write_plan(calibration, arguments.folder, arguments.scouts or saved.sources, drawings, saved.study)
    print_notes(changed.notes)
    return print_plan(calibration, arguments.folder)


def _require_repredict(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a flag that only a new prediction uses."""
    from ..core.errors import UsageError

    for flag in ("model", "device", "backend"):
        if getattr(arguments, flag) and not arguments.repredict:
            raise UsageError(f"--{flag} has no effect on a refit", remedy="Give --repredict too, or leave it out.")


def _repredicted(
    calibration: Calibration, corrections: Sequence[Landmark], arguments: argparse.Namespace
) -> Calibration:
    """The plan with all landmarks that the user did not place detected again, guided by those that the user placed."""
    from ..core.models.anatomies import model_for
    from ..core.models.bundle import load_model, model_used_before
    from ..core.workflow.pipeline import repredict

    with ProgressLine() as progress, naming(str(arguments.folder)):
        started = time.perf_counter()
        progress("loading model")
        name = arguments.model or model_used_before(calibration.model) or model_for(calibration.protocol)
        model = load_model(name, arguments.device or "auto", arguments.backend or "auto")
        timings = {"read": calibration.timings_s["read"], "load": time.perf_counter() - started}
        result = repredict(calibration, corrections, model, progress=detection_progress(progress))
    return replace(result, timings_s={**timings, **result.timings_s})
