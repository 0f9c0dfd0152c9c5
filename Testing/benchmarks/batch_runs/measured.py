"""What a run took: time on the wall, time of processors, memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

#: Memory is measured after so many studies.
MEASURE_EVERY = 10


@dataclass(frozen=True)
class Run:
    """One way of planning, for some studies.

    Attributes:
        studies: how many were planned; codes: exit code -> how many, none for the bare call.
        wall_s, processor_s: time on the wall, and of all processes that took part.
        worker_mb: resident memory of the largest worker, as it was measured along the way.
        command_mb: of the process that hands the studies out, at the end.
    """

    studies: int
    wall_s: float
    processor_s: float
    worker_mb: Sequence[float] = ()
    command_mb: float = 0.0
    codes: dict[str, int] = field(default_factory=dict)


class Clock:
    """Measures processes from now on; they must live until ``run`` is called."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes
        self._begun = time.perf_counter(), self._processor_s()

    def run(self, studies: int, **rest) -> Run:
        wall, processor = self._begun
        return Run(studies, time.perf_counter() - wall, self._processor_s() - processor, **rest)

    def _processor_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes)


def resident_mb(process: psutil.Process) -> float:
    """Resident memory of a process in MiB."""
    return process.memory_info().rss / 2**20
