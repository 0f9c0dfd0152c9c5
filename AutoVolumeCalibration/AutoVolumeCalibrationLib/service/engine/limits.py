"""Limits of time and memory for one study: a process that exceeds one ends itself, and leaves the reason."""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: How often the memory is measured.
_INTERVAL_S = 0.1

_EXCEEDED_CODE = 1


@dataclass(frozen=True)
class Limits:
    """What a study may take; None for no limit.

    Attributes:
        seconds: of time.
        memory_gb: of memory of the whole worker process, in GiB.
    """

    seconds: float | None = None
    memory_gb: float | None = None


@contextmanager
def memory_limit(limit_gb: float | None, exceeded: Callable[[str, float], None]) -> Iterator[None]:
    """End this process where it needs more than ``limit_gb`` GiB while the body runs; None for no limit.

    Args:
        exceeded: called with the reason and the limit before.
    """
    if limit_gb is None:
        yield
        return
    stop = threading.Event()
    threading.Thread(target=_watch_memory, args=(limit_gb, exceeded, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()


@contextmanager
def time_limit(seconds: float | None, stacks: Path) -> Iterator[None]:
    """End this process where the body takes longer; None for no limit.

    Args:
        stacks: file that is left where the time is over: where the study was. It is the only sign, because what ends
            the process must not need the interpreter, which a library may hold for ever.
    """
    if seconds is None:
        yield
        return
    try:
        with open(stacks, "w", encoding="utf-8") as file:
            faulthandler.dump_traceback_later(seconds, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
    finally:
        stacks.unlink(missing_ok=True)


def _watch_memory(limit_gb: float, exceeded: Callable[[str, float], None], stop: threading.Event) -> None:
    import psutil

    process = psutil.Process()
    while not stop.wait(_INTERVAL_S):
        if process.memory_info().rss > limit_gb * 2**30:
            try:
                exceeded(f"needed more than {limit_gb:g} GB of memory", limit_gb)
            finally:
                os._exit(_EXCEEDED_CODE)
