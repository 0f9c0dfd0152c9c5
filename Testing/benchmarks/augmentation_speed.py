"""How fast slices of studies are varied on one core, against taking the same slices as they are.

Usage: ``.venv/bin/python Testing/benchmarks/augmentation_speed.py [--slices 150] [--batch 8] [--runs 40]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

# One core, as in a process that makes batches; has to be set before numpy is loaded.
os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.volume import (  # noqa: E402
    ScoutGeometry,  # noqa: E402
    Volume,  # noqa: E402
    cut_three_planes,  # noqa: E402
)
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy  # noqa: E402
from LandmarkTrainingLib.core.simulator.render import SliceBatch  # noqa: E402
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings  # noqa: E402
from LandmarkTrainingLib.core.slices.augmentation import Augmentation  # noqa: E402
from LandmarkTrainingLib.core.slices.study_source import StudySource  # noqa: E402

LOOK = ("artefacts", "noise", "gamma", "gain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=150)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    studies = [_study(seed) for seed in range(max(1, arguments.slices // 15))]
    plain = _source(studies, Augmentation.none()).all_slices()
    geometry = Augmentation.from_dict(dict.fromkeys(LOOK, 0.0) | {"field_of_view": 0.0})
    calls = {
        "as they are (indexing)": lambda run: _taken(plain, arguments.batch, run),
        "pose and shape varied": _batches(studies, geometry, arguments.batch),
        "all variations": _batches(studies, Augmentation(), arguments.batch),
        "artefacts in every slice": _batches(studies, Augmentation(artefacts=1.0), arguments.batch),
    }
    seconds = {name: _median_s(call, arguments.runs) for name, call in calls.items()}
    bare = seconds["as they are (indexing)"]
    print(
        f"{len(plain.images)} slices of 128 x 128, batches of {arguments.batch}, median of {arguments.runs} on one core"
    )
    for name, value in seconds.items():
        print(f"{name:25} {arguments.batch / value:8.0f} slices/s, {value / bare:6.1f} times the time of indexing")
    print(f"settings: {asdict(Augmentation())}")


def _study(seed: int) -> LabelledStudy:
    """Three times five slices of smooth noise, with all landmarks of the protocol."""
    rng = np.random.default_rng(seed)
    affine = np.diag([16.0, 16.0, 16.0, 1.0])
    affine[:3, 3] = -120.0
    volume = Volume(rng.uniform(0, 500, (16, 16, 16)).astype(np.float32), affine)
    constellation = load_protocol("BrainAcPc").constellation
    marks = zip(constellation.names, constellation.reference_mm, strict=True)
    landmarks = tuple(Landmark(name).corrected(place) for name, place in marks)
    return LabelledStudy(f"noise_{seed}", tuple(cut_three_planes(volume, ScoutGeometry())), landmarks, {})


def _source(studies: list[LabelledStudy], augmentation: Augmentation) -> StudySource:
    constellation = load_protocol("BrainAcPc").constellation
    return StudySource(studies, constellation.names, constellation.mirror_indices, SliceSettings(), augmentation)


def _batches(studies: list[LabelledStudy], augmentation: Augmentation, size: int) -> Callable[[int], SliceBatch]:
    source = _source(studies, augmentation)
    return lambda run: source.batch(size, (0, run))


def _taken(plain: SliceBatch, size: int, run: int) -> list[torch.Tensor]:
    index = torch.from_numpy(np.random.default_rng((0, run)).integers(0, len(plain.images), size))
    return [tensor[index] for tensor in vars(plain).values()]


def _median_s(call: Callable[[int], SliceBatch], runs: int) -> float:
    call(0)
    seconds = []
    for run in range(runs):
        started = time.perf_counter()
        call(run)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
