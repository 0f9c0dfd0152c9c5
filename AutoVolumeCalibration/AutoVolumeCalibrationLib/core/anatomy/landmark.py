"""Landmarks: named anatomical points with position, uncertainty and status."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PREDICTED, CORRECTED, MISSING = "predicted", "corrected", "missing"
STATUSES = (PREDICTED, CORRECTED, MISSING)

#: Standard deviation of a landmark that the user placed, per axis, mm: near zero, yet invertible.
CORRECTED_SD_MM = 0.02

#: Standard deviation along the slice's normal of a landmark that had no position before it was placed in that slice,
#: mm: the user chose the slice, but scout slices are several millimetres thick.
PLACED_DEPTH_SD_MM = 3.0


@dataclass(frozen=True, eq=False)
class Landmark:
    """One point.

    Attributes:
        name: as in the protocol.
        position_mm: (3,) RAS, None when missing.
        covariance_mm2: (3, 3) RAS, None when missing; of a corrected one small along the axes that the user placed.
        confidence: 0..1; of a prediction the highest heatmap peak, 1 for a corrected point.
        status: "predicted", "corrected" (moved or placed by the user, locked) or "missing".
        planes: planes in whose slices it is visible.
    """

    name: str
    position_mm: np.ndarray | None = None
    covariance_mm2: np.ndarray | None = None
    confidence: float = 0.0
    status: str = MISSING
    planes: tuple[str, ...] = ()

    @property
    def sd_mm(self) -> float | None:
        """Root of the mean variance per axis, mm."""
        return None if self.covariance_mm2 is None else float(np.sqrt(np.trace(self.covariance_mm2) / 3))

    @property
    def free_direction(self) -> np.ndarray | None:
        """(3,) unit vector, RAS, along which the user did not place a corrected landmark; None: placed on all axes."""
        if self.status != CORRECTED or self.covariance_mm2 is None:
            return None
        variances, directions = np.linalg.eigh(self.covariance_mm2)
        in_plane = variances[1] <= (2 * CORRECTED_SD_MM) ** 2 < variances[2]
        if not in_plane:
            return None
        free = directions[:, 2]
        return free * np.sign(free[np.argmax(np.abs(free))])  # the same for the same plane

    def corrected(self, position_mm: np.ndarray, covariance_mm2: np.ndarray | None = None) -> Landmark:
        """The same landmark, placed by the user at ``position_mm`` (3,) RAS.

        Args:
            covariance_mm2: (3, 3) RAS of what the user left open; None: placed on all axes.
        """
        placed = np.eye(3) * CORRECTED_SD_MM**2
        return replace(
            self,
            position_mm=np.asarray(position_mm, dtype=float),
            covariance_mm2=placed if covariance_mm2 is None else np.asarray(covariance_mm2, dtype=float),
            confidence=1.0,
            status=CORRECTED,
        )

    def corrected_in_plane(self, position_mm: np.ndarray, normal: np.ndarray) -> Landmark:
        """The same landmark, placed by the user in a slice: its depth along the slice's normal stays as it was.

        The depth keeps its variance too, so that a landmark placed in two planes is known on all axes. A landmark
        without a position takes its depth from the slice.

        Args:
            position_mm: (3,) RAS, anywhere along the normal.
            normal: (3,) unit vector, RAS.
        """
        position = np.asarray(position_mm, dtype=float)
        depth_variance = PLACED_DEPTH_SD_MM**2
        if self.position_mm is not None and self.covariance_mm2 is not None:
            position = position + ((self.position_mm - position) @ normal) * normal
            depth_variance = float(normal @ self.covariance_mm2 @ normal)
        return self.corrected(position, in_plane_covariance_mm2(normal, depth_variance))


def in_plane_covariance_mm2(normal: np.ndarray, depth_variance_mm2: float) -> np.ndarray:
    """(3, 3) RAS of a landmark placed in a slice with this ``normal`` (3,), whose depth has that variance."""
    placed = CORRECTED_SD_MM**2
    return np.eye(3) * placed + max(0.0, depth_variance_mm2 - placed) * np.outer(normal, normal)
