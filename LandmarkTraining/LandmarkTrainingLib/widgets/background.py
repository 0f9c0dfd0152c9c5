"""One job in a thread, so that the window stays alive; its outcome is told in the main thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import qt

POLL_MS = 20
#: In Slicer a Python thread only runs while the main thread waits in Python, so each poll waits a little for it.
WAIT_S = 0.03


class BackgroundJob:
    """Calls ``work()`` in a thread, then ``on_end(future)`` in the main thread, unless it was abandoned.

    ``work`` must leave the scene and the widgets alone.
    """

    def __init__(self, work: Callable[[], Any], on_end: Callable[[Future], None]) -> None:
        self._on_end = on_end
        executor = ThreadPoolExecutor(1, thread_name_prefix="LandmarkTraining")
        self._future = executor.submit(work)
        executor.shutdown(wait=False)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self._poll)
        self._timer.start()

    def abandon(self) -> None:
        """Nothing is told any more."""
        self._timer.stop()

    def _poll(self) -> None:
        wait([self._future], WAIT_S)
        if self._future.done():
            self._timer.stop()
            self._on_end(self._future)
