"""Coordinate conventions; the only module that converts between them.

World is RAS mm everywhere in this project; DICOM, SimpleITK and Markups JSON use LPS mm.
RAS and LPS differ by the sign of the first two axes, so one function converts both ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .rotations import rotation_vector

#: Multiply an (..., 3) array by this to go from RAS to LPS or back.
RAS_LPS = np.array([-1.0, -1.0, 1.0])

#: Names of the world axes' positive and negative directions, RAS order.
POSITIVE_SIDES = ("right", "anterior", "superior")
NEGATIVE_SIDES = ("left", "posterior", "inferior")

#: Index of the world axis each plane is perpendicular to.
PLANE_NORMAL_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
PLANES = tuple(PLANE_NORMAL_AXIS)

#: No point of a patient or corner of a scout lies farther than this from the origin along an axis. Larger numbers
#: come from damaged files, and overflow in the fit.
FARTHEST_MM = 2000.0


def is_sensible(points_mm: np.ndarray | Sequence[float]) -> bool:
    """Whether all coordinates are finite and no farther out than ``FARTHEST_MM``."""
    return bool((np.abs(np.asarray(points_mm, dtype=float)) <= FARTHEST_MM).all())


def swap_ras_lps(points_mm: np.ndarray | Sequence[float]) -> np.ndarray:
    """Convert RAS points or vectors, shape (..., 3), to LPS, or LPS to RAS."""
    return np.asarray(points_mm, dtype=float) * RAS_LPS


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors of shape (..., 3) scaled to length 1."""
    vector = np.asarray(vector, dtype=float)
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def rotation_angles_deg(axes_a: np.ndarray, axes_b: np.ndarray) -> np.ndarray:
    """Rotation from frame a to frame b as (pitch, roll, yaw) about a's right, anterior, superior axes.

    Args:
        axes_a, axes_b: (3, 3), rows are the right, anterior and superior unit vectors in RAS.

    Returns:
        (3,) degrees: the rotation vector, expressed in frame a.
    """
    relative = np.asarray(axes_a) @ np.asarray(axes_b).T
    return np.rad2deg(rotation_vector(relative))
