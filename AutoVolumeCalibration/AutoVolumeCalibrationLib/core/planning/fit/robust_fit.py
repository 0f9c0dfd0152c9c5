"""Pose and size by generalised least squares with robust weights: pure linear algebra on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .pose import Pose, moved_pose, pose_jacobian, procrustes

#: Standard deviation of log head size over the reference: children to large adults.
LOG_SCALE_SD = 0.12

#: A landmark whose residual exceeds this many standard deviations per axis loses weight (Geman-McClure).
ROBUST_SCALE = 2.5

#: The robust scale shrinks from this multiple to 1, so that a bad start does not decide who is an outlier.
ANNEALING = (6.0, 3.0, 1.5)

ITERATIONS = 60
CONVERGED = 1e-10


@dataclass(frozen=True, eq=False)
class Fit:
    """State of the fit in head space; of the observed residuals (n, 3), inverse covariance, Jacobian, weights (n,)."""

    pose: Pose
    residual: np.ndarray
    precision: np.ndarray
    jacobian: np.ndarray
    normal: np.ndarray
    weights: np.ndarray


def robust_fit(
    points: np.ndarray,
    errors: np.ndarray,
    predicted: np.ndarray,
    reference: np.ndarray,
    shape: np.ndarray,
    pose_covariance: np.ndarray | None,
) -> Fit:
    """Iteratively reweighted Gauss-Newton from a weighted Procrustes start; ``predicted`` (n, 3, 3) are projections."""
    pose = procrustes(points, reference, 1 / np.trace(errors, axis1=1, axis2=2))
    weights = np.ones(len(points))
    jacobian = pose_jacobian(reference)
    own_shape = diagonal_blocks(shape)
    part, common = predicted, _common_error(jacobian, predicted, pose_covariance)
    # The projections onto all directions and onto none are the same in all axes.
    follows_pose = bool((np.trace(predicted, axis1=1, axis2=2).round() == 1).any())
    fixed = shape + common
    for iteration in range(ITERATIONS):
        residual = pose.to_head(points) - reference
        local = _in_head_axes(errors, pose) / pose.scale**2
        if follows_pose:
            part = _in_head_axes(predicted, pose)
            fixed = shape + _common_error(jacobian, part, pose_covariance)
        limit = ROBUST_SCALE * (ANNEALING[iteration] if iteration < len(ANNEALING) else 1.0)
        weights = 1 / (1 + _distance2(residual, own_shape + local, part) / limit**2) ** 2
        # Only the predicted part of an outlier loses weight: what the user placed holds.
        inflated = local + (1 / weights - 1)[:, None, None] * (part @ local @ part)
        covariance = fixed + _block_diagonal(inflated)
        # A third of the work of inverting the covariance, which is needed once, at the end.
        solved = np.linalg.solve(covariance, np.column_stack([jacobian, residual.ravel()]))
        weighted = solved[:, :-1]
        prior = np.diag([0, 0, 0, 1 / LOG_SCALE_SD**2, 0, 0, 0])
        normal = jacobian.T @ weighted + prior
        gradient = jacobian.T @ solved[:, -1]
        gradient[3] -= np.log(pose.scale) / LOG_SCALE_SD**2
        step = np.linalg.solve(normal, gradient)
        pose = moved_pose(pose, step)
        if iteration > len(ANNEALING) and np.abs(step).max() < CONVERGED:
            break
    residual = pose.to_head(points) - reference
    return Fit(pose, residual, np.linalg.inv(covariance), jacobian, normal, weights)


def diagonal_blocks(matrix: np.ndarray) -> np.ndarray:
    """(n, 3, 3) blocks on the diagonal of a matrix (3n, 3n)."""
    n = len(matrix) // 3
    blocks: np.ndarray = matrix.reshape(n, 3, n, 3)[np.arange(n), :, np.arange(n), :]
    return blocks


def _in_head_axes(matrices: np.ndarray, pose: Pose) -> np.ndarray:
    """RAS matrices (n, 3, 3) in the axes of the head."""
    turned: np.ndarray = np.einsum("ji,njk,kl->nil", pose.rotation, matrices, pose.rotation)
    return turned


def _distance2(residual: np.ndarray, marginal: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n,) squared residual (n, 3) per predicted direction, in variances: 0 for a landmark that the user placed.

    Args:
        marginal: (n, 3, 3) covariance of the residual.
        part: (n, 3, 3) projection onto the predicted directions.
    """
    directions = np.trace(part, axis1=1, axis2=2).round()
    placed = np.eye(3) - part
    # The covariance along the predicted directions, and 1 along the others, where the residual does not count.
    along = part @ marginal @ part + placed
    seen = (part @ residual[..., None])[..., 0]
    distance2: np.ndarray = np.einsum("ni,ni->n", seen, np.linalg.solve(along, seen[..., None])[..., 0])
    return distance2 / np.maximum(directions, 1)


def _common_error(jacobian: np.ndarray, part: np.ndarray, pose_covariance: np.ndarray | None) -> np.ndarray:
    """(3n, 3n) covariance of the error that the points share along their predicted directions ``part`` (n, 3, 3).

    Args:
        jacobian: (3n, 7), see ``pose_jacobian``.
    """
    if pose_covariance is None:
        return np.zeros((len(jacobian),) * 2)
    shared = (part @ jacobian.reshape(-1, 3, 7)).reshape(-1, 7)
    return shared @ pose_covariance @ shared.T


def _block_diagonal(blocks: np.ndarray) -> np.ndarray:
    """(3n, 3n) matrix with ``blocks`` (n, 3, 3) on its diagonal."""
    n = len(blocks)
    full = np.zeros((n, 3, n, 3))
    full[np.arange(n), :, np.arange(n), :] = blocks
    return full.reshape(3 * n, 3 * n)
