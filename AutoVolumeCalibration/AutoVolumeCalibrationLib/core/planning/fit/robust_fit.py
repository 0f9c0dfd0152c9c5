"""Pose and size by generalised least squares with robust weights: pure linear algebra on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import Body, Posture
from .pose import Pose, moved_pose, procrustes

#: Standard deviation of log head size over the reference: children to large adults.
LOG_SCALE_SD = 0.12

#: A landmark whose residual exceeds this many standard deviations per axis loses weight (Geman-McClure).
ROBUST_SCALE = 2.5

#: The robust scale shrinks from this multiple to 1, so that a bad start does not decide who is an outlier.
ANNEALING = (6.0, 3.0, 1.5)

#: A joint's angle stays below this, so that a set of bad points cannot fold it.
LARGEST_ANGLE_RAD = float(np.deg2rad(60.0))

ITERATIONS = 60
CONVERGED = 1e-10


@dataclass(frozen=True, eq=False)
class Fit:
    """State of the fit in head space, the parts of a joint in the neutral pose.

    Attributes:
        pose: of the anatomy; angles: (k,) rad of its hinges.
        residual: (n, 3) of the observed points; precision: (3n, 3n) their inverse covariance.
        jacobian: (3n, 7 + k), see ``Body.jacobian``; normal: (7 + k, 7 + k).
        weights: (n,) robust weights.
        cost: -2 log of the posterior density, up to a constant that depends on the observed points only.
    """

    pose: Pose
    residual: np.ndarray
    precision: np.ndarray
    jacobian: np.ndarray
    normal: np.ndarray
    weights: np.ndarray
    angles: np.ndarray
    cost: float


def robust_fit(
    points: np.ndarray,
    errors: np.ndarray,
    predicted: np.ndarray,
    body: Body,
    pose_covariance: np.ndarray | None,
) -> Fit:
    """Iteratively reweighted Gauss-Newton from a weighted Procrustes start; ``predicted`` (n, 3, 3) are projections.

    A joint starts in the neutral pose. Its angles are part of the linear step, so that they move from there.
    """
    pose = procrustes(points, body.reference, 1 / np.trace(errors, axis1=1, axis2=2))
    angles = np.zeros(len(body.angle_sd_rad))
    posture = body.posture(angles)
    weights = np.ones(len(points))
    jacobian = body.jacobian(posture)
    own_shape = diagonal_blocks(body.shape)
    part, common = predicted, _common_error(jacobian, predicted, pose_covariance)
    # The projections onto all directions and onto none are the same in all axes.
    follows_pose = posture is not None or bool((np.trace(predicted, axis1=1, axis2=2).round() == 1).any())
    fixed = body.shape + common
    prior = _prior_precision(body)
    for iteration in range(ITERATIONS):
        residual = _residual(points, pose, posture, body)
        local = _in_part_axes(errors, pose, posture) / pose.scale**2
        if follows_pose:
            part = _in_part_axes(predicted, pose, posture)
            fixed = body.shape + _common_error(jacobian, part, pose_covariance)
        limit = ROBUST_SCALE * (ANNEALING[iteration] if iteration < len(ANNEALING) else 1.0)
        weights = 1 / (1 + _distance2(residual, own_shape + local, part) / limit**2) ** 2
        # Only the predicted part of an outlier loses weight: what the user placed holds.
        inflated = local + (1 / weights - 1)[:, None, None] * (part @ local @ part)
        covariance = fixed + _block_diagonal(inflated)
        # A third of the work of inverting the covariance, which is needed once, at the end.
        solved = np.linalg.solve(covariance, np.column_stack([jacobian, residual.ravel()]))
        weighted = solved[:, :-1]
        normal = jacobian.T @ weighted + np.diag(prior)
        gradient = jacobian.T @ solved[:, -1]
        gradient[3] -= np.log(pose.scale) / LOG_SCALE_SD**2
        gradient[7:] -= angles * prior[7:]
        step = np.linalg.solve(normal, gradient)
        pose = moved_pose(pose, step[:7])
        if posture is not None:
            angles = np.clip(angles + step[7:], -LARGEST_ANGLE_RAD, LARGEST_ANGLE_RAD)
            posture = body.posture(angles)
            jacobian = body.jacobian(posture)
        if iteration > len(ANNEALING) and np.abs(step).max() < CONVERGED:
            break
    residual = _residual(points, pose, posture, body)
    precision = np.linalg.inv(covariance)
    deviation = residual.ravel() @ precision @ residual.ravel()
    priors = np.log(pose.scale) ** 2 * prior[3] + (angles**2 * prior[7:]).sum()
    cost = float(deviation + np.linalg.slogdet(covariance)[1] + priors)
    return Fit(pose, residual, precision, jacobian, normal, weights, angles, cost)


def _prior_precision(body: Body) -> np.ndarray:
    """(7 + k,) what is known of the parameters before any point is seen: the size, and how far a joint is bent."""
    return np.concatenate([[0, 0, 0, 1 / LOG_SCALE_SD**2, 0, 0, 0], 1 / body.angle_sd_rad**2])


def _residual(points: np.ndarray, pose: Pose, posture: Posture | None, body: Body) -> np.ndarray:
    """(n, 3) observed points (n, 3) RAS against the reference, in the axes of their parts."""
    in_head = pose.to_head(points)
    return (in_head if posture is None else posture.neutral(in_head)) - body.reference


def diagonal_blocks(matrix: np.ndarray) -> np.ndarray:
    """(n, 3, 3) blocks on the diagonal of a matrix (3n, 3n)."""
    n = len(matrix) // 3
    blocks: np.ndarray = matrix.reshape(n, 3, n, 3)[np.arange(n), :, np.arange(n), :]
    return blocks


def _in_part_axes(matrices: np.ndarray, pose: Pose, posture: Posture | None) -> np.ndarray:
    """RAS matrices (n, 3, 3) in the axes of the head, or of each point's part."""
    turned: np.ndarray = np.einsum("ji,njk,kl->nil", pose.rotation, matrices, pose.rotation)
    return turned if posture is None else posture.turned_back(turned)


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
        jacobian: (3n, 7 + k), see ``Body.jacobian``; its first seven columns are the pose's.
    """
    if pose_covariance is None:
        return np.zeros((len(jacobian),) * 2)
    shared = (part @ jacobian[:, :7].reshape(-1, 3, 7)).reshape(-1, 7)
    return shared @ pose_covariance @ shared.T


def _block_diagonal(blocks: np.ndarray) -> np.ndarray:
    """(3n, 3n) matrix with ``blocks`` (n, 3, 3) on its diagonal."""
    n = len(blocks)
    full = np.zeros((n, 3, n, 3))
    full[np.arange(n), :, np.arange(n), :] = blocks
    return full.reshape(3 * n, 3 * n)
