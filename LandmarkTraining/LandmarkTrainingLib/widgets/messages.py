"""What a person is told when something goes wrong."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import slicer
import slicer.util
from slicer.i18n import tr as _

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, Cancelled


def show_error(text: str, details: str = "") -> None:
    """A short text in a dialog, the details behind a button; in the log where there is no window."""
    more = {"detailedText": details} if details else {}
    slicer.util.errorDisplay(text, windowTitle=_("Landmark Training"), **more)


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show errors of the body that a person can mend; a cancel is none. Faults go on to the application."""
    try:
        yield
    except Cancelled:
        return
    except AutoVolumeError as error:
        show_error(str(error))


def show_failure(error: BaseException) -> None:
    """Show what ended work in a thread: in words where a person can mend it, else as a fault with its details."""
    if isinstance(error, AutoVolumeError):
        show_error(str(error))
    elif not isinstance(error, Cancelled):
        text = _("This is a fault of the program: {error}. Please report the details.")
        details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        show_error(text.format(error=error or type(error).__name__), details)
