"""Two visits of a made-up head: another pose, other slices, another contrast, and its landmarks with their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about, rotation_vector
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from head_phantom import BRAIN_CENTER, BRAIN_RADII
from posed_landmarks import Placement, landmarks_at, with_errors

PROTOCOL = load_protocol("BrainAcPc")
FIVE = ScoutGeometry(5, 12.0, 6.0, 2.0, 128)
ONE = ScoutGeometry(1, 0.0, 6.0, 2.0, 128)


def inverted(values: np.ndarray) -> np.ndarray:
    """Another contrast: bright tissue becomes dark; air and bone stay dark."""
    return np.where(values > 25, 170.0 - values, values).astype(np.float32)


def textured_head(voxel_mm: float = 3.0) -> Volume:
    """An ellipsoid in the AC-PC frame with tissue like clouds: as much structure in it as in a brain."""
    axis = np.arange(-108.0, 109.0, voxel_mm)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    radius = np.linalg.norm(grid / BRAIN_RADII, axis=-1)
    clouds = gaussian_filter(np.random.default_rng(0).normal(size=radius.shape), 9.0 / voxel_mm)
    image = np.select([radius < 1, radius < 1.08, radius < 1.18], [80 + 20 * clouds / clouds.std(), 15.0, 130.0], 0.0)
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = BRAIN_CENTER - 108.0
    return Volume(image.astype(np.float32), affine, "textured")


def visit(
    seed: int, geometry: ScoutGeometry = FIVE, contrast: Callable[[np.ndarray], np.ndarray] | None = None
) -> tuple[Calibration, np.ndarray]:
    """A plan by landmarks, and the (4, 4) pose of the head in the scanner: up to 12 deg, 15 mm."""
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = rotation_about(np.deg2rad(rng.uniform(-12, 12, 3)))
    pose[:3, 3] = rng.uniform(-15, 15, 3)
    head = textured_head()
    values = contrast(head.array) if contrast else head.array
    there = Volume(values + rng.normal(0, 1.5, values.shape).astype(np.float32), pose @ head.affine, "visit")
    middle = pose[:3, :3] @ BRAIN_CENTER + pose[:3, 3] + rng.uniform(-5, 5, 3)
    # As acquired: the slices of different planes say nothing about a volume that they were cut from.
    stacks = [replace(stack, volume="") for stack in cut_three_planes(there, geometry, middle)]
    marks = with_errors(landmarks_at(PROTOCOL, placement=Placement(pose[:3, :3], pose[:3, 3]), sd_mm=1.5), rng)
    return plan_from_landmarks(stacks, PROTOCOL, (), predicted=marks), pose


def pose_error(found: np.ndarray, true: np.ndarray, at_mm: np.ndarray) -> tuple[float, float]:
    """Degrees, and mm at a point (3,), between two (4, 4) rigid transforms."""
    difference = found @ np.linalg.inv(true)
    turned = np.rad2deg(np.linalg.norm(rotation_vector(difference[:3, :3])))
    return float(turned), float(np.linalg.norm(difference[:3, :3] @ at_mm + difference[:3, 3] - at_mm))
