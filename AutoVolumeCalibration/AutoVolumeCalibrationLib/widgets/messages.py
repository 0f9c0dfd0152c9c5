"""What a person is told when something goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import slicer
import slicer.util
from slicer.i18n import tr as _

from ..core.errors import AutoVolumeError, Cancelled

_log = logging.getLogger(__name__)


def describe(error: Exception) -> tuple[str, str]:
    """(one or two sentences for a person, details for a developer; empty where the sentences say all)."""
    if isinstance(error, AutoVolumeError):
        return str(error), ""
    if isinstance(error, MemoryError):
        return _("Not enough memory. Close other programs, or give fewer or smaller images."), ""
    if isinstance(error, ModuleNotFoundError):
        return _("The Python package {name} is missing. Install it and start Slicer again.").format(
            name=error.name
        ), _details(error)
    return _("This is a fault of the program: {error}. Please report the details.").format(
        error=error or type(error).__name__
    ), _details(error)


def show_error(error: Exception) -> str:
    """Tell a person of it in a dialog (in the log where there is no window); gives the short text."""
    text, details = describe(error)
    if details:
        _log.error(details)
    more = {"detailedText": details} if details else {}
    slicer.util.errorDisplay(text, windowTitle=_("Auto Volume Calibration"), **more)
    return text


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show errors of the body that a person can mend; a cancel is none. Faults go on to the application."""
    try:
        yield
    except Cancelled:
        return
    except AutoVolumeError as error:
        show_error(error)


def _details(error: Exception) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
