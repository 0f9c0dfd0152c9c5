"""``autovolume knees``: label maps of simulated knees, to train on with ``train --labels``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .run_arguments import at_least


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    knees = commands.add_parser("knees", description="Write label maps of random knees, for train --labels")
    knees.add_argument("--atlas", required=True, type=Path, metavar="FILE", help="label map of the SPL knee atlas")
    knees.add_argument("--output", required=True, type=Path, metavar="DIR", help="label maps (those there are kept)")
    knees.add_argument(
        "--anatomy", type=Path, metavar="FILE", help="anatomy JSON to draw shapes from (default: shipped)"
    )
    knees.add_argument("--count", type=at_least(1), default=96, metavar="N", help="knees (default: 96)")
    knees.add_argument(
        "--people", type=Path, metavar="DIR", help="instead: shapes of the people in DIR who are kept for the test"
    )
    knees.add_argument("--seed", type=at_least(0), default=0)
    knees.set_defaults(run=run_knees)


def run_knees(arguments: argparse.Namespace) -> int:
    """``autovolume knees``."""
    from AutoVolumeCalibrationLib.core.files.resources import resource_path

    from ..core.simulator.knees.pool import write_kept_back, write_knees

    anatomy = arguments.anatomy or resource_path("Anatomies", "knee.json")
    if arguments.people:
        paths = write_kept_back(arguments.atlas, anatomy, arguments.people, arguments.output, arguments.seed)
    else:
        paths = write_knees(arguments.atlas, anatomy, arguments.output, arguments.count, arguments.seed)
    for path in paths:
        print(path, flush=True)
    return 0
