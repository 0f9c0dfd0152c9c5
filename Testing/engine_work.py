"""Studies for the engine's tests: what they do is in their names, such as ``kill 1``; workers import this file."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, InputError
from AutoVolumeCalibrationLib.service.engine.attempt import Job
from AutoVolumeCalibrationLib.service.engine.limits import Limits
from AutoVolumeCalibrationLib.service.engine.outcome import Outcome


@dataclass(frozen=True)
class ToyWork:
    """Does what the first word of its name says, and notes that it was begun in ``begun``."""

    study: str
    begun: Path

    def key(self) -> str:
        return "key"

    def __call__(self) -> Outcome:
        with open(self.begun, "a", encoding="utf-8") as file:
            file.write(f"{self.study}\n")
        getattr(self, f"_{self.study.split()[0]}")()
        return Outcome(self.study, 0, f"by {os.getpid()}", {"slices": 3})

    def failed(self, error: Exception) -> Outcome:
        return Outcome(self.study, 3 if isinstance(error, AutoVolumeError) else 1, f"{type(error).__name__}: {error}")

    def _plan(self) -> None:
        pass

    def _wait(self) -> None:
        time.sleep(0.3)

    def _refuse(self) -> None:
        raise InputError("cannot be read")

    def _fail(self) -> None:
        raise OSError("a fault")

    def _kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _hang(self) -> None:
        ctypes.PyDLL(None).sleep(600)  # without leaving the interpreter to other threads

    def _grow(self) -> None:
        kept = []
        while True:
            kept.append(np.ones(1 << 22))
            time.sleep(0.01)


def toy_jobs(folder: Path, *studies: str, limits: Limits = Limits()) -> list[Job]:  # noqa: B008 - it is frozen
    """A job for each study, with records and the list of what was begun in ``folder``."""
    return [Job(ToyWork(study, folder / "begun.txt"), folder / "records", limits) for study in studies]


def begun(folder: Path) -> list[str]:
    """The studies that were begun, in that order."""
    path = folder / "begun.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
