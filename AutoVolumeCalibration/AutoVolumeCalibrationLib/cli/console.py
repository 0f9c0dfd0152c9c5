"""What the commands show: a progress line on a terminal, the plan in words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.calibration import Calibration

_LEVEL_WORDS = {"ok": "ok", "warning": "look", "error": "STOP"}


class ProgressLine:
    """One line on stderr that is written over; silent where stderr is no terminal, so that logs stay clean."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def __call__(self, text: str) -> None:
        if self._shown:
            print(f"\r\033[K{text} ...", end="", file=sys.stderr, flush=True)


def print_plan(calibration: Calibration, folder: Path | None) -> int:
    """Print prescription, checks and times; returns the exit code, 5 where a check found an error."""
    from AutoVolumeCalibrationLib.cli.main import CHECK_ERROR_CODE

    if folder is not None:
        print(calibration.prescription.to_text())
        print()
    for check in calibration.checks:
        print(f"{_LEVEL_WORDS[check.level]:>4}  {check.name}: {check.message}")
    times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in calibration.timings_s.items())
    print(f"      {times}")
    if folder is not None:
        print(f"      results in {folder}")
    return CHECK_ERROR_CODE if calibration.has_errors else 0
