"""Studies with their truth and what a model saw in them, kept on disk so that variants of the fit cost nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.localization import locate
from LandmarkTrainingLib.core.evaluation.evaluation import (
    GEOMETRIES,
    IN_PLANE_REACH_MM,
    Conditions,
    add_noise,
    case_pose,
)
from LandmarkTrainingLib.core.evaluation.metrics import points_on_slice
from LandmarkTrainingLib.core.reference_heads.heads import Head, list_heads
from LandmarkTrainingLib.core.reference_heads.poses import head_to_scanner, move_named, posed_volume
from LandmarkTrainingLib.core.simulator.label_heads import load_label_heads
from LandmarkTrainingLib.core.simulator.pose import PoseLimits
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.simulator.study_rendering import simulated_study

from .looks import Detections, all_looks

#: Label maps that the shipped model has not learnt from.
CHECK_HEADS = (19, 20)

SIMULATED, REAL = "simulated", "real"

#: Poses of every head.
POSES = 2

#: The look that ``locate`` ends with.
LAST = "last"

SEED = 4711
CONDITIONS = Conditions(seed=SEED)
SIMULATION = SliceSettings(matrix=256, pixel_mm=1.0, limits=PoseLimits(rotation_deg=20.0, shift_mm=20.0))

_FIELDS = ("axes", "positions_mm", "points_mm", "peak_values", "sd_mm")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Case:
    """One study with k landmarks in the model's order.

    Attributes:
        id: its name; cluster: studies of one cluster err alike (one head).
        group: SIMULATED or REAL; slices: per plane.
        places_mm: (k, 3) true RAS places, NaN where unknown; covariances_mm2: (k, 3, 3) of what is known of them.
        brain_known: the extremes of the brain are among the known places, so the faces of the true box are known.
        near: per stack (s, k) bool: the landmark lies near the slice and inside its image.
        looks: name of the look -> detections.
    """

    id: str
    cluster: str
    group: str
    slices: int
    places_mm: np.ndarray
    covariances_mm2: np.ndarray
    brain_known: bool
    near: tuple[np.ndarray, ...]
    looks: dict[str, Detections]


def cases(data: Path, folder: Path, protocol: Protocol, model: LandmarkModel, simulated: int) -> list[Case]:
    """All cases; those in ``folder`` are read, the others made and put there.

    Args:
        data: holds ``heads.csv``, ``heads`` and ``labels``.
        simulated: number of simulated studies, with 5, 3 and 1 slices per plane in turn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *_simulated_cases(data / "labels", folder, protocol, model, simulated),
        *_real_cases(data, folder, protocol, model),
    ]


def _simulated_cases(
    labels: Path, folder: Path, protocol: Protocol, model: LandmarkModel, count: int
) -> Iterator[Case]:
    constellation, heads = protocol.constellation, None
    for number in range(count):
        name, geometry = list(GEOMETRIES.items())[number % len(GEOMETRIES)]
        path = folder / f"simulated_{number:03d}_{name}.npz"
        if not path.exists():
            heads = heads or load_label_heads(labels, CHECK_HEADS, constellation.names)
            study = simulated_study(heads, constellation, geometry, (SEED, number), SIMULATION)
            points = {mark.name: mark.position_mm for mark in study.landmarks if mark.position_mm is not None}
            known = {mark.name: mark.covariance_mm2 for mark in study.landmarks if mark.position_mm is not None}
            _make(path, study.stacks, points, known, True, geometry, protocol, model)
        yield _read(path, SIMULATED, f"simulated_{number:03d}")


def _real_cases(data: Path, folder: Path, protocol: Protocol, model: LandmarkModel) -> Iterator[Case]:
    for head in list_heads(data, "train"):
        volume = None
        for pose_number in range(POSES):
            for name, geometry in GEOMETRIES.items():
                path = folder / f"real_{head.id}_{pose_number}_{name}.npz"
                if not path.exists():
                    volume = volume or head.volume()
                    transform = _transform(head, pose_number)
                    clean = cut_three_planes(posed_volume(volume, transform), geometry, np.zeros(3))
                    noise = np.random.default_rng([SEED, pose_number, geometry.slices])
                    stacks = add_noise(clean, CONDITIONS.noise, noise)
                    turn = transform[:3, :3]
                    known = {mark: turn @ matrix @ turn.T for mark, matrix in head.covariances_mm2.items()}
                    points, brain = move_named(transform, head.points), head.brain_points is not None
                    _make(path, stacks, points, known, brain, geometry, protocol, model)
                yield _read(path, REAL, head.id)


def _transform(head: Head, pose_number: int) -> np.ndarray:
    return head_to_scanner(case_pose(head.id, pose_number, CONDITIONS), head.origin_mm, head.axes)


def _make(
    path: Path,
    stacks: Sequence[ScoutStack],
    points: dict[str, np.ndarray],
    known: dict[str, np.ndarray],
    brain_known: bool,
    geometry: ScoutGeometry,
    protocol: Protocol,
    model: LandmarkModel,
) -> None:
    """Look at a study and write what was seen; a study in which no head is found is written without looks."""
    started = time.perf_counter()
    located = locate(stacks, protocol, model)
    looks = {LAST: located.detections}
    try:
        frame = fit_frame(located.landmarks, protocol, model.uncertainty.pose_covariance)
        looks |= all_looks(stacks, model, frame.axes, frame.scale)
    except InputError:
        looks = {}
    unknown = np.full(3, np.nan)
    arrays = {
        "slices": geometry.slices,
        "brain_known": brain_known,
        "places_mm": np.array([points.get(name, unknown) for name in model.names]),
        "covariances_mm2": np.array([known.get(name, np.eye(3)) for name in model.names]),
        "planes": np.array([stack.plane for stack in stacks]),
        "looks": np.array(list(looks)),
    }
    for i, stack in enumerate(stacks):
        arrays[f"near/{i}"] = _near(stack, points, protocol, model)
    for name, detections in looks.items():
        arrays |= {f"{name}/{i}/{f}": getattr(d, f) for i, d in enumerate(detections) for f in _FIELDS}
    with atomic_path(path) as partial:
        np.savez(partial, **arrays)
    _log.info("%s: %.1f s", path.stem, time.perf_counter() - started)


def _near(stack: ScoutStack, points: dict[str, np.ndarray], protocol: Protocol, model: LandmarkModel) -> np.ndarray:
    mirror = {mark.name: mark.mirror for mark in protocol.constellation.landmarks if mark.mirror}
    shown = [points_on_slice(s, stack.plane, points, mirror, IN_PLANE_REACH_MM) for s in stack.slices]
    return np.array([[name in visible for name in model.names] for visible in shown])


def _read(path: Path, group: str, cluster: str) -> Case:
    with np.load(path, allow_pickle=False) as stored:
        planes = [str(plane) for plane in stored["planes"]]
        looks = {
            str(name): tuple(
                StackDetections(plane, *(stored[f"{name}/{i}/{field}"] for field in _FIELDS))
                for i, plane in enumerate(planes)
            )
            for name in stored["looks"]
        }
        return Case(
            path.stem,
            cluster,
            group,
            int(stored["slices"]),
            stored["places_mm"],
            stored["covariances_mm2"],
            bool(stored["brain_known"]),
            tuple(stored[f"near/{i}"] for i in range(len(planes))),
            looks,
        )
