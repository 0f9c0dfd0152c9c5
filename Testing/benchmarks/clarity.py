"""How clearly a model recognises heads, and things that are none: what the thresholds of ``core.checks`` rest on.

Usage: ``.venv/bin/python Testing/benchmarks/clarity.py --data DATA [--model NAME|DIR]`` with DATA holding ``heads.csv``
(heads of split train) and, if there, ``localizers/`` with scans of phantoms.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.bundles import LandmarkModel, load_model
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
from AutoVolumeCalibrationLib.core.landmarks import PREDICTED
from AutoVolumeCalibrationLib.core.pipeline import calibrate
from AutoVolumeCalibrationLib.core.protocols import Protocol, load_protocol
from AutoVolumeCalibrationLib.core.readers import read_scouts
from AutoVolumeCalibrationLib.core.reslice import ScoutGeometry, Volume, cut_three_planes
from AutoVolumeCalibrationLib.core.scouts import ScoutStack
from LandmarkTrainingLib.core.known_heads.rendering import studies_of_volumes

FIVE, ONE = ScoutGeometry(5, 12.0, 6.0), ScoutGeometry(1, 0.0, 6.0)


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
    for folder in sorted(path for path in (data / "localizers").glob("*") if path.is_dir()):
        try:
            yield folder.name, read_scouts([folder])
        except AutoVolumeError as error:
            print(f"{folder.name:28} not planned on: {error.what}")
    yield from _drawn()
    for geometry in (FIVE, ONE):
        for study in studies_of_volumes(data, "train", protocol.constellation, geometry, heads, 11):
            yield f"{study.name} {geometry.slices}/plane", study.stacks


def _drawn() -> Iterator[tuple[str, Sequence[ScoutStack]]]:
    """Noise, a disc, an oval with a hole: the shape of a head without its anatomy."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-127.5:128, -127.5:128]
    noise = np.abs(rng.normal(0, 3, y.shape))
    oval = (y**2 / 80**2 + x**2 / 100**2 < 1) * (1 - 0.6 * ((y - 20) ** 2 + (x - 10) ** 2 < 20**2))
    yield "noise", _everywhere(lambda: np.abs(rng.normal(0, 10, y.shape)))
    yield "disc", _everywhere(lambda: (y**2 + x**2 < 90**2) * 100 + noise)
    yield "oval with a hole", _everywhere(lambda: oval * 100 + noise)


def _everywhere(draw: Callable[[], np.ndarray]) -> list[ScoutStack]:
    """Three planes of five slices with a drawn picture in each."""
    empty = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
    stacks = cut_three_planes(empty, FIVE, center_mm=np.zeros(3))
    drawn = [tuple(replace(s, pixels=draw().astype(np.float32)) for s in stack.slices) for stack in stacks]
    return [replace(stack, slices=slices) for stack, slices in zip(stacks, drawn, strict=True)]


def _describe(stacks: Sequence[ScoutStack], protocol: Protocol, model: LandmarkModel) -> str:
    try:
        plan = calibrate(stacks, protocol, model)
    except AutoVolumeError as error:
        return f"not planned: {error}"
    best = sorted((mark.confidence for mark in plan.landmarks if mark.status == PREDICTED), reverse=True)[:10]
    sd = np.rad2deg(np.sqrt(np.diagonal(plan.frame.covariance)[:3]))
    findings = ", ".join(f"{check.name} {check.level}" for check in plan.checks)
    return f"clarity {sum(best) / 10:.2f}, size {plan.frame.scale:.2f}, tilt sd {sd.max():.1f} deg: {findings}"


if __name__ == "__main__":
    main()
