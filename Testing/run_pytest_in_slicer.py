"""Runs the test suite inside the Slicer application; outside, it is the same as ``python -m pytest``.

    Slicer --testing --no-splash --no-main-window \\
        --additional-module-paths AutoVolumeCalibration LandmarkTraining \\
        --python-script Testing/run_pytest_in_slicer.py Testing -q

Tests of the stand-ins skip themselves there; those that need another package than Slicer's own skip or say so. pytest
has to be in Slicer's Python: ``PythonSlicer -m pip install pytest``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
USAGE_CODE = 2


def main(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments from the repository's root; gives its exit code."""
    try:
        import pytest
    except ModuleNotFoundError:
        print("pytest is missing: run PythonSlicer -m pip install pytest", file=sys.stderr)
        return USAGE_CODE
    os.chdir(ROOT)
    # Slicer may run from a read-only place, and its console is no terminal.
    return int(pytest.main([f"--rootdir={ROOT}", "-p", "no:cacheprovider", "--color=no", *arguments]))


def entry_point() -> NoReturn:
    """Always leave by ``sys.exit``: Slicer goes on running when a script ends or raises."""
    code = 1
    try:
        code = main(sys.argv[1:])
    finally:
        sys.exit(code)


if __name__ == "__main__":
    entry_point()
