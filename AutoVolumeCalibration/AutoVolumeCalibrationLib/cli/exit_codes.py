"""The exit codes of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
    from AutoVolumeCalibrationLib.core.planning.checks.check import Check

INTERNAL_ERROR_CODE, USAGE_CODE, INPUT_CODE, MODEL_CODE, CANCELLED_CODE = 1, 2, 3, 4, 130

#: A plan in which a check found an error.
CHECK_ERROR_CODE = 5


def exit_code(checks: Iterable[Check]) -> int:
    """0, or 5 where a check found an error."""
    return CHECK_ERROR_CODE if any(check.level == "error" for check in checks) else 0


def error_exit_code(error: AutoVolumeError) -> int:
    """The exit code of a command that failed with an expected error."""
    from AutoVolumeCalibrationLib.core.errors import ModelError, ProtocolError, UsageError

    if isinstance(error, UsageError):
        return USAGE_CODE
    if isinstance(error, (ModelError, ProtocolError)):
        return MODEL_CODE
    return INPUT_CODE
