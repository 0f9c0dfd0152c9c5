"""The pose of a head, and how its points move with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...geometry.rotations import best_rotation, rotation_about


@dataclass(frozen=True, eq=False)
class Pose:
    """``world = translation + scale * rotation @ head``."""

    rotation: np.ndarray
    translation: np.ndarray
    scale: float

    def to_head(self, points: np.ndarray) -> np.ndarray:
        return (points - self.translation) @ self.rotation / self.scale

    def to_world(self, points: np.ndarray) -> np.ndarray:
        return self.translation + self.scale * points @ self.rotation.T


def pose_jacobian(points: np.ndarray) -> np.ndarray:
    """(3n, 7): change of head points (n, 3) by rotation about x, y, z (rad), log scale, translation (mm)."""
    n = len(points)
    jacobian = np.zeros((n, 3, 7))
    x, y, z = points.T
    zero = np.zeros(n)
    jacobian[:, :, 0] = np.stack([zero, -z, y], axis=1)
    jacobian[:, :, 1] = np.stack([z, zero, -x], axis=1)
    jacobian[:, :, 2] = np.stack([-y, x, zero], axis=1)
    jacobian[:, :, 3] = points
    jacobian[:, :, 4:] = np.eye(3)
    return jacobian.reshape(3 * n, 7)


def moved_pose(pose: Pose, step: np.ndarray) -> Pose:
    """The pose after a small change (7,) in head axes."""
    rotation = pose.rotation @ rotation_about(step[:3])
    return Pose(rotation, pose.translation + pose.scale * pose.rotation @ step[4:], pose.scale * float(np.exp(step[3])))


def procrustes(points: np.ndarray, reference: np.ndarray, weights: np.ndarray) -> Pose:
    """Weighted similarity that maps reference (n, 3) on points (n, 3) (Umeyama 1991)."""
    weights = weights / weights.sum()
    center, reference_center = weights @ points, weights @ reference
    a, b = points - center, reference - reference_center
    rotation = best_rotation(b, a, weights)
    scale = float(np.sqrt((weights @ (a**2).sum(axis=1)) / (weights @ (b**2).sum(axis=1))))
    return Pose(rotation, center - scale * rotation @ reference_center, scale)
