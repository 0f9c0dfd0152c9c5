"""Log: the output of the process."""

from __future__ import annotations

import qt

from ..core.runs.run_process import ERRORS_FILE, OUTPUT_FILE
from .current_run import CurrentRun

LINES = 200


class LogSection:
    """Shows the last lines while the section is open."""

    def __init__(self, ui, run: CurrentRun) -> None:
        self._ui, self._run = ui, run
        ui.logSection.connect("contentsCollapsed(bool)", lambda _collapsed: self.update())

    def update(self) -> None:
        """Show the latest output."""
        if self._ui.logSection.collapsed:
            return
        parts = [self._run.tail(OUTPUT_FILE, LINES), self._run.tail(ERRORS_FILE, LINES)]
        text = "\n".join(part for part in parts if part)
        if self._ui.logText.plainText != text:
            self._ui.logText.plainText = text
            self._ui.logText.moveCursor(qt.QTextCursor.End)
