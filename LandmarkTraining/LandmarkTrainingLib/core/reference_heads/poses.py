"""Place a head in the scanner at a known pose, without resampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from AutoVolumeCalibrationLib.core.scouts.volume import Volume

#: The middle of the brain in the AC-PC frame, mm right, anterior, superior of AC: a pose rotates the head about it.
HEAD_CENTER_MM = (0.0, -18.0, 5.0)

#: Share of the largest shift that is used along right, anterior, superior: heads are well centred left to right.
SHIFT_SHARE = (0.6, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Pose:
    """Pose of a head in the scanner: first rotated about its centre, then shifted from the isocentre.

    ``rotation`` (3, 3) and ``shift_mm`` (3,) are in scanner RAS.
    """

    rotation: np.ndarray
    shift_mm: np.ndarray


STRAIGHT = Pose(np.eye(3), np.zeros(3))


def random_pose(rng: np.random.Generator, max_rotation_deg: float = 20.0, max_shift_mm: float = 20.0) -> Pose:
    """A pose with angles uniform in +-``max_rotation_deg`` about each axis and shifts in +-``max_shift_mm``.

    The shift to the side is SHIFT_SHARE of the others'.
    """
    from scipy.spatial.transform import Rotation

    angles = rng.uniform(-max_rotation_deg, max_rotation_deg, 3)
    shift = rng.uniform(-max_shift_mm, max_shift_mm, 3) * SHIFT_SHARE
    return Pose(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), shift)


def head_to_scanner(
    pose: Pose, origin_mm: np.ndarray, axes: np.ndarray, head_center_mm: tuple[float, float, float] = HEAD_CENTER_MM
) -> np.ndarray:
    """(4, 4) rigid transform from the volume's RAS world to scanner RAS.

    At Pose(identity, 0) the head lies straight with its centre at the isocentre (0, 0, 0).

    Args:
        origin_mm: (3,) RAS in the volume's world, the anterior commissure.
        axes: (3, 3), rows are right, anterior, superior of the head's AC-PC frame.
        head_center_mm: the head's centre in that frame.
    """
    transform = np.eye(4)
    transform[:3, :3] = pose.rotation @ axes
    center_mm = origin_mm + np.asarray(head_center_mm) @ axes
    transform[:3, 3] = pose.shift_mm - transform[:3, :3] @ center_mm
    return transform


def move_points(transform: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Points (..., 3) moved by a (4, 4) transform."""
    return np.asarray(points_mm, dtype=float) @ transform[:3, :3].T + transform[:3, 3]


def move_named(transform: np.ndarray, points_mm: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name -> (3,) points moved by a (4, 4) transform."""
    return {name: move_points(transform, point) for name, point in points_mm.items()}


def posed_volume(volume: Volume, transform: np.ndarray) -> Volume:
    """The same voxels with another affine; nothing is resampled."""
    return Volume(volume.array, transform @ volume.affine, volume.name)
