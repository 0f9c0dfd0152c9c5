"""Runs the long jobs of the panel, one at a time, with progress bar, cancel button and status line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from slicer.i18n import tr as _

from ..core.errors import AutoVolumeError, Cancelled
from ..mrml.signal import Signal
from .messages import show_error
from .shared.background_job import BackgroundJob, IsCancelled, Progress

_COLOR = {False: "", True: "color: #d03030;"}


class JobRunner:
    """Runs one job at a time.

    Attributes:
        changed: emitted whenever a job starts or ends.
    """

    def __init__(self, ui) -> None:
        self._ui = ui
        self._job: BackgroundJob | None = None
        self.changed = Signal()
        ui.cancelButton.connect("clicked()", self.cancel)
        self._show_idle()

    @property
    def busy(self) -> bool:
        return self._job is not None

    def start(self, title: str, work: Callable[[Progress, IsCancelled], Any], on_done: Callable[[Any], None]) -> None:
        """Call ``work(progress, cancelled)`` in a thread and ``on_done(result)`` in the main thread.

        Errors of both are shown; after a cancel nothing changes.
        """
        self.show_status(title)
        self._ui.progressBar.setRange(0, 0)
        self._ui.progressBar.visible = self._ui.cancelButton.visible = True
        self._ui.cancelButton.enabled = True
        self._ui.calibrateButton.visible = self._ui.byHandButton.visible = False
        self._job = BackgroundJob(
            work,
            on_progress=self._on_progress,
            on_done=lambda result: self._finish(lambda: on_done(result)),
            on_cancelled=lambda: self._finish(lambda: self.show_status(_("Cancelled. Nothing was changed."))),
            on_failed=lambda error: self._finish(lambda: self.fail(error)),
        )
        self.changed.emit()

    def cancel(self) -> None:
        """Stop the job as soon as it asks whether it should."""
        if self._job is not None:
            self._job.cancel()
            self._ui.cancelButton.enabled = False
            self.show_status(_("Cancelling..."))

    def abandon(self) -> None:
        """Forget the job: the scene or the panel closes."""
        if self._job is not None:
            self._job.abandon()
            self._job = None
            self._show_idle()
            self.changed.emit()

    def show_status(self, text: str, *, wrong: bool = False) -> None:
        """Show ``text`` in the status line."""
        self._ui.statusLabel.text = text
        self._ui.statusLabel.styleSheet = _COLOR[wrong]

    @contextmanager
    def errors_shown(self) -> Iterator[None]:
        """Show the errors of the body that the user can correct, as ``fail`` does. A cancel is not one."""
        try:
            yield
        except Cancelled:
            return
        except (AutoVolumeError, ImportError) as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Show an error in a dialog, and in the status line, where it stays."""
        self.show_status(show_error(error), wrong=True)

    def _on_progress(self, fraction: float) -> None:
        self._ui.progressBar.setRange(0, 100)
        self._ui.progressBar.value = round(100 * fraction)

    def _finish(self, report: Callable[[], None]) -> None:
        self._job = None
        self._show_idle()
        try:
            report()
        except Exception as error:  # noqa: BLE001 - shown here, a timer has no caller to handle it
            self.fail(error)
        self.changed.emit()

    def _show_idle(self) -> None:
        self._ui.progressBar.visible = self._ui.cancelButton.visible = False
        self._ui.calibrateButton.visible = self._ui.byHandButton.visible = True
