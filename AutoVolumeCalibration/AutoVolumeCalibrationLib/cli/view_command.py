"""``view``: correct a plan in a web browser, in Slicer's own views."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .console import ProgressLine, print_notes, say
from .planning_commands import (
    add_planning_flags,
    choose_for_scouts,
    choose_protocol,
    plan_scouts,
    positive_number,
    read_scout_study,
    recognised_text,
)

if TYPE_CHECKING:
    from ..browser.opened import OpenedPlan


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    view = commands.add_parser("view", description="Correct a plan in a web browser on this machine")
    view.add_argument(
        "scouts", nargs="+", metavar="PLAN|SCOUT", help="output folder of calibrate, or scouts to be planned first"
    )
    view.add_argument(
        "--output", type=Path, metavar="DIR", help="where to save (default: the folder of PLAN; scouts: nowhere)"
    )
    view.add_argument("--port", type=int, default=0, metavar="N", help="of the page (default: any free one)")
    view.add_argument(
        "--close-after",
        type=positive_number,
        metavar="S",
        help="end when no window has shown the page for S seconds (default: only with Ctrl-C)",
    )
    add_planning_flags(view)
    view.set_defaults(run=run_view)


def run_view(arguments: argparse.Namespace) -> int:
    """``autovolume view``; 0 where it was stopped, by Ctrl-C, SIGTERM or ``--close-after``."""
    from ..browser.needs import require_packages
    from ..browser.serving import require_port, serve

    require_packages()
    require_port(arguments.port)
    opened = _opened(arguments)
    try:
        serve(opened, arguments.port, _print_address, arguments.close_after)
    except KeyboardInterrupt:
        return 0
    return 0


def _print_address(address: str) -> None:
    say(f"Open this address in a browser on this machine, in one window:\n  {address}\nEnd with Ctrl-C.")


def _opened(arguments: argparse.Namespace) -> OpenedPlan:
    """The plan in the folder, or one of the scouts."""
    from ..core.errors import ExistsError, UsageError
    from ..core.files.output_folder import require_place
    from ..core.storage.results import CALIBRATION_FILE, PLAN_FILES

    if arguments.output:
        try:
            require_place(arguments.output, overwrite=False, names=PLAN_FILES)
        except ExistsError as error:
            remedy = f"Choose another folder, or view the plan in it: autovolume view {arguments.output}"
            raise UsageError(error.what, source=error.source, remedy=remedy) from error
    first = Path(arguments.scouts[0])
    if len(arguments.scouts) == 1 and (first / CALIBRATION_FILE).is_file():
        return _saved(first, arguments)
    plans = sorted(path.parent for path in first.glob(f"*/{CALIBRATION_FILE}")) if len(arguments.scouts) == 1 else []
    if plans:
        what = f"holds {len(plans)} folders with plans"
        raise UsageError(what, source=str(first), remedy=f"Name one of them: autovolume view {plans[0]}")
    return _planned(arguments)


def _saved(folder: Path, arguments: argparse.Namespace) -> OpenedPlan:
    from ..browser.opened import OpenedPlan
    from ..core.storage.results import read_results
    from ..core.workflow.saved_plan import reopen

    _require_no_planning(arguments)
    saved = read_results(folder)
    return OpenedPlan(reopen(folder), arguments.output or folder, saved.sources, saved.study)


def _planned(arguments: argparse.Namespace) -> OpenedPlan:
    from ..browser.opened import OpenedPlan

    named_protocol = choose_protocol(arguments)
    with ProgressLine() as progress:
        study, read_s = read_scout_study(arguments, progress)
        choice, timings_s = choose_for_scouts(arguments, study, read_s, named_protocol, progress)
        plan = plan_scouts(arguments, study, choice, timings_s, progress=progress)
    print_notes([*study.notes, *([recognised_text(choice)] if choice.looked else [])])
    return OpenedPlan(plan, arguments.output, tuple(str(Path(one).absolute()) for one in arguments.scouts))


def _require_no_planning(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a flag that only planning from scouts uses."""
    from ..core.errors import UsageError

    for flag in ("protocol", "box", "model", "series", "force"):
        if getattr(arguments, flag):
            raise UsageError(f"--{flag} has no effect on a plan", remedy="Leave it out, or give the scouts instead.")
