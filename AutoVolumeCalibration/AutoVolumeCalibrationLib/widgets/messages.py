"""Error dialogs under the title of this module."""

from __future__ import annotations

from .shared.messages import Messages

_MESSAGES = Messages("Auto Volume Calibration")

errors_shown, show_error = _MESSAGES.errors_shown, _MESSAGES.show_error
