"""Landmarks: named anatomical points with position, uncertainty and status."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PREDICTED, CORRECTED, MISSING = "predicted", "corrected", "missing"
STATUSES = (PREDICTED, CORRECTED, MISSING)

#: Standard deviation of a landmark that the user placed, per axis, mm: near zero, yet invertible.
CORRECTED_SD_MM = 0.02


@dataclass(frozen=True, eq=False)
class Landmark:
    """One point.

    Attributes:
        name: as in the protocol.
        position_mm: (3,) RAS, None when missing.
        covariance_mm2: (3, 3) RAS, None when missing.
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

    def corrected(self, position_mm: np.ndarray) -> Landmark:
        """The same landmark, placed by the user at ``position_mm`` (3,) RAS."""
        return replace(
            self,
            position_mm=np.asarray(position_mm, dtype=float),
            covariance_mm2=np.eye(3) * CORRECTED_SD_MM**2,
            confidence=1.0,
            status=CORRECTED,
        )
