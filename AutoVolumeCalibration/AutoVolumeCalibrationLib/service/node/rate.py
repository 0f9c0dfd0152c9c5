"""How fast one peer may send: faster ones wait for their answers, and lose nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable


class RateLimit:
    """Slots of equal distance for each peer, after a second's worth that are free at once.

    A peer that waits for one answer before it sends the next image waits ``1 / per_second`` at most; one with several
    associations waits that long for each of them.

    Args:
        per_second: images from one peer.
    """

    def __init__(self, per_second: float) -> None:
        self._interval_s = 1.0 / per_second
        self._next_s: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def wait(self, peer: Hashable) -> float:
        """Wait for the peer's next slot; returns the seconds that it took."""
        seconds = self._reserve(peer, time.monotonic())
        if seconds > 0:
            time.sleep(seconds)
        return seconds

    def _reserve(self, peer: Hashable, now_s: float) -> float:
        """Take the peer's next slot; returns how far off it is."""
        with self._lock:
            slot_s = max(self._next_s.get(peer, 0.0), now_s - 1.0)
            self._next_s[peer] = slot_s + self._interval_s
        return max(0.0, slot_s - now_s)
