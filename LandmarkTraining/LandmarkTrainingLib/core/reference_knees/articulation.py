"""A knee as rigid bodies: its landmarks with every bone in the neutral pose, and how the bones lie to each other.

The femur, the tibia and the patella are rigid; what differs between two knees is their shape *and* how far they are
bent. Shapes are compared with the bones in the neutral pose, the mean of the people's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

#: Bones in the order of the chain; the others move against the first.
BASE, MOVING = "femur", ("tibia", "patella")

ROUNDS = 20


@dataclass(frozen=True, eq=False)
class RigidMap:
    """``y = rotation @ x + shift``, mm."""

    rotation: np.ndarray
    shift: np.ndarray

    def of(self, points: np.ndarray) -> np.ndarray:
        return points @ self.rotation.T + self.shift

    def after(self, first: RigidMap) -> RigidMap:
        """First ``first``, then this."""
        return RigidMap(self.rotation @ first.rotation, self.rotation @ first.shift + self.shift)

    def inverse(self) -> RigidMap:
        return RigidMap(self.rotation.T, -self.rotation.T @ self.shift)


@dataclass(frozen=True, eq=False)
class ArticulatedShapes:
    """n knees of equal size with their bones in the neutral pose.

    Attributes:
        mean_mm: (k, 3); shapes_mm: (n, k, 3), aligned bone by bone.
        scales: (n,) size of each knee as a part of the mean's.
        rotations_deg: bone of MOVING -> (n, 3) rotation vectors of the bone against the neutral pose, femur at rest.
        shifts_mm: bone of MOVING -> (n, 3) shift of its centre of landmarks.
    """

    mean_mm: np.ndarray
    shapes_mm: np.ndarray
    scales: np.ndarray
    rotations_deg: Mapping[str, np.ndarray]
    shifts_mm: Mapping[str, np.ndarray]


def fitted(points: np.ndarray, target: np.ndarray) -> RigidMap:
    """The rotation and shift that bring ``points`` (m, 3) nearest to ``target``; rows with NaN do not count."""
    known = np.isfinite(points).all(axis=1)
    center, goal = points[known].mean(axis=0), target[known].mean(axis=0)
    rotation = Rotation.align_vectors(target[known] - goal, points[known] - center)[0].as_matrix()
    return RigidMap(rotation, goal - rotation @ center)


def articulated(shapes: np.ndarray, parts: Mapping[str, Sequence[int]]) -> ArticulatedShapes:
    """Bring the bones of all knees into one neutral pose.

    Args:
        shapes: (n, k, 3) mm of knees of one side in roughly the same axes, NaN where a landmark is unknown.
        parts: bone -> indices of its landmarks.
    """
    index = {bone: np.asarray(numbers) for bone, numbers in parts.items()}
    mean = np.nanmean(shapes - np.nanmean(shapes, axis=1, keepdims=True), axis=0)
    for _ in range(ROUNDS):
        scales = np.array([_scale(shape, mean, index) for shape in shapes])
        scales /= np.exp(np.log(scales).mean())  # the mean has the people's mean size
        sized = shapes / scales[:, None, None]
        maps = [{bone: fitted(shape[i], mean[i]) for bone, i in index.items()} for shape in sized]
        aligned = sized.copy()
        for shape, own in zip(aligned, maps, strict=True):
            for bone, i in index.items():
                shape[i] = own[bone].of(shape[i])
        relative = {bone: [own[BASE].after(own[bone].inverse()) for own in maps] for bone in MOVING}
        mean = np.nanmean(aligned, axis=0)
        for bone in MOVING:
            mean[index[bone]] = _mean_map(relative[bone], mean[index[bone]]).of(mean[index[bone]])
    centers = {bone: mean[index[bone]].mean(axis=0) for bone in MOVING}
    turns = {bone: np.array([Rotation.from_matrix(m.rotation).as_rotvec() for m in relative[bone]]) for bone in MOVING}
    return ArticulatedShapes(
        mean,
        np.where(np.isnan(aligned), mean, aligned),
        scales,
        {bone: np.rad2deg(turns[bone]) for bone in MOVING},
        {bone: np.array([m.of(centers[bone]) - centers[bone] for m in relative[bone]]) for bone in MOVING},
    )


def _scale(shape: np.ndarray, mean: np.ndarray, index: Mapping[str, np.ndarray]) -> float:
    """Size of a knee as a part of the mean's, from the spread of the landmarks within each bone."""
    own = expected = 0.0
    for i in index.values():
        known = i[np.isfinite(shape[i]).all(axis=1)]
        own += ((shape[known] - shape[known].mean(axis=0)) ** 2).sum()
        expected += ((mean[known] - mean[known].mean(axis=0)) ** 2).sum()
    return float(np.sqrt(own / expected))


def _mean_map(maps: Sequence[RigidMap], points: np.ndarray) -> RigidMap:
    """The mean of rigid maps that are near each other, about the centre of ``points``."""
    center = points.mean(axis=0)
    rotation = Rotation.from_matrix(np.array([m.rotation for m in maps])).mean().as_matrix()
    goal = np.mean([m.of(center) for m in maps], axis=0)
    return RigidMap(rotation, goal - rotation @ center)
