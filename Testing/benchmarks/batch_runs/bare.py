"""The bare call in a loop, in one process or in several at once: what the engine is compared with."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

import psutil

from .measured import Clock, Run, resident_mb


class BareLoops:
    """Processes that plan studies, each with its model loaded."""

    def __init__(self, executors: Sequence[ProcessPoolExecutor]) -> None:
        self._executors = executors
        self._processes = [psutil.Process(one.submit(_own_number).result()) for one in executors]

    def plan(self, studies: Sequence[Path], output: Path) -> Run:
        """Plan the studies, each process a part of them; every process writes the files that ``batch`` does."""
        clock, count = Clock(self._processes), len(self._executors)
        parts = [studies[first::count] for first in range(count)]
        for part in [one.submit(_plan, part, output) for one, part in zip(self._executors, parts, strict=True)]:
            part.result()
        return clock.run(len(studies), worker_mb=[max(resident_mb(process) for process in self._processes)])


@contextmanager
def bare_loops(count: int) -> Iterator[BareLoops]:
    """``count`` processes. They are spawned, as the engine's workers are: nothing of this process is in them."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as opened:
        yield BareLoops([opened.enter_context(ProcessPoolExecutor(1, context)) for _ in range(count)])


def _plan(studies: Sequence[Path], output: Path) -> None:
    from AutoVolumeCalibrationLib.core.models.anatomies import with_anatomy_checked
    from AutoVolumeCalibrationLib.core.scouts.reader import read_study
    from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate

    protocol, model = _protocol_and_model()
    for study in studies:
        plan = calibrate(read_study([study]).stacks, protocol, model)
        # Where models of several anatomies are installed, a command asks them all.
        plan = with_anatomy_checked(plan, model, _other_model, device="cpu", backend="auto")
        plan.save(output / study.name, sources=[study])


@lru_cache(maxsize=1)
def _protocol_and_model():
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.models.bundle import load_model

    return load_protocol("BrainAcPc"), load_model(device="cpu")


@lru_cache(maxsize=4)
def _other_model(name: str, device: str, backend: str):
    from AutoVolumeCalibrationLib.core.models.bundle import load_model

    return load_model(name, device, backend)


def _own_number() -> int:
    import os

    return os.getpid()
