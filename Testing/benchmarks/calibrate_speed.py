"""How long calibrating the sample study (3 x 5 slices) takes with each backend: commands, and a warm call by step.

Usage: ``.venv/bin/python Testing/benchmarks/calibrate_speed.py [--runs 5] [--threads 2]``
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "ColinScouts" / "dicom"

BACKENDS = ("torch", "onnx")

#: The steps of a warm call; what else is measured is shown in brackets.
CALL = ("read", "detect", "fit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    print(f"3 x 5 slices, {arguments.threads} threads, median (min-max) of {arguments.runs} runs")
    for (command, backend), runs in _cold_commands(arguments.runs).items():
        wall, processor = zip(*runs, strict=True)
        print(f"cold {command:10} {backend:6} {_spread(wall)} s, user and system {_spread(processor)} s")
    for backend, warm in _warm_calls(arguments.runs, arguments.threads).items():
        print(f"warm call       {backend:6} {_spread([sum(run[s] for s in CALL) for run in warm])} s")
        for step in warm[0]:
            print(f"  {step if step in CALL else '(' + step + ')':15} {_spread([run[step] for run in warm])} s")


def _warm_calls(runs: int, threads: int) -> dict[str, list[dict[str, float]]]:
    """Backend -> seconds by step of calibrations in this process, in turn, the first one of each left out."""
    import torch

    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.models.bundle import load_model

    torch.set_num_threads(threads)
    protocol = load_protocol("BrainAcPc")
    models = {backend: load_model(device="cpu", backend=backend) for backend in BACKENDS}
    results: dict[str, list[dict[str, float]]] = {backend: [] for backend in BACKENDS}
    for _ in range(runs + 1):
        for backend, model in models.items():
            results[backend].append(_steps(protocol, model))
    return {backend: found[1:] for backend, found in results.items()}


def _steps(protocol: Protocol, model: LandmarkModel) -> dict[str, float]:
    """Seconds by step of one calibration."""
    from AutoVolumeCalibrationLib.core.report.overview import draw_overview
    from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
    from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, refit

    started = time.perf_counter()
    stacks = read_scouts([SAMPLE])
    read = time.perf_counter()
    calibration = calibrate(stacks, protocol, model)
    steps = {"read": read - started} | {name: calibration.timings_s[name] for name in ("detect", "fit")}
    moved = calibration.landmarks[0].corrected(calibration.landmarks[0].position_mm + 2)
    before = time.perf_counter()
    refit(calibration, [moved])
    refitted = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        draw_overview(calibration, Path(folder) / "overview.png")
    return {**steps, "refit": refitted - before, "picture": time.perf_counter() - refitted}


def _cold_commands(runs: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(command, backend) -> (wall seconds, user and system seconds) of new processes, in turn.

    ``check`` is the plan alone; ``calibrate`` writes it with the picture.
    """
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(runs):
        for backend in BACKENDS:
            for command in ("check", "calibrate"):
                results.setdefault((command, backend), []).append(_cold_command(command, backend))
    return results


def _cold_command(command: str, backend: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "AutoVolumeCalibrationLib.cli.main", command, str(SAMPLE), "--backend", backend]
        words += ["--device", "cpu", *(["--output", folder] if command == "calibrate" else [])]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(words, check=False, stdout=subprocess.DEVNULL, timeout=300)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    main()
