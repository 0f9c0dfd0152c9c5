"""Rotations as matrices (3, 3), by numpy alone: scipy's take a quarter of a second to import.

A matrix ``R`` rotates column vectors: ``R @ v``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

#: Smaller sines and lengths count as zero.
_TINY = 1e-9


def rotation_about(vector: np.ndarray) -> np.ndarray:
    """The rotation by the length of ``vector`` (3,), rad, about its direction, right-handed (Rodrigues)."""
    angle = math.hypot(*vector)
    cross = _cross_matrix(vector)
    # sin(t) / t and (1 - cos(t)) / t^2, at 0 their limits.
    first = math.sin(angle) / angle if angle else 1.0
    second = (math.sin(angle / 2) / (angle / 2)) ** 2 / 2 if angle else 0.5
    return np.eye(3) + first * cross + second * cross @ cross


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """(3,) of the rotation, its length the angle 0..pi in rad: the inverse of :func:`rotation_about`."""
    # Twice the sine of the angle times the axis, and the cosine.
    twice_sine = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine, cosine = np.linalg.norm(twice_sine) / 2, (np.trace(rotation) - 1) / 2
    angle = np.arctan2(sine, cosine)
    if cosine > 0 or sine > 1e-3:
        return twice_sine / 2 / np.sinc(angle / np.pi)
    # Near a half turn the sine vanishes; the symmetric part holds the axis, up to its sign.
    outer = (rotation + rotation.T) / 2 - cosine * np.eye(3)
    axis = outer[int(np.argmax(np.diagonal(outer)))]
    axis = axis / np.linalg.norm(axis)
    return angle * (axis if axis @ twice_sine >= 0 else -axis)


def rotation_of_tilts(tilts: Sequence[float] | np.ndarray) -> np.ndarray:
    """The rotation about x, then about the new y, then about the new z, by ``tilts`` (3,) in rad."""
    about_x, about_y, about_z = (rotation_about(tilt * axis) for tilt, axis in zip(tilts, np.eye(3), strict=True))
    return about_x @ about_y @ about_z


def tilts_of_rotation(rotation: np.ndarray) -> np.ndarray:
    """(3,) rad: the inverse of :func:`rotation_of_tilts`.

    The second lies in -pi/2..pi/2. At its ends the first and the third act alike, and the third is 0.
    """
    second = np.arctan2(rotation[0, 2], np.hypot(rotation[0, 0], rotation[0, 1]))
    if np.hypot(rotation[0, 0], rotation[0, 1]) < _TINY:
        return np.array([np.arctan2(rotation[2, 1], rotation[1, 1]), second, 0.0])
    first = np.arctan2(-rotation[1, 2], rotation[2, 2])
    return np.array([first, second, np.arctan2(-rotation[0, 1], rotation[0, 0])])


def best_rotation(vectors: np.ndarray, rotated: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The rotation that brings ``vectors`` (n, 3) nearest to ``rotated``, squares weighted by ``weights`` (Kabsch)."""
    left, _, right = np.linalg.svd((rotated * weights[:, None]).T @ vectors)
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return left @ proper @ right


def _cross_matrix(vector: np.ndarray) -> np.ndarray:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
