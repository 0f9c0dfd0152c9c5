"""The scan box: position, orientation and size in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

#: Order in which faces are written everywhere: along right, anterior, superior, negative side first.
FACES = ("left", "right", "posterior", "anterior", "inferior", "superior")


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """A box in space: center (3,) RAS mm, rows of ``axes`` (right, anterior, superior), full edge lengths.

    ``size_mm`` (3,) is in the order right-left, anterior-posterior, superior-inferior of the box.
    ``face_sd_mm`` maps each of FACES to the standard deviation of its position along its normal.
    """

    name: str
    center_mm: np.ndarray
    axes: np.ndarray
    size_mm: np.ndarray
    face_sd_mm: Mapping[str, float] = field(default_factory=dict)

    def contains(self, points_mm: np.ndarray) -> np.ndarray:
        """Which of the RAS points (n, 3) lie inside; (n,) bool."""
        local = (np.asarray(points_mm, dtype=float) - self.center_mm) @ self.axes.T
        return (np.abs(local) <= self.size_mm / 2).all(axis=-1)

    def corners_mm(self) -> np.ndarray:
        """(8, 3) RAS corners; index bits are (right, anterior, superior)."""
        signs = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]) - 0.5
        return self.center_mm + signs * self.size_mm @ self.axes


def face_center_mm(box: OrientedBox, face: str) -> np.ndarray:
    """(3,) RAS middle of a face."""
    axis = FACES.index(face) // 2
    return box.center_mm + outward_axis(box.axes, face) * box.size_mm[axis] / 2


def outward_axis(axes: np.ndarray, face: str) -> np.ndarray:
    """(3,) unit vector out of a box with ``axes`` (3, 3), in rows, through ``face``."""
    number = FACES.index(face)
    return axes[number // 2] * (1 if number % 2 else -1)


def face_corners_mm(box: OrientedBox, face: str) -> np.ndarray:
    """(4, 3) RAS corners of a face, in order around it."""
    axis = FACES.index(face) // 2
    first, second = (edge * box.axes[i] for i, edge in enumerate(box.size_mm / 2) if i != axis)
    center = face_center_mm(box, face)
    return np.array(
        [center - first - second, center + first - second, center + first + second, center - first + second]
    )
