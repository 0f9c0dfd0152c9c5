"""Covariance matrices that come from files."""

from __future__ import annotations

import numpy as np

#: A variance of a kilometre squared, or less than rounding leaves of a matrix, is not one of a position in a patient.
_LARGEST, _ROUNDING = 1e8, 1e-9


def is_covariance(matrix: np.ndarray | None, *, semidefinite: bool = False) -> bool:
    """Whether a matrix is finite, of sensible size, symmetric and positive definite (or semidefinite)."""
    return matrix is not None and bool(are_covariances(matrix[None], semidefinite=semidefinite)[0])


def are_covariances(matrices: np.ndarray, *, semidefinite: bool = False) -> np.ndarray:
    """(n,) bool: ``is_covariance`` of each of ``matrices`` (n, m, m)."""
    sensible = (np.abs(matrices) <= _LARGEST).all(axis=(1, 2))  # not NaN either
    judged = np.where(sensible[:, None, None], matrices, np.eye(matrices.shape[-1]))
    scale = np.abs(judged).max(axis=(1, 2))
    symmetric = np.abs(judged - judged.swapaxes(1, 2)).max(axis=(1, 2)) <= 1e-6 * scale
    smallest = np.linalg.eigvalsh(judged)[:, 0]
    positive = smallest >= -_ROUNDING * scale if semidefinite else smallest > 0
    result: np.ndarray = sensible & symmetric & positive
    return result
