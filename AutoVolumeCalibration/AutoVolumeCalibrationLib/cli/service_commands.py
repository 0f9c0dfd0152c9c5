"""``serve`` and ``watch``: plan what arrives, by DICOM or in a folder."""

from __future__ import annotations

import argparse
import logging
from contextlib import closing
from pathlib import Path

from .batch_command import plan_request
from .console import say
from .planning_commands import add_planning_flags
from .stopping import STOPPED


def register(commands: argparse._SubParsersAction) -> None:
    """Add the two commands."""
    serve = commands.add_parser("serve", description="Run a DICOM node that plans every localizer it receives")
    serve.add_argument("configuration", type=Path, metavar="CONFIG.toml", help="see docs/service.md")
    serve.add_argument("--check-config", action="store_true", help="only say whether the configuration is good")
    serve.set_defaults(run=run_serve)

    watch = commands.add_parser("watch", description="Plan every study folder that appears in a folder")
    watch.add_argument("folder", type=Path, metavar="FOLDER", help="with a sub-folder for each study")
    watch.add_argument("--output", required=True, type=Path, metavar="DIR", help="one sub-folder per study")
    add_planning_flags(watch)
    watch.add_argument(
        "--quiet",
        type=float,
        default=10.0,
        metavar="S",
        help="a folder without new files for so long is complete (default: 10)",
    )
    watch.set_defaults(run=run_watch)


def run_serve(arguments: argparse.Namespace) -> int:
    """``autovolume serve``; 0 where it was stopped, by Ctrl-C or SIGTERM."""
    from ..service.node.configuration import read_configuration
    from ..service.node.serving import check, serve

    configuration = read_configuration(arguments.configuration)
    if arguments.check_config:
        check(configuration)
        say(f"{configuration.title} would listen on {configuration.host}:{configuration.port}")
        return 0
    logging.getLogger("AutoVolumeCalibrationLib").setLevel(logging.INFO)
    try:
        serve(configuration, STOPPED.is_set)
    except KeyboardInterrupt:
        return 0
    return 0


def run_watch(arguments: argparse.Namespace) -> int:
    """``autovolume watch``; 0 where it was stopped."""
    from ..core.errors import UsageError
    from ..core.files.output_folder import require_place
    from ..service.engine.limits import Limits
    from ..service.node.serving import watch

    if not arguments.folder.is_dir():
        raise UsageError("is not a folder", source=str(arguments.folder), remedy="Create it, or name another one.")
    require_place(arguments.output, overwrite=True)
    request = plan_request(arguments)
    try:
        limits = Limits(600.0)
        watched = watch(arguments.folder, arguments.output, request, limits, arguments.quiet, STOPPED.is_set)
        with closing(watched) as outcomes:
            for outcome in outcomes:
                say(f"{outcome.study}: {outcome.message} [{outcome.seconds:.1f} s]")
    except KeyboardInterrupt:
        return 0
    return 0
