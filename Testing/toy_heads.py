"""A head of a few balls for tests of simulator and training: where its landmarks lie can be seen in the image."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from LandmarkTrainingLib.core.simulator.label_heads import LabelHeads
from LandmarkTrainingLib.core.simulator.pose import PoseLimits
from LandmarkTrainingLib.core.simulator.tissues import CLASSES, Contrast

#: Landmark -> place in head space, mm. Left and right differ in height and depth, so that a mix-up shows.
PLACES = {
    "MIDDLE": (0.0, 10.0, 25.0),
    "LEFT": (-38.0, -25.0, -12.0),
    "RIGHT": (34.0, -40.0, 14.0),
    "LOST": (np.nan, np.nan, np.nan),
}
NAMES = tuple(PLACES)
MIRROR = np.array([0, 2, 1, 3])

#: Tissue class of each landmark's ball, and of the head around them.
BALL_CLASS = {"MIDDLE": 15, "LEFT": 18, "RIGHT": 21}
TISSUE = 2
BALL_MM = 9.0

#: No deformation, so that a ball stays a ball.
RIGID = PoseLimits(log_scale=(0.0, 0.0), anisotropy=0.0, shear=0.0, warp_mm=0.0)


def toy_heads(voxel_mm: float = 2.0, count: int = 1) -> LabelHeads:
    """An ellipsoid with a ball at each landmark; the voxel axes are turned and reversed against head space."""
    size = round(220 / voxel_mm)
    axes = Rotation.from_euler("XYZ", [7, -5, 9], degrees=True).as_matrix() * [-1, 1, 1]
    inverse = np.linalg.inv(axes * voxel_mm)
    to_voxel = np.column_stack([inverse, np.full(3, (size - 1) / 2)])
    index = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1) - (size - 1) / 2
    points = index @ (axes * voxel_mm).T
    tissues = np.where(np.linalg.norm(points / [70, 90, 80], axis=-1) < 1, TISSUE, 0).astype(np.uint8)
    for name, number in BALL_CLASS.items():
        tissues[np.linalg.norm(points - PLACES[name], axis=-1) < BALL_MM] = number
    places = np.array([PLACES[name] for name in NAMES])
    return LabelHeads(
        torch.from_numpy(tissues)[None].repeat(count, 1, 1, 1),
        torch.from_numpy(to_voxel).float()[None].repeat(count, 1, 1),
        torch.from_numpy(places).float()[None].repeat(count, 1, 1),
        NAMES,
    )


def bright(*classes: int) -> Contrast:
    """A contrast that shows only these tissue classes, without texture."""
    mean = np.zeros(CLASSES)
    mean[list(classes)] = 200.0
    return Contrast(mean, np.zeros(CLASSES))
