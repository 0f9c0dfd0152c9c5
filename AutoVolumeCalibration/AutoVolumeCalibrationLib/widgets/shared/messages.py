"""Dialogs that say what went wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import slicer
import slicer.util
from slicer.i18n import tr as _

from ...core.errors import AutoVolumeError, Cancelled

_log = logging.getLogger(__name__)


class Messages:
    """Error dialogs under the title of one module."""

    def __init__(self, title: str) -> None:
        self._title = title

    def show(self, text: str, details: str = "") -> None:
        """A short text, with details behind a button; in the log where the application has no window."""
        more = {"detailedText": details} if details else {}
        slicer.util.errorDisplay(text, windowTitle=_(self._title), **more)

    def show_error(self, error: Exception) -> str:
        """Show an error to the user, and its details in the log; gives the short text."""
        text, details = describe(error)
        if details:
            _log.error(details)
        self.show(text, details)
        return text

    @contextmanager
    def errors_shown(self) -> Iterator[None]:
        """Show the errors of the body that the user can correct. A cancel is not one; bugs go on to the application."""
        try:
            yield
        except Cancelled:
            return
        except AutoVolumeError as error:
            self.show_error(error)


def describe(error: Exception) -> tuple[str, str]:
    """(one or two sentences for the user, details for a developer; empty where the sentences say all)."""
    if isinstance(error, AutoVolumeError):
        return str(error), ""
    if isinstance(error, MemoryError):
        return _("Not enough memory. Close other programs, or give fewer or smaller images."), ""
    if isinstance(error, ImportError):
        return _import_failure(error), _details(error)
    text = _("Internal error: {error}. Please report the details.")
    return text.format(error=error or type(error).__name__), _details(error)


def _import_failure(error: ImportError) -> str:
    """A package is missing, too old or broken: never the fault of the user's data."""
    if (error.name or "").startswith("pydicom"):
        text = _("DICOM needs pydicom 3, which comes with Slicer 5.12: use Slicer 5.12 or later.")
    elif isinstance(error, ModuleNotFoundError):
        text = _("The Python package {name} is missing. Install it and start Slicer again.")
    else:
        text = _("The Python package {name} cannot be loaded ({error}). Install it again and start Slicer again.")
    return text.format(name=error.name or _("in question"), error=error)


def _details(error: Exception) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
