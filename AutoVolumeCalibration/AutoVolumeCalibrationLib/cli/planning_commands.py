"""``calibrate`` and ``check``: scouts in, plan out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..service.planning import (
    choose_drawings,
    claimed_folder,
    named,
    naming,
    require_text,
    with_total,
    write_plan,
)
from .console import ProgressLine, print_notes, print_plan, print_series, say
from .corrections import Corrections, placed_points

if TYPE_CHECKING:
    from ..core.anatomy.landmark import Landmark
    from ..core.anatomy.protocol import Protocol
    from ..core.models.installed_planning import Choice
    from ..core.scouts.series import ScoutStudy
    from ..core.workflow.calibration import Calibration

#: As ``core.models.backend`` has them; the core is imported only once a command runs.
DEVICES = ("auto", "cpu", "cuda", "mps")
BACKENDS = ("auto", "torch", "onnx")

BACKEND_HELP = "what runs the network (default: torch on a graphics card, else ONNX Runtime)"


def register(commands: argparse._SubParsersAction) -> None:
    """Add the two commands."""
    calibrate = commands.add_parser("calibrate", description="Plan the scan volume from these scouts")
    calibrate.add_argument("scouts", nargs="+", metavar="SCOUT", help="DICOM folder or file, or image file")
    calibrate.add_argument("--output", required=True, type=Path, metavar="DIR", help="output folder")
    add_planning_flags(calibrate)
    calibrate.add_argument(
        "--landmarks",
        type=Path,
        action="append",
        metavar="FILE",
        help="landmarks to keep fixed (.mrk.json, .fcsv), may be given several times; they also guide detection",
    )
    add_slab_flag(calibrate)
    calibrate.add_argument(
        "--baseline",
        type=Path,
        metavar="PLAN|SERIES",
        help="output folder of calibrate, or DICOM series, of an earlier visit: plan the same box in the anatomy",
    )
    calibrate.add_argument("--scene", action="store_true", help="write scene.mrb for Slicer too")
    add_report_flags(calibrate)
    calibrate.add_argument("--overwrite", action="store_true", help="replace results in DIR")
    calibrate.set_defaults(run=run_calibrate)

    check = commands.add_parser("check", description="Check whether these scouts are good enough to plan on")
    check.add_argument("scouts", nargs="+", metavar="SCOUT", help="DICOM folder or file, or image file")
    add_planning_flags(check)
    add_slab_flag(check)
    check.set_defaults(run=run_check)


def add_planning_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that plans from scouts."""
    parser.add_argument(
        "--protocol",
        metavar="NAME|FILE",
        help="default: the first one of the anatomy that is installed, or that the scouts show (BrainAcPc)",
    )
    parser.add_argument("--box", metavar="NAME", help="one of the protocol's boxes (default: its first)")
    parser.add_argument(
        "--model",
        metavar="NAME|DIR",
        help="bundle (default: the current one of the anatomy, see models)",
    )
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help=BACKEND_HELP)
    parser.add_argument(
        "--series",
        action="append",
        metavar="WHICH",
        help="number, UID or description of a DICOM series to use, may be given several times (default: the latest "
        "complete localizer, see check)",
    )
    parser.add_argument("--force", action="store_true", help="accept modalities other than MR")


def add_slab_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that keeps a site's own slices."""
    parser.add_argument(
        "--slab",
        type=Path,
        metavar="SERIES",
        help="keep slices, thickness, gap and field of view of this DICOM series; only centre and angles are planned",
    )


