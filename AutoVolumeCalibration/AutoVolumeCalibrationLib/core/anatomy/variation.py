"""The variation of shapes among people: strongest modes, and what they leave to each coordinate."""

from __future__ import annotations

import numpy as np

#: Smallest standard deviation per coordinate that the modes leave unexplained: keeps the covariance
#: invertible and allows for variation beyond the few measured people.
RESIDUAL_FLOOR_MM = 0.5


def covariance_of_modes(modes_mm: np.ndarray, variance_mm2: np.ndarray) -> np.ndarray:
    """(k, k) low-rank plus diagonal covariance, invertible.

    Args:
        modes_mm: (m, k), one standard deviation each; their outer products are added up.
        variance_mm2: (k,) total variances: the diagonal fills up to them, by at least
            ``RESIDUAL_FLOOR_MM`` squared (the total is larger where the modes leave less).
    """
    common = modes_mm.T @ modes_mm
    return common + np.diag(np.maximum(variance_mm2 - np.diag(common), RESIDUAL_FLOOR_MM**2))
