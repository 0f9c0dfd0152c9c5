"""Studies per second of ``batch`` against the bare call in a loop, in one run, and the memory of its workers.

Each study is one slice per plane of the sample. Loop and batch do the same: read, detect, plan, write all files. They
take turns, so that what else the machine does meets both. Processor time is given beside the time on the wall.

Usage: ``.venv/bin/python Testing/benchmarks/batch_speed.py [--studies 200] [--rounds 2] [--workers 1 2]``
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "ColinScouts" / "dicom"
MIDDLE_SLICES = [SAMPLE / f"{number:04d}.dcm" for number in (3, 8, 13)]


@dataclass(frozen=True)
class Measured:
    """Studies, seconds on the wall and of processors, and the largest worker's memory at the beginning and end."""

    studies: int
    wall_s: float
    processor_s: float
    memory_mb: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        studies = list(_studies(Path(folder), arguments.studies))
        bare, engine = [], {count: [] for count in arguments.workers}
        for number in range(arguments.rounds):
            bare.append(_loop(studies, Path(folder) / f"loop{number}"))
            for count in arguments.workers:
                engine[count].append(_batch(studies, Path(folder) / f"batch{number}-{count}", count))
    load = os.getloadavg()[0]
    print(f"{arguments.studies} studies, {arguments.rounds} rounds, {os.cpu_count()} processors, load {load:.1f}")
    reference = _report("bare call in a loop", bare, None)
    for count, runs in engine.items():
        _report(f"batch, workers: {count}", runs, reference)


def _studies(folder: Path, count: int) -> Iterator[Path]:
    for number in range(count):
        study = folder / "studies" / f"{number:05d}"
        study.mkdir(parents=True)
        for path in MIDDLE_SLICES:
            shutil.copy(path, study)
        yield study


def _loop(studies: Sequence[Path], output: Path) -> Measured:
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.models.bundle import load_model
    from AutoVolumeCalibrationLib.core.scouts.reader import read_study
    from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate

    protocol, model = load_protocol("BrainAcPc"), load_model(device="cpu")

    def plan(study: Path) -> None:
        calibrate(read_study([study]).stacks, protocol, model).save(output / study.name, sources=[study])

    plan(studies[0])
    own = psutil.Process()
    memory, wall, processor = own.memory_info().rss, time.perf_counter(), time.process_time()
    for study in studies[1:]:
        plan(study)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return Measured(len(studies) - 1, wall, processor, (memory / 2**20, own.memory_info().rss / 2**20))


def _batch(studies: Sequence[Path], output: Path, count: int) -> Measured:
    """From the first outcome on: starting up and loading the model are measured by nothing but the clock of a user."""
    from AutoVolumeCalibrationLib.cli.batch_study import BatchWork
    from AutoVolumeCalibrationLib.service.batch.resume import resolved
    from AutoVolumeCalibrationLib.service.engine.attempt import Job
    from AutoVolumeCalibrationLib.service.engine.limits import Limits
    from AutoVolumeCalibrationLib.service.engine.running import run
    from AutoVolumeCalibrationLib.service.engine.workers import local_cluster
    from AutoVolumeCalibrationLib.service.planning import PlanRequest

    request = resolved(PlanRequest("BrainAcPc", device="cpu"))
    limits = Limits(600.0, 8.0)
    works = [BatchWork(study.name, (str(study),), output, request.request, request.key) for study in studies]
    with local_cluster(count) as workers:
        with closing(run([Job(work, output / ".batch", limits) for work in works], workers)) as outcomes:
            for _ in range(count):
                next(outcomes)
            memory, wall, processor = _memory_mb(), time.perf_counter(), _processor_s()
            done = sum(1 for _ in outcomes)
        wall, processor = time.perf_counter() - wall, _processor_s() - processor
        return Measured(done, wall, processor, (memory, _memory_mb()))


def _family() -> list[psutil.Process]:
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def _processor_s() -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _family())


def _memory_mb() -> float:
    return max(process.memory_info().rss for process in _family()[1:]) / 2**20


def _report(title: str, runs: Sequence[Measured], reference: tuple[float, float] | None) -> tuple[float, float]:
    studies = sum(run.studies for run in runs)
    wall, processor = sum(run.wall_s for run in runs) / studies, sum(run.processor_s for run in runs) / studies
    against = f", {reference[0] / wall:.2f} and {reference[1] / processor:.2f} of the loop" if reference else ""
    memory = ", ".join(f"{run.memory_mb[0]:.0f} -> {run.memory_mb[1]:.0f}" for run in runs)
    print(f"{title:20} {1 / wall:.2f} studies/s, {1 / processor:.2f} per processor second{against}; memory {memory} MB")
    return wall, processor


if __name__ == "__main__":
    main()
