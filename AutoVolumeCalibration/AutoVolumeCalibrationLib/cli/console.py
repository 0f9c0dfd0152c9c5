"""What the commands show: results on stdout; progress, notes and errors on stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from AutoVolumeCalibrationLib.core.errors import in_bounds, printable

from .exit_codes import exit_code

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.scouts.series import SeriesInfo
    from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration

_LEVEL_WORDS = {"ok": "ok", "warning": "look", "error": "STOP"}


class PrintableStream:
    """A text stream for a terminal: control characters in what is printed arrive as backslash escapes.

    ``stream`` is the stream below, for what may steer the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(printable(text, keep="\n\t"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class PrintableFormatter(logging.Formatter):
    """Log lines with control characters, which names of files may hold, as backslash escapes."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


class ProgressLine:
    """One line on stderr that overwrites itself; silent where stderr is not a terminal, so that logs stay clean."""

    def __init__(self) -> None:
        # A windowed application has no stderr, or a stand-in that does not know whether it is a terminal.
        isatty = getattr(sys.stderr, "isatty", None)
        self._shown = isatty is not None and isatty()
        self._terminal = getattr(sys.stderr, "stream", sys.stderr)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=self._terminal, flush=True)

    def __call__(self, text: str) -> None:
        if self._shown:
            print(f"\r\033[K{printable(text)} ...", end="", file=self._terminal, flush=True)


@contextmanager
def writing_stdout() -> Iterator[None]:
    """Print inside. A reader that has gone (``| head``) ends the printing, not the work or its exit code.

    Raises:
        UsageError: stdout cannot be written, for example on a full disk.
    """
    from AutoVolumeCalibrationLib.core.errors import UsageError

    try:
        yield
    except OSError as error:
        # Else the rest in the buffer would fail again when Python ends, and change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise UsageError(
                f"standard output cannot be written ({error.strerror or error})", remedy="Send it elsewhere."
            ) from error


def say(text: str = "") -> None:
    """Print a line on stdout at once; see ``writing_stdout``."""
    with writing_stdout():
        print(printable(text, keep="\n\t"), flush=True)


def print_error(text: str) -> None:
    """The one line on stderr that says why a command failed."""
    print(f"autovolume: {in_bounds(printable(text))}", file=sys.stderr)


def print_notes(notes: Sequence[str]) -> None:
    """What the user should know about a command that succeeded, a line on stderr each."""
    for note in notes:
        print(f"autovolume: note: {printable(note)}", file=sys.stderr)


def print_series(series: Sequence[SeriesInfo]) -> None:
    """One line on stdout for each series or file that was found: whether it is used, what it is, and why."""
    for one in series:
        planes = ", ".join(f"{count} {plane}" for plane, count in one.planes)
        what = f"{one.kind}, {planes}" if planes else one.kind
        name = one.title if one.description in ("", one.title) else f'{one.title} "{one.description}"'
        say(f"{'used' if one.used else '-':>4}  {name}: {what}; {one.reason}")


def plan_text(calibration: Calibration) -> str:
    """The prescription, and the card of the scanner that acquired the scouts; all cards where it is not known."""
    from AutoVolumeCalibrationLib.core.report.content import side_text
    from AutoVolumeCalibrationLib.core.report.text import cards_text
    from AutoVolumeCalibrationLib.core.scouts.series_geometry import manufacturer

    side = side_text(calibration)
    text = "\n".join([calibration.prescription.to_text(), *([f"Side            {side}"] if side else [])])
    return f"{text}\n\n{cards_text(calibration, manufacturer(calibration.stacks))}"


def _print_risk(calibration: Calibration) -> None:
    """Print the risk of the plan where no check states it already."""
    from AutoVolumeCalibrationLib.core.planning.risk.finding import risk_in_words

    words = risk_in_words(calibration.risk.probability) if calibration.risk else ""
    if words and not any(words in check.message for check in calibration.checks):
        say(f"      risk: {words}")


def print_plan(calibration: Calibration, folder: Path | None) -> int:
    """Print prescription, checks and times; returns the exit code. ``folder`` is None where nothing was written."""
    if folder is not None:
        say(f"{plan_text(calibration)}\n")
    for check in calibration.checks:
        say(f"{_LEVEL_WORDS[check.level]:>4}  {check.name}: {check.message}")
    _print_risk(calibration)
    times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in calibration.timings_s.items())
    say(f"      {times}")
    if folder is not None:
        say(f"      results in {folder}")
    return exit_code(calibration.checks)
