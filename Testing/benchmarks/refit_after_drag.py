"""How long the box takes to follow a moved point: from the move in the scene to the updated nodes.

Run: ``python Testing/benchmarks/refit_after_drag.py [--moves N]``. Needs slicer-core.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

# One core, as beside a running scanner console; has to be set before numpy is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.landmark import (  # noqa: E402
    PREDICTED,  # noqa: E402
    Landmark,  # noqa: E402
)
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.files.resources import resource_path  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow import pipeline  # noqa: E402
from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine  # noqa: E402
from AutoVolumeCalibrationLib.mrml.standalone import StandaloneScene  # noqa: E402
from AutoVolumeCalibrationLib.mrml.study_nodes import write_calibration  # noqa: E402
from AutoVolumeCalibrationLib.mrml.study_state import remember  # noqa: E402

TARGET_MS = 10.0


def sample_plan():
    """The sample scouts with made-up predictions: a typical head with a little noise."""
    protocol = load_protocol("BrainAcPc")
    rng = np.random.default_rng(0)
    predicted = [
        Landmark(name, place + rng.normal(0, 1, 3), np.eye(3) * 2, 0.8, PREDICTED, ("sagittal",))
        for name, place in zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True)
    ]
    stacks = read_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
    return pipeline.plan_from_landmarks(stacks, protocol, (), predicted=predicted)


class Clock:
    """Milliseconds of wall clock and of processor time, one entry for each ``with``."""

    def __init__(self) -> None:
        self.wall, self.processor = [], []

    def __enter__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def __exit__(self, *_exception: object) -> None:
        self.wall.append((time.perf_counter() - self._started[0]) * 1000)
        self.processor.append((time.process_time() - self._started[1]) * 1000)

    def __str__(self) -> str:
        return (
            f"median {np.median(self.wall):5.1f} ms, 95 % below {np.percentile(self.wall, 95):5.1f} ms, "
            f"processor {np.median(self.processor):5.1f} ms"
        )


def main() -> None:
    """Print the median time of a refit after a move, and what it is made of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=200)
    moves = parser.parse_args().moves
    rng = np.random.default_rng(1)
    turn = []
    whole, fit, nodes, state = Clock(), Clock(), Clock(), Clock()
    with tempfile.TemporaryDirectory() as folder, StandaloneScene(folder) as scene:
        engine, plan = CalibrationEngine(scene), sample_plan()
        study = engine.add_stacks(plan.stacks)
        engine.show(study, plan)
        engine.watch(study, turn.append, lambda calibration: None, print)
        node = study.landmarks
        for name in rng.choice([mark.name for mark in plan.landmarks], moves):
            index = node.GetControlPointIndexByLabel(name)
            place = plan.frame.expected_mm[name] + rng.normal(0, 2, 3)
            with whole:
                node.SetNthControlPointPositionWorld(index, *place)
                turn.pop()()
            calibration = engine.calibration(study)
            with fit:
                pipeline.refit(calibration, calibration.landmarks)
            with nodes:
                write_calibration(study, calibration)
            with state:
                remember(study, calibration)
    print(f"refit after a moved point  {whole}  (target {TARGET_MS:.0f} ms)")
    print(f"  core refit               {fit}")
    print(f"  nodes, nothing changed   {nodes}")
    print(f"  state                    {state}")


if __name__ == "__main__":
    main()
