"""Notifies other parts of a user interface that something changed."""

from __future__ import annotations

from collections.abc import Callable


class Signal:
    """Calls its listeners, without arguments and in the order in which they were connected."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def connect(self, *listeners: Callable[[], None]) -> None:
        """Call ``listeners`` at each ``emit`` from now on."""
        self._listeners.extend(listeners)

    def disconnect_all(self) -> None:
        """Call nobody any more: the user interface is closing."""
        self._listeners = []

    def emit(self) -> None:
        """Call every listener once; one that is connected meanwhile waits for the next time."""
        for listener in tuple(self._listeners):
            listener()
