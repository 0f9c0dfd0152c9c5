"""Covariance matrices that come from files."""

from __future__ import annotations

import numpy as np

#: A variance of a kilometre squared, or less than rounding leaves of a matrix, is not one of a position in a patient.
_LARGEST, _ROUNDING = 1e8, 1e-9


def is_covariance(matrix: np.ndarray | None, *, semidefinite: bool = False) -> bool:
    """Whether a matrix is finite, of sensible size, symmetric and positive definite (or semidefinite)."""
    if matrix is None or not (np.abs(matrix) <= _LARGEST).all():  # NaN too
        return False
    scale = float(np.abs(matrix).max())
    if np.abs(matrix - matrix.T).max() > 1e-6 * scale:
        return False
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    return smallest >= -_ROUNDING * scale if semidefinite else smallest > 0