def run_calibrate(arguments: argparse.Namespace) -> int:
    """``autovolume calibrate``."""
    from ..core.files.atomic_write import write_text
    from ..core.files.regular_file import require_there

    if arguments.baseline:
        require_there(arguments.baseline)
    with claimed_folder(arguments.output, arguments.overwrite):
        drawings = choose_drawings(arguments.output, arguments.scene, report_title(arguments))
        named_protocol = choose_protocol(arguments)
        with ProgressLine() as progress:
            study, read_s = read_scout_study(arguments, progress)
            choice, timings_s = choose_for_scouts(arguments, study, read_s, named_protocol, progress)
            if arguments.slab:
                protocol, text = keep_slab(choice.protocol, arguments, arguments.output)
                choice = replace(choice, protocol=protocol)
                drawings = {**drawings, protocol.source.name: lambda _, path: write_text(path, text)}
            placed = placed_points(arguments.landmarks, choice.protocol) if arguments.landmarks else Corrections()
            calibration = plan_scouts(arguments, study, choice, timings_s, placed.landmarks, progress)
            if arguments.baseline:
                calibration = _followed(calibration, arguments, progress)
            progress("writing results")
            write_plan(calibration, arguments.output, arguments.scouts, drawings)
    print_notes((*study.notes, *placed.notes))
    if choice.looked:
        say(recognised_text(choice))
    return print_plan(calibration, arguments.output)


def run_check(arguments: argparse.Namespace) -> int:
    """``autovolume check``: what was found, and the quality gate; nothing is written."""
    from ..core.errors import InputError
    from ..core.scouts.reader import list_series

    named_protocol = choose_protocol(arguments)
    with ProgressLine() as progress:
        try:
            study, read_s = read_scout_study(arguments, progress)
        except InputError:
            # Why each series does not do helps more than the one reason why none was left.
            print_series(list_series(arguments.scouts, force=arguments.force, series=arguments.series))
            raise
        choice, timings_s = choose_for_scouts(arguments, study, read_s, named_protocol, progress)
        if arguments.slab:
            choice = replace(choice, protocol=keep_slab(choice.protocol, arguments, Path())[0])
        calibration = plan_scouts(arguments, study, choice, timings_s, progress=progress)
    print_series(study.series)
    if choice.looked:
        say(recognised_text(choice))
    return print_plan(calibration, None)


def choose_protocol(arguments: argparse.Namespace) -> Protocol | None:
    """The protocol that the flags name, or of the one anatomy that they allow; None: the scouts decide.

    Raises:
        ProtocolError: it is damaged or has no such box.
    """
    from ..core.anatomy.protocol import box_rule
    from ..core.models.anatomies import find_protocol, known_protocol

    protocol = find_protocol(arguments.protocol) if arguments.protocol else known_protocol(arguments.model)
    if protocol is not None:
        box_rule(protocol, arguments.box)
    return protocol


def choose_for_scouts(
    arguments: argparse.Namespace,
    study: ScoutStudy,
    read_s: float,
    named_protocol: Protocol | None,
    progress: Callable[[str], None],
) -> tuple[Choice, dict[str, float]]:
    """The protocol and the model for the scouts, and the seconds of the steps so far.

    Args:
        read_s: that reading took.
        named_protocol: by the flags; None where the scouts decide.

    Raises:
        InputError: they show none of the installed anatomies.
        ModelError: the model is missing or damaged.
        ProtocolError: the protocol has no such box.
    """
    from ..core.anatomy.protocol import box_rule
    from ..core.models.installed_planning import choose

    started = time.perf_counter()
    progress("loading model" if named_protocol else "recognising the anatomy")
    which = {"model": arguments.model, "device": arguments.device, "backend": arguments.backend}
    with naming_scouts(arguments):
        choice = choose(study.stacks, named_protocol, **which)
    box_rule(choice.protocol, arguments.box)
    choice = replace(choice, automatic=not arguments.protocol)
    return choice, {"read": read_s, "recognise" if choice.looked else "load": time.perf_counter() - started}


def recognised_text(choice: Choice) -> str:
    """What is printed where the scouts decided."""
    how = "recognised" if choice.sure else "probably"
    return f"{how}: {choice.protocol.anatomy}, protocol {choice.protocol.name}"


