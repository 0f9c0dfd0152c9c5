"""Child processes of tests: they, and the processes that they start, always come to an end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def started(arguments: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """A process in a session of its own; whatever of that session still runs is killed on exit."""
    process = subprocess.Popen(arguments, start_new_session=True, **options)
    try:
        yield process
    finally:
        end_session(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def run_to_end(arguments: Sequence[str], *, timeout: float, **options: Any) -> int:
    """The exit code; ``subprocess.TimeoutExpired`` after ``timeout`` seconds, with nothing left running."""
    with started(arguments, **options) as process:
        return process.wait(timeout=timeout)


def end_session(process: subprocess.Popen) -> None:
    """Kill the session that ``process`` leads, and wait for it."""
    if os.name == "nt":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
