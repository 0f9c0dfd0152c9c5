"""How long calibrating the sample study (3 x 5 slices) takes: the whole command, and a warm call by step.

Usage: ``.venv/bin/python Testing/benchmarks/calibrate_speed.py [--runs 5] [--threads 2]``
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: The steps of a warm call; what else is measured is shown in brackets.
CALL = ("read", "detect", "fit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    warm = _warm_call(arguments.runs, arguments.threads)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cold = _cold_command(arguments.runs)
    command_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"3 x 5 slices, {arguments.threads} threads, median (min-max) of {arguments.runs} runs")
    print(f"cold command      {_spread(cold)} s, peak memory {command_mb:.0f} MB")
    print(f"warm call         {_spread([sum(run[s] for s in CALL) for run in warm])} s, peak memory {memory_mb:.0f} MB")
    for step in warm[0]:
        print(f"  {step if step in CALL else '(' + step + ')':15} {_spread([run[step] for run in warm])} s")


def _warm_call(runs: int, threads: int) -> list[dict[str, float]]:
    """Seconds by step of calibrations in this process, the first one left out."""
    import torch

    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.models.bundle import load_model
    from AutoVolumeCalibrationLib.core.report.overview import draw_overview
    from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
    from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, refit

    torch.set_num_threads(threads)
    protocol, model = load_protocol("BrainAcPc"), load_model()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs + 1):
            started = time.perf_counter()
            stacks = read_scouts([SAMPLE])
            read = time.perf_counter()
            calibration = calibrate(stacks, protocol, model)
            steps = {"read": read - started} | {name: calibration.timings_s[name] for name in ("detect", "fit")}
            moved = calibration.landmarks[0].corrected(calibration.landmarks[0].position_mm + 2)
            before = time.perf_counter()
            refit(calibration, [moved])
            refitted = time.perf_counter()
            draw_overview(calibration, Path(folder) / "overview.png")
            results.append({**steps, "refit": refitted - before, "picture": time.perf_counter() - refitted})
    return results[1:]


def _cold_command(runs: int) -> list[float]:
    """Wall seconds of ``autovolume calibrate`` as a new process."""
    seconds = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            module = "AutoVolumeCalibrationLib.cli.main"
            command = [sys.executable, "-m", module, "calibrate", str(SAMPLE), "--output", folder]
            started = time.perf_counter()
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=300)
            seconds.append(time.perf_counter() - started)
    return seconds


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    main()
