"""The command line: ``autovolume COMMAND ...``, the same flags in plain Python and in Slicer.

In Slicer: ``Slicer --no-main-window --python-script .../AutoVolumeCalibrationLib/cli/main.py calibrate ...``.

Exit codes: 0 planned; 2 bad usage; 3 unreadable or unsuitable input; 4 model or protocol problem;
5 planned, but a check found an error; 130 cancelled.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

CANCELLED_CODE, CHECK_ERROR_CODE = 130, 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Expected failures become one line on stderr."""
    from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, Cancelled

    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        arguments = _parser().parse_args(argv)
        return arguments.run(arguments)
    except AutoVolumeError as error:
        return _failed(str(error), error.exit_code)
    except (Cancelled, KeyboardInterrupt):
        return _failed("cancelled, nothing was written", CANCELLED_CODE)
    except BrokenPipeError:
        # Whoever read our output has gone (``| head``); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        return _failed(f"the Python package {error.name} is missing: pip install {error.name}", 4)
    except MemoryError:
        return _failed("not enough memory for this input", 3)
    except SystemExit as stop:  # argparse: 2 for bad usage, 0 for --help
        return stop.code if isinstance(stop.code, int) else 2


def entry_point() -> None:
    """The console command."""
    _let_terminate_cancel()
    sys.exit(main(sys.argv[1:]))


def _failed(message: str, code: int) -> int:
    print(f"autovolume: {message}", file=sys.stderr)
    return code


def _let_terminate_cancel() -> None:
    """SIGTERM ends a command like Ctrl-C, so that it leaves no half-written output."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _parser() -> argparse.ArgumentParser:
    from AutoVolumeCalibrationLib import __version__
    from AutoVolumeCalibrationLib.cli import batch_command, listing_commands, planning_commands

    parser = argparse.ArgumentParser(
        prog="autovolume", description="From three-plane MRI scouts to an oriented scan box. Research use only."
    )
    parser.add_argument("--version", action="version", version=f"autovolume {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    planning_commands.register(commands)
    batch_command.register(commands)
    listing_commands.register(commands)
    _register_training(commands)
    return parser


def _register_training(commands: argparse._SubParsersAction) -> None:
    """Offer the training commands where that package is installed; importing it costs nothing heavy."""
    try:
        from LandmarkTrainingLib.cli import commands as training
    except ModuleNotFoundError as error:
        if error.name != "LandmarkTrainingLib":
            raise
        return
    training.register(commands)


def _find_packages() -> None:
    """Run as a file, the packages' folders are not on the path: they lie two folders up, or beside that one."""
    script = Path(globals().get("__file__", sys.argv[0])).resolve()
    modules = script.parents[2]
    for folder in (modules, modules.parent / "LandmarkTraining"):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


if __name__ == "__main__":
    _find_packages()
    # Slicer does not exit when a script ends or raises: always leave by sys.exit.
    entry_point()
