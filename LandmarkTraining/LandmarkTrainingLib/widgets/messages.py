"""Error dialogs under the title of this module."""

from __future__ import annotations

from AutoVolumeCalibrationLib.widgets.shared.messages import Messages

_MESSAGES = Messages("Landmark Training")

errors_shown, show, show_error = _MESSAGES.errors_shown, _MESSAGES.show, _MESSAGES.show_error
