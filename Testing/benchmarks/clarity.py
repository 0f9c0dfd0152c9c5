"""How clearly a model recognises heads and other objects: what ``limits`` of its bundle must separate.

Usage: ``.venv/bin/python Testing/benchmarks/clarity.py --data DATA [--model NAME|DIR]`` with DATA holding ``heads.csv``
(heads of split train) and ``localizers/`` with scans of phantoms.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from limits_of_scouts.conditions import FIVE, ONE
from limits_of_scouts.non_heads import below_heads, drawn_shapes, phantoms

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate
from LandmarkTrainingLib.core.reference_heads.heads import list_heads
from LandmarkTrainingLib.core.simulator.study_rendering import studies_of_volumes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", help="default: the current one")
    parser.add_argument("--heads", type=int, default=9, help="studies of heads per geometry")
    arguments = parser.parse_args()
    protocol, model = load_protocol("BrainAcPc"), load_model(arguments.model)
    for name, stacks in _cases(arguments.data, protocol, arguments.heads):
        print(f"{name:28} {_describe(stacks, protocol, model)}", flush=True)


def _cases(data: Path, protocol: Protocol, heads: int) -> Iterator[tuple[str, Sequence[ScoutStack]]]:
    for source in (phantoms(data), drawn_shapes(), below_heads(list_heads(data, "train"))):
        for name, read in source:
            yield name, read()
    for geometry in (FIVE, ONE):
        for study in studies_of_volumes(data, "train", protocol.constellation, geometry, heads, 11):
            yield f"{study.name} {geometry.slices}/plane", study.stacks


def _describe(stacks: Sequence[ScoutStack], protocol: Protocol, model: LandmarkModel) -> str:
    try:
        plan = calibrate(stacks, protocol, model)
    except AutoVolumeError as error:
        return f"not planned: {error}"
    best = sorted((mark.confidence for mark in plan.landmarks if mark.status == PREDICTED), reverse=True)[:10]
    apart = np.median(list(plan.frame.residuals_mm.values()))
    sd = np.rad2deg(np.sqrt(np.diagonal(plan.frame.covariance)[:3]))
    findings = ", ".join(f"{check.name} {check.level}" for check in plan.checks)
    clear = f"clarity {sum(best) / 10:.2f}, points {apart:.1f} mm off"
    return f"{clear}, size {plan.frame.scale:.2f}, tilt sd {sd.max():.1f} deg: {findings}"


if __name__ == "__main__":
    main()
