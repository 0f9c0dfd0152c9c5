"""Standard deviations of peaks, calibrated on slices with known landmarks.

The standard deviation of a peak is ``base[plane, landmark, axis] * factor(peak value)``, times how much wider than
usual its heatmap is. The numbers are measured on simulated slices of heads that were not used in training
(``autovolume evaluate --calibrate``) and stored in the bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError

#: Wider heatmaps than usual count as less certain, up to this factor.
LARGEST_SPREAD_FACTOR = 4.0


@dataclass(frozen=True, eq=False)
class PeakUncertainty:
    """Calibrated standard deviations for k landmarks.

    Attributes:
        base_mm: (3, k, 2) by plane (sagittal, coronal, axial), landmark, in-plane axis (column, row).
        peak_values: (h,) increasing peak values.
        factors: (h,) factor on the base at each of them.
        typical_spread_mm: width of an ordinary heatmap's window (root of its second moment).
        through_plane_mm: standard deviation of the position along the normal that a stack's peak values give.
        pose_covariance: (7, 7) of the error that all landmarks of a study share, see ``frame.fit_frame``; None where it
            was not measured.
    """

    base_mm: np.ndarray
    peak_values: np.ndarray
    factors: np.ndarray
    typical_spread_mm: float
    through_plane_mm: float
    pose_covariance: np.ndarray | None = None

    def sd_mm(self, plane: int, peak_values: np.ndarray, spread_mm: np.ndarray) -> np.ndarray:
        """(s, k, 2) standard deviations from peak values (s, k) and heatmap widths (s, k, 2)."""
        factor = np.interp(peak_values, self.peak_values, self.factors)[..., None]
        wider = np.clip(spread_mm / self.typical_spread_mm, 1.0, LARGEST_SPREAD_FACTOR)
        return self.base_mm[plane] * factor * wider

    def to_dict(self) -> dict[str, Any]:
        return {
            "base_mm": np.round(self.base_mm, 3).tolist(),
            "heights": np.round(self.peak_values, 4).tolist(),
            "factors": np.round(self.factors, 4).tolist(),
            "typical_spread_mm": round(self.typical_spread_mm, 3),
            "through_plane_mm": round(self.through_plane_mm, 3),
            "pose_covariance": None if self.pose_covariance is None else self.pose_covariance.tolist(),
        }


def default_uncertainty(landmarks: int) -> PeakUncertainty:
    """A guess for a model that was never calibrated: 2.5 mm at a clear peak, more at a low one."""
    return PeakUncertainty(
        np.full((3, landmarks, 2), 2.5), np.array([0.2, 0.5, 0.8]), np.array([2.5, 1.4, 1.0]), 4.5, 5.0
    )


def uncertainty_from_dict(values: Mapping[str, Any], landmarks: int, source: str) -> PeakUncertainty:
    """The calibration stored in a bundle; ModelError where shapes, order or signs are wrong."""
    try:
        result = PeakUncertainty(
            np.asarray(values["base_mm"], dtype=float),
            np.asarray(values["heights"], dtype=float),
            np.asarray(values["factors"], dtype=float),
            float(values["typical_spread_mm"]),
            float(values["through_plane_mm"]),
            _matrix(values.get("pose_covariance")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"uncertainty calibration is damaged ({error})", source=source, remedy="Export it anew."
        ) from error
    scales = (result.base_mm, result.factors, result.typical_spread_mm, result.through_plane_mm)
    positive = all(np.isfinite(v).all() and (np.asarray(v) > 0).all() for v in scales)
    peak_values = result.peak_values
    rising = peak_values.ndim == 1 and peak_values.size > 0 and bool((np.diff(peak_values) > 0).all())
    fitting = result.base_mm.shape == (3, landmarks, 2) and result.factors.shape == peak_values.shape
    if not (positive and rising and fitting):
        raise ModelError("uncertainty calibration does not fit the landmarks", source=source, remedy="Export it anew.")
    if result.pose_covariance is not None and not _is_covariance(result.pose_covariance, 7):
        raise ModelError(
            "pose_covariance is not a valid covariance matrix", source=source, remedy="Export the bundle anew."
        )
    return result


def _matrix(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values, dtype=float)


def _is_covariance(matrix: np.ndarray, size: int) -> bool:
    """Finite, symmetric, and without negative variances in any direction."""
    if matrix.shape != (size, size) or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        return False
    return bool(np.linalg.eigvalsh(matrix)[0] >= -1e-9 * max(1.0, np.trace(matrix)))
