"""Long work in a thread, so that the application stays responsive; results are handed over in the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import qt

from ...core.errors import Cancelled

POLL_MS = 20

#: In Slicer a Python thread only runs while the main thread waits in Python: the event loop keeps the interpreter's
#: lock. So each poll waits a little for the thread, which is short enough for a fluent window.
WAIT_S = 0.03

#: Receives the fraction done, 0..1.
Progress = Callable[[float], None]
#: Whether the work should stop.
IsCancelled = Callable[[], bool]


def _ignore(*_values: object) -> None:
    """Nobody wants to know."""


class BackgroundJob:
    """Calls ``work(progress, cancelled)`` in a thread, then one of ``on_done``, ``on_cancelled``, ``on_failed``.

    ``work`` must leave the scene and the widgets alone. All other callables run in the main thread, in the order
    in which things happened. A job that was cancelled ends in ``on_cancelled`` even where its work came to an end.
    """

    def __init__(
        self,
        work: Callable[[Progress, IsCancelled], Any],
        *,
        on_done: Callable[[Any], None],
        on_failed: Callable[[Exception], None],
        on_cancelled: Callable[[], None] = _ignore,
        on_progress: Progress = _ignore,
    ) -> None:
        self._work, self._on_progress = work, on_progress
        self._on_done, self._on_cancelled, self._on_failed = on_done, on_cancelled, on_failed
        self._cancel, self._fraction, self._reported = threading.Event(), 0.0, 0.0
        self._result: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="AutoVolumeCalibration", daemon=True)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)
        self._thread.start()
        self._timer.start()

    @property
    def running(self) -> bool:
        """True until the outcome was handed over."""
        return self._timer.isActive()

    def cancel(self) -> None:
        """Ask the work to stop; ``on_cancelled`` follows when it has."""
        self._cancel.set()

    def abandon(self) -> None:
        """Ask the work to stop and forget it: none of the callables is called any more."""
        self._cancel.set()
        self._timer.stop()

    def _run(self) -> None:
        try:
            self._result = self._work(self._note, self._cancel.is_set)
        except Exception as error:  # noqa: BLE001 - handed over to the main thread
            self._error = error

    def _note(self, fraction: float) -> None:
        self._fraction = fraction

    def _poll(self) -> None:
        self._thread.join(WAIT_S)
        if self._fraction != self._reported:
            self._reported = self._fraction
            self._on_progress(self._reported)
        if self._thread.is_alive():
            return
        self._timer.stop()
        if self._cancel.is_set() or isinstance(self._error, Cancelled):
            self._on_cancelled()
        elif self._error is not None:
            self._on_failed(self._error)
        else:
            self._on_done(self._result)
