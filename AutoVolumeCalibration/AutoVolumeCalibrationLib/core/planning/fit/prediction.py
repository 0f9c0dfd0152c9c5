"""What a fit says of the points: where each is expected, and how far the others put it from where it was seen."""

from __future__ import annotations

import numpy as np

from .body import Body
from .robust_fit import Fit


def predict(fit: Fit, chosen: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Expected head points (n, 3) of the whole ``body`` and their covariance (3n, 3n), parts in the neutral pose.

    The covariance allows for the uncertainty of the pose and of the angles.
    """
    reference, shape = body.reference, body.shape
    rows = (3 * chosen[:, None] + np.arange(3)).ravel()
    gain = shape[:, rows] @ fit.precision
    expected = reference + (gain @ fit.residual.ravel()).reshape(-1, 3)
    # What the uncertainty of the pose adds, less the part that the observed points determine.
    lever = body.jacobian(body.posture(fit.angles)) - gain @ fit.jacobian
    covariance = shape - gain @ shape[rows] + lever @ np.linalg.solve(fit.normal, lever.T)
    return expected, (covariance + covariance.T) / 2


def left_out_residuals(fit: Fit) -> np.ndarray:
    """(n,) distance in head space of each point from where the others predict it (leave-one-out prediction).

    For a block i the residual without it is ``(K_ii)^-1 (P r)_i`` with ``P`` the precision, ``r`` the residuals of
    the fit, and ``K`` the precision after removing the pose.
    """
    weighted = fit.precision @ fit.jacobian
    projected = fit.precision - weighted @ np.linalg.solve(fit.normal, weighted.T)
    pulled = (fit.precision @ fit.residual.ravel()).reshape(-1, 3)
    n = len(pulled)
    blocks = np.array([projected[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] for i in range(n)])
    return np.linalg.norm(np.linalg.solve(blocks + np.eye(3) * 1e-9, pulled[..., None])[..., 0], axis=1)


def condition_number(fit: Fit) -> float:
    """Of the normal matrix of pose and angles, in units that make rotation (at 70 mm) and translation comparable."""
    units = np.array([70.0, 70.0, 70.0, 70.0, 1.0, 1.0, 1.0, *[70.0] * len(fit.angles)])
    return float(np.linalg.cond(fit.normal / np.outer(units, units)))
