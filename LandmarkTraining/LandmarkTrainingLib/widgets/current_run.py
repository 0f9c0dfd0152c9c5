"""A process that is watched: a training, or a comparison. It lives on without the window; this only looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import qt

from AutoVolumeCalibrationLib.widgets.shared.signal import Signal

from ..core.runs.run_process import Outcome, RunProcess
from ..core.runs.run_watch import RunWatch

POLL_MS = 1000


class CurrentRun:
    """The run that is shown, if any.

    Attributes:
        watch: its log and pictures; None where no run is shown.
        outcome: what became of it, as of the last look; None where no run is shown.
        stopping: a person asked it to stop.
        changed: emitted whenever something is new.
    """

    def __init__(self) -> None:
        self._process: RunProcess | None = None
        self.watch: RunWatch | None = None
        self.outcome: Outcome | None = None
        self.stopping = False
        self.changed = Signal()
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.look)

    @property
    def folder(self) -> Path | None:
        return self.watch.folder if self.watch else None

    @property
    def running(self) -> bool:
        return self.outcome is Outcome.RUNNING

    @property
    def can_kill(self) -> bool:
        return self._process is not None and self._process.can_kill

    def start(self, folder: Path, command: Sequence[str]) -> None:
        """Run ``command`` in ``folder`` and show it; UsageError where it cannot be started."""
        self._show(RunProcess.start(folder, command))

    def attach(self, folder: Path) -> None:
        """Show the run of a folder, which may be at work, over, or yet to begin."""
        self._show(RunProcess(folder))

    def forget(self) -> None:
        """Show no run any more; what is at work goes on."""
        self._timer.stop()
        self._process = self.watch = self.outcome = None
        self.stopping = False
        self.changed.emit()

    def stop(self) -> None:
        """Ask it to end with a checkpoint; asked twice, it ends at once."""
        if self.stopping:
            self._process.kill()
        else:
            self.stopping = True
            self._process.stop()
        self.changed.emit()

    def close(self) -> None:
        """The window goes away; what is at work goes on."""
        self._timer.stop()
        self.changed.disconnect_all()

    def look(self) -> None:
        """See what is new."""
        outcome = self._process.outcome()
        changed = self.watch.read()  # after the outcome: what it wrote last is read too
        if changed or outcome is not self.outcome:
            self.outcome = outcome
            if not self.running:
                self._timer.stop()
                self.stopping = False
            self.changed.emit()

    def error_text(self) -> str:
        return self._process.error_text()

    def tail(self, name: str, lines: int) -> str:
        """The last lines of one of its files, "" where no run is shown."""
        return self._process.tail(name, lines) if self._process else ""

    def _show(self, process: RunProcess) -> None:
        self._process, self.watch = process, RunWatch(process.folder)
        self.outcome, self.stopping = None, False
        self._timer.start()
        self.look()
