"""How long calibrating the sample study takes against the earlier way: cold commands, and a warm call by step.

Usage: ``.venv/bin/python Testing/benchmarks/calibrate_speed.py [--runs 5] [--threads 2] [--slices 5] [--only warm]``

The earlier way is PyTorch with two looks at every slice and half turns tried always. All ways take turns in one run.
Ratios are of processor time, which other programs on the machine disturb little with one thread, and of the wall clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: Limits of a model by which every stack gets a second look, and half turns are tried.
ALWAYS = {"turned_deg": 0.0, "profile_peak": 1.0}


@dataclass(frozen=True)
class Way:
    """A backend, and whether it looks as often as it did earlier."""

    name: str
    backend: str
    always: bool = False


OLD = Way("earlier", "torch", always=True)
NEW = Way("onnx", "onnx")
WAYS = (OLD, Way("torch", "torch"), NEW)

#: The steps of a warm call; what else is measured is shown in brackets.
CALL = ("read", "detect", "fit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slices", type=int, default=5, help="per plane, in the warm call")
    parser.add_argument("--only", choices=("cold", "warm"))
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    print(f"{arguments.threads} threads, median (min-max) of {arguments.runs} runs")
    if arguments.only != "warm":
        _report_cold(_cold_commands(arguments.runs))
    if arguments.only != "cold":
        print(f"warm call, 3 x {arguments.slices} slices")
        _report_warm(_warm_calls(arguments.runs, arguments.threads, arguments.slices))


def _report_cold(cold: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
    for (command, name), runs in cold.items():
        wall, processor = zip(*runs, strict=True)
        ratio = _ratio(runs, cold[command, OLD.name])
        print(f"cold {command:10} {name:8} {_spread(wall)} s, user and system {_spread(processor)} s, {ratio}")


def _report_warm(warm: dict[str, list[dict[str, tuple[float, float]]]]) -> None:
    totals = {name: [(_total(run, 0), _total(run, 1)) for run in steps] for name, steps in warm.items()}
    for name, steps in warm.items():
        wall, processor = zip(*totals[name], strict=True)
        ratio = _ratio(totals[name], totals[OLD.name])
        print(f"warm call       {name:8} {_spread(wall)} s, processor {_spread(processor)} s, {ratio}")
        for step in steps[0]:
            label = step if step in CALL else f"({step})"
            print(f"  {label:15} {_spread([run[step][0] for run in steps])} s, ", end="")
            print(f"processor {_spread([run[step][1] for run in steps])} s")


def _total(steps: dict[str, tuple[float, float]], clock: int) -> float:
    return sum(steps[step][clock] for step in CALL)


def _ratio(runs: Sequence[tuple[float, float]], old: Sequence[tuple[float, float]]) -> str:
    wall, processor = (
        statistics.median(run[i] for run in runs) / statistics.median(run[i] for run in old) for i in range(2)
    )
    return f"{wall:.2f} of the earlier time, processor {processor:.2f}"


def _warm_calls(runs: int, threads: int, slices: int) -> dict[str, list[dict[str, tuple[float, float]]]]:
    """Way -> (wall, processor) seconds by step of calibrations in this process, in turn, the first one left out."""
    import torch

    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.models.bundle import load_model

    torch.set_num_threads(threads)
    protocol = load_protocol("BrainAcPc")
    loaded = {way: load_model(device="cpu", backend=way.backend) for way in WAYS}
    models = {way.name: _looking_always(model) if way.always else model for way, model in loaded.items()}
    results: dict[str, list[dict[str, tuple[float, float]]]] = {way.name: [] for way in WAYS}
    for _ in range(runs + 1):
        for way in WAYS:
            results[way.name].append(_steps(protocol, models[way.name], slices))
    return {name: found[1:] for name, found in results.items()}


def _looking_always(model: LandmarkModel) -> LandmarkModel:
    return replace(model, limits=replace(model.limits, **ALWAYS))


class Clock:
    """(wall, processor) seconds by step; each step lasts from the one before."""

    def __init__(self) -> None:
        self.steps: dict[str, tuple[float, float]] = {}
        self._last = time.perf_counter(), time.process_time()

    def step(self, name: str) -> None:
        now = time.perf_counter(), time.process_time()
        self.steps[name] = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now


def _steps(protocol: Protocol, model: LandmarkModel, slices: int) -> dict[str, tuple[float, float]]:
    """Seconds by step of one calibration."""
    from AutoVolumeCalibrationLib.core.report.overview import draw_overview
    from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
    from AutoVolumeCalibrationLib.core.workflow.localization import locate
    from AutoVolumeCalibrationLib.core.workflow.pipeline import refit

    clock = Clock()
    stacks = read_scouts([SAMPLE])
    clock.step("read")
    middle = [(len(stack.slices) - slices) // 2 for stack in stacks]
    stacks = [replace(s, slices=s.slices[first : first + slices]) for s, first in zip(stacks, middle, strict=True)]
    clock.step("choose")
    located = locate(stacks, protocol, model)
    clock.step("detect")
    calibration = _planned(stacks, protocol, model, located.landmarks)
    clock.step("fit")
    moved = calibration.landmarks[0].corrected(calibration.frame.expected_mm[calibration.landmarks[0].name] + 2)
    refit(calibration, [moved])
    clock.step("refit")
    with tempfile.TemporaryDirectory() as folder:
        draw_overview(calibration, Path(folder) / "overview.png")
    clock.step("picture")
    return clock.steps


def _planned(stacks, protocol: Protocol, model: LandmarkModel, landmarks):
    from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
    from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks

    shared = model.uncertainty.pose_covariance
    info = ModelInfo(model.name, model.sha256, model.device, shared, None, (), model.coverage, model.backend)
    return plan_from_landmarks(stacks, protocol, (), predicted=landmarks, model=info)


def _cold_commands(runs: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(command, way) -> (wall seconds, user and system seconds) of new processes, in turn.

    ``check`` is the plan alone; ``calibrate`` writes it with the picture.
    """
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(runs):
        for way in WAYS:
            for command in ("check", "calibrate"):
                results.setdefault((command, way.name), []).append(_cold_command(command, way))
    return results


def _cold_command(command: str, way: Way) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "AutoVolumeCalibrationLib.cli.main", command, str(SAMPLE)]
        words += ["--backend", way.backend, "--device", "cpu"]
        words += ["--model", str(_bundle_looking_always(Path(folder)))] if way.always else []
        words += ["--output", str(Path(folder) / "plan")] if command == "calibrate" else []
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(words, check=False, stdout=subprocess.DEVNULL, timeout=300)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _bundle_looking_always(folder: Path) -> Path:
    """A copy of the default model's bundle that states the limits ALWAYS."""
    from AutoVolumeCalibrationLib.core.models.bundle import metadata_json, read_metadata
    from AutoVolumeCalibrationLib.core.models.store import model_folder

    bundle = Path(shutil.copytree(model_folder(None), folder / "bundle"))
    metadata = read_metadata(bundle)
    metadata["limits"] = {**metadata["limits"], **ALWAYS}
    (bundle / "configs" / "metadata.json").write_text(metadata_json(metadata), encoding="utf-8")
    return bundle


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    main()
