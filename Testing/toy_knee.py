"""A right knee of simple bodies as a label map, for tests: where its landmarks lie follows from the bodies."""

from __future__ import annotations

import numpy as np

from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.reference_knees.bones import BoneLabels

LABELS = BoneLabels(femur=1, tibia=3, patella=5)

#: Landmark -> place, right, anterior, superior mm.
PLACES = {
    "COND_POST_R": (24, -24, 16),
    "COND_POST_L": (-24, -24, 16),
    "COND_DIST_R": (24, -4, -4),
    "COND_DIST_L": (-24, -4, -4),
    "EPICOND_R": (42, -4, 18),
    "EPICOND_L": (-42, -4, 18),
    "FEMUR_SHAFT_LOW": (0, 0, 38),
    "FEMUR_SHAFT_HIGH": (0, 0, 59),
    "EMINENCE": (0, -2, 0),
    "TIBIA_SHAFT": (0, 0, -43.6),
    "PATELLA_TOP": (0, 42, 44),
    "PATELLA_BOTTOM": (0, 42, 8),
    "PATELLA_FRONT": (0, 51, 26),
    "PATELLA_BACK": (0, 33, 26),
}


def toy_knee(turn: np.ndarray | None = None, spacing_mm: float = 1.0) -> Volume:
    """The label map of the knee, rotated by ``turn`` (3, 3) about the origin."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = (-60, -60, -75)
    shape = [round(n / spacing_mm) for n in (120, 130, 165)]
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = index * spacing_mm + affine[:3, 3]
    return Volume(_labels(points if turn is None else points @ turn), affine, "toy knee")


def _labels(points: np.ndarray) -> np.ndarray:
    x, y, z = (points[..., k] for k in range(3))
    labels = np.zeros(points.shape[:-1], np.int32)
    femur = np.hypot(x, y) < 13
    femur &= z > 30
    # Between the condyles a block holds them together above a notch that opens downwards and backwards.
    femur |= (np.abs(x) < 24) & (np.abs(y - 2) < 14) & (z > 14) & (z < 40)
    for side in (-1, 1):
        femur |= np.linalg.norm((points - [side * 24, -4, 16]) / [18, 20, 20], axis=-1) < 1
        femur |= np.linalg.norm((points - [side * 24, 8, 14]) / [12, 18, 14], axis=-1) < 1
    labels[femur] = LABELS.femur
    tibia = (np.hypot(x / 36, y / 22) < 1) & (z < -10) & (z > -25)
    tibia |= (np.hypot(x, y) < 13) & (z <= -25)
    tibia |= np.linalg.norm((points - [0, -2, -12]) / [8, 8, 12], axis=-1) < 1
    labels[tibia] = LABELS.tibia
    labels[np.linalg.norm((points - [0, 42, 26]) / [18, 9, 18], axis=-1) < 1] = LABELS.patella
    return labels
