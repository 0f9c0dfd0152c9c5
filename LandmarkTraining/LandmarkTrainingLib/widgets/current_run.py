"""Watches a process: a training or a comparison. The process does not depend on the window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import qt

from AutoVolumeCalibrationLib.mrml.signal import Signal

from ..core.runs.run_process import Outcome, RunProcess
from ..core.runs.run_watch import RunWatch

POLL_MS = 1000


class CurrentRun:
    """The run that is shown, if any.

    Attributes:
        watch: its log and pictures; None where no run is shown.
        outcome: its state at the last look; None where no run is shown.
        stopping: the user asked it to stop.
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

    def require_process(self) -> RunProcess:
        """The process of the run, for actions that are disabled where no run is shown."""
        if self._process is None:
            raise RuntimeError("this action needs a run")
        return self._process

    def require_watch(self) -> RunWatch:
        """Log and pictures of the run, for actions that are disabled where no run is shown."""
        if self.watch is None:
            raise RuntimeError("this action needs a run")
        return self.watch

    def start(self, folder: Path, command: Sequence[str]) -> None:
        """Run ``command`` in ``folder`` and show it; UsageError where it cannot be started."""
        self._show(RunProcess.start(folder, command))

    def attach(self, folder: Path) -> None:
        """Show the run of a folder, which may be running, ended, or not started yet."""
        self._show(RunProcess(folder))

    def forget(self) -> None:
        """Stop showing the run; a running process goes on."""
        self._timer.stop()
        self._process = self.watch = self.outcome = None
        self.stopping = False
        self.changed.emit()

    def stop(self) -> None:
        """Ask it to end with a checkpoint; asked twice, it ends at once."""
        if self.stopping:
            self.require_process().kill()
        else:
            self.stopping = True
            self.require_process().stop()
        self.changed.emit()

    def close(self) -> None:
        """The window closes; a running process goes on."""
        self._timer.stop()
        self.changed.disconnect_all()

    def look(self) -> None:
        """Read what is new."""
        outcome = self.require_process().outcome()
        changed = self.require_watch().read()  # after the outcome: what it wrote last is read too
        if changed or outcome is not self.outcome:
            self.outcome = outcome
            if not self.running:
                self._timer.stop()
                self.stopping = False
            self.changed.emit()

    def error_text(self) -> str:
        return self.require_process().error_text()

    def tail(self, name: str, lines: int) -> str:
        """The last lines of one of its files, "" where no run is shown."""
        return self._process.tail(name, lines) if self._process else ""

    def _show(self, process: RunProcess) -> None:
        self._process, self.watch = process, RunWatch(process.folder)
        self.outcome, self.stopping = None, False
        self._timer.start()
        self.look()