def keep_slab(protocol: Protocol, arguments: argparse.Namespace, folder: Path) -> tuple[Protocol, str]:
    """The protocol with the slab of the series that ``--slab`` names, and the text of its file in ``folder``.

    Raises:
        InputError: the series cannot be read.
        UsageError: its slices are stacked along another axis than those of the box.
    """
    from ..core.anatomy.protocol import box_rule
    from ..core.planning.protocol_editing import with_slab
    from ..core.planning.slab import slab_of_series
    from ..core.scouts.series_geometry import read_series_geometry

    rule = box_rule(protocol, arguments.box)
    slab = slab_of_series(read_series_geometry(arguments.slab, force=arguments.force), rule)
    return with_slab(protocol, rule.name, slab, folder)


def read_scout_study(
    arguments: argparse.Namespace, progress: Callable[[str], None] = lambda text: None
) -> tuple[ScoutStudy, float]:
    """The scouts that the flags name, and the seconds that reading took.

    Raises:
        InputError: naming the scouts.
    """
    from ..core.scouts.reader import read_study

    with naming_scouts(arguments):
        require_text(arguments.scouts)
        started = time.perf_counter()
        progress("reading scouts")
        study = read_study(arguments.scouts, force=arguments.force, series=arguments.series)
        return study, time.perf_counter() - started


def plan_scouts(
    arguments: argparse.Namespace,
    study: ScoutStudy,
    choice: Choice,
    timings_s: Mapping[str, float],
    placed: Sequence[Landmark] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Detect and plan as the flags say; the landmarks ``placed`` stay fixed. ``progress`` gets the step at hand.

    Args:
        timings_s: of the earlier steps.

    Raises:
        AutoVolumeError: naming the scouts or the model.
    """
    from ..core.models.installed_planning import plan_chosen

    started = time.perf_counter() - sum(timings_s.values())
    with naming_scouts(arguments):
        result = plan_chosen(
            study.stacks,
            choice,
            device=arguments.device,
            backend=arguments.backend,
            box=arguments.box,
            corrections=placed,
            progress=detection_progress(progress),
        )
    return with_total(replace(result, timings_s={**timings_s, **result.timings_s}), started)


def naming_scouts(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """Name the scouts in errors that do not say where they come from."""
    return naming(named(arguments.scouts))


def add_report_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the commands that write a plan for one study."""
    parser.add_argument("--report", action="store_true", help="write report.html too, the plan on one page to print")
    parser.add_argument(
        "--report-title",
        metavar="TEXT",
        help="write the report with this title; without one it names neither study nor files",
    )


def report_title(arguments: argparse.Namespace) -> str | None:
    """The title of the report that the flags ask for, empty for none; None where no report was asked for."""
    return arguments.report_title or ("" if arguments.report else None)


def _followed(calibration: Calibration, arguments: argparse.Namespace, progress: Callable[[str], None]) -> Calibration:
    """The plan with the box of the visit that ``--baseline`` names."""
    from ..core.models.anatomies import model_for
    from ..core.models.bundle import load_model
    from ..core.workflow.baseline import read_baseline
    from ..core.workflow.follow_up_plan import follow

    progress("comparing with the baseline")
    model = load_model(arguments.model or model_for(calibration.protocol), arguments.device, arguments.backend)
    started = time.perf_counter()
    baseline = read_baseline(arguments.baseline, calibration.protocol, model, force=arguments.force)
    with naming(str(arguments.baseline)):
        result = follow(calibration, baseline, arguments.baseline)
    return replace(result, timings_s={**calibration.timings_s, "baseline": time.perf_counter() - started})


def positive_number(word: str) -> float:
    """An argparse type: a number above 0."""
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a positive number")
    return number


def detection_progress(progress: Callable[[str], None]) -> Callable[[float], None]:
    """A callback for the fraction done, 0..1, that writes it into the line of ``progress``."""
    return lambda part: progress(f"finding landmarks {part:.0%}")
