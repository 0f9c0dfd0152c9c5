"""The engine as ``batch`` uses it: worker processes, records, claims, limits and the growing table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psutil

from AutoVolumeCalibrationLib.cli.batch_study import BatchWork
from AutoVolumeCalibrationLib.service.batch.resume import resolved
from AutoVolumeCalibrationLib.service.batch.table import OutcomeTable
from AutoVolumeCalibrationLib.service.engine.attempt import Job
from AutoVolumeCalibrationLib.service.engine.limits import Limits
from AutoVolumeCalibrationLib.service.engine.running import run
from AutoVolumeCalibrationLib.service.engine.workers import Workers, local_cluster
from AutoVolumeCalibrationLib.service.planning import PlanRequest, prepare

from .measured import MEASURE_EVERY, Clock, Run, resident_mb

_LIMITS = Limits(seconds=600.0, memory_gb=8.0)


class Engine:
    """Workers that stay for all studies of the benchmark."""

    def __init__(self, workers: Workers, processes: Sequence[psutil.Process]) -> None:
        self._workers, self._processes = workers, processes
        self._request = resolved(PlanRequest("BrainAcPc", device="cpu"))

    def plan(self, studies: Sequence[Path], output: Path) -> Run:
        """Plan the studies as ``autovolume batch`` does."""
        request, records = self._request, output / ".batch"
        works = [BatchWork(study.name, (str(study),), output, request.request, request.key) for study in studies]
        output.mkdir(parents=True)
        own = psutil.Process()
        clock, codes, memory = Clock([own, *self._processes]), Counter[str](), []
        table = OutcomeTable(output / "batch.csv", [])
        jobs = [Job(work, records, _LIMITS, prepare=partial(prepare, request.request)) for work in works]
        with closing(run(jobs, self._workers)) as outcomes:
            for number, outcome in enumerate(outcomes, start=1):
                table.append(outcome)
                codes[str(outcome.exit_code)] += 1
                if number % MEASURE_EVERY == 0:
                    memory.append(max(resident_mb(process) for process in self._processes))
        return clock.run(len(studies), worker_mb=memory, command_mb=resident_mb(own), codes=dict(codes))


@contextmanager
def engine(count: int) -> Iterator[Engine]:
    """An engine with ``count`` workers."""
    own = psutil.Process()
    before = set(own.children(recursive=True))
    with local_cluster(count) as workers:
        yield Engine(workers, [child for child in own.children(recursive=True) if child not in before])
