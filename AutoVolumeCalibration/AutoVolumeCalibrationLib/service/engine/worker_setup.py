"""Loaded by each worker process of a local cluster when it starts."""

from __future__ import annotations

import signal
import warnings

from .workers import be_quiet


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the parent; be as quiet as a command is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    be_quiet()
