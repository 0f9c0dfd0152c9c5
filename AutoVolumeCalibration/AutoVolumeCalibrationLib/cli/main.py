"""The command line: ``autovolume COMMAND ...``, the same flags in plain Python and in Slicer.

In Slicer: ``Slicer --no-main-window --python-script .../AutoVolumeCalibrationLib/cli/main.py calibrate ...``.

Exit codes: 0 planned; 2 bad usage; 3 unreadable or unsuitable input; 4 model or protocol problem;
5 planned, but a check found an error; 130 cancelled; 1 internal error.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

#: Import name -> the distribution to install, where the two differ.
_DISTRIBUTIONS = {
    "slicer": "slicer-core",
    "vtk": "slicer-core",
    "vtkmodules": "slicer-core",
    "ignite": "pytorch-ignite",
    "trame_rca": "trame-rca",
}

#: Import name -> the extra that brings it, where more is needed than the package itself.
_EXTRAS = {
    "pynetdicom": "service",
    "trame": "browser",
    "trame_rca": "browser",
    "distributed": "cluster",
    "psutil": "cluster",
}


class _Parser(argparse.ArgumentParser):
    """Bad usage is an error like any other: one line."""

    def error(self, message: str) -> NoReturn:
        from AutoVolumeCalibrationLib.core.errors import UsageError

        raise UsageError(message, remedy=f"See {self.prog} --help.")

    def parse_known_args(self, args=None, namespace=None):
        """What a command does not know is its own error: argparse reports it for the program, without the command."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Expected failures become one line on stderr."""
    from AutoVolumeCalibrationLib.cli.console import print_error
    from AutoVolumeCalibrationLib.cli.exit_codes import INTERNAL_ERROR_CODE

    try:
        return _run(argv)
    except (Exception, KeyboardInterrupt) as error:
        code, text = _explanation(error)
        if code == INTERNAL_ERROR_CODE:
            raise
        print_error(text)
        return code


def _run(argv: Sequence[str] | None) -> int:
    from AutoVolumeCalibrationLib.cli.console import PrintableFormatter, writing_stdout
    from AutoVolumeCalibrationLib.cli.exit_codes import USAGE_CODE

    if not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(PrintableFormatter("autovolume: %(name)s: %(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.run(arguments)
    except SystemExit as stop:  # argparse after --help and --version
        return stop.code if isinstance(stop.code, int) else USAGE_CODE
    with writing_stdout():
        print(end="", flush=True)
    return code


def _explanation(error: BaseException) -> tuple[int, str]:
    """Exit code and text of what ended a command; INTERNAL_ERROR_CODE where it was not to be expected."""
    from AutoVolumeCalibrationLib.cli import exit_codes
    from AutoVolumeCalibrationLib.cli.stopping import STOPPED
    from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, Cancelled, ExistsError

    if isinstance(error, (Cancelled, KeyboardInterrupt)) or STOPPED.is_set():
        said = str(error) if isinstance(error, Cancelled) else ""
        return exit_codes.CANCELLED_CODE, said or "cancelled, nothing was written"
    if isinstance(error, ExistsError):  # the panel and Python allow overwriting in another way than a flag
        error = ExistsError(error.what, source=error.source, remedy="Choose another output, or add --overwrite.")
    if isinstance(error, AutoVolumeError):
        return exit_codes.error_exit_code(error), str(error)
    if isinstance(error, ModuleNotFoundError):
        return exit_codes.MODEL_CODE, _missing_package(error)
    if isinstance(error, MemoryError):
        return exit_codes.INPUT_CODE, "not enough memory. Close other programs or give less data."
    if isinstance(error, OSError):
        path = f"{error.filename}: " if error.filename else ""
        return (
            exit_codes.INPUT_CODE,
            f"{path}{error.strerror or error}. Check the path, its access rights and the disk.",
        )
    return exit_codes.INTERNAL_ERROR_CODE, ""


def main_or_exit(argv: Sequence[str]) -> None:
    """Run one command for a caller that only knows exceptions (a MONAI bundle): SystemExit where it fails."""
    code = main(argv)
    if code:
        sys.exit(code)


def entry_point() -> NoReturn:
    """The console command: always leaves by ``sys.exit``, because Slicer does not exit when a script raises."""
    from AutoVolumeCalibrationLib.cli.exit_codes import CANCELLED_CODE, INTERNAL_ERROR_CODE
    from AutoVolumeCalibrationLib.cli.stopping import STOPPED

    try:
        _set_up_process()
        code = main(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        if STOPPED.is_set() or isinstance(error, KeyboardInterrupt):  # before a command ran
            print("autovolume: cancelled, nothing was written", file=sys.stderr)
            raise SystemExit(CANCELLED_CODE) from error
        traceback.print_exc()
        print("autovolume: internal error: please report the lines above.", file=sys.stderr)
        raise SystemExit(INTERNAL_ERROR_CODE) from error
    sys.exit(code)


def _set_up_process() -> None:
    """Set up what suits a command but not a library: signals, warnings, characters that a terminal cannot show."""
    from AutoVolumeCalibrationLib.cli.console import PrintableStream
    from AutoVolumeCalibrationLib.cli.stopping import STOPPED

    def stop(_number: int, _frame: object) -> NoReturn:
        STOPPED.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # both end a command so that it leaves no half-written output
        if signal.getsignal(number) is not signal.SIG_IGN:  # a script's background command is not stopped by Ctrl-C
            signal.signal(number, stop)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # those of other libraries, for developers
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):  # Slicer's own streams cannot
            stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, PrintableStream(stream))


def _missing_package(error: ModuleNotFoundError) -> str:
    package = (error.name or "").partition(".")[0]
    if package in ("AutoVolumeCalibrationLib", "LandmarkTrainingLib"):
        return f"{error.name} is missing, the installation is incomplete. Install AutoVolumeCalibration again."
    from AutoVolumeCalibrationLib.core.install_remedy import install_remedy

    remedy = install_remedy(_DISTRIBUTIONS.get(package, package), _EXTRAS.get(package, ""))
    return f"the Python package {package} is missing. {remedy}"


def _parser() -> argparse.ArgumentParser:
    from AutoVolumeCalibrationLib import __version__
    from AutoVolumeCalibrationLib.cli import (
        batch_command,
        export_commands,
        listing_commands,
        planning_commands,
        refit_command,
        service_commands,
        view_command,
    )
    from AutoVolumeCalibrationLib.cli.command_groups import grouped_commands

    parser = _Parser(
        prog="autovolume",
        description="From three-plane MRI scouts to an oriented scan box. Research use only.",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps the lines of the list of commands
    )
    parser.add_argument("--version", action="version", version=f"autovolume {__version__}")
    # Commands register with a description only: argparse's own list has no groups and shows those with a help text.
    commands = parser.add_subparsers(required=True, metavar="COMMAND", help="one of the commands below")
    planning_commands.register(commands)
    refit_command.register(commands)
    view_command.register(commands)
    batch_command.register(commands)
    export_commands.register(commands)
    service_commands.register(commands)
    listing_commands.register(commands)
    _register_training(commands)
    parser.epilog = grouped_commands(commands.choices)
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
    entry_point()
