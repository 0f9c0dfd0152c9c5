"""What is fitted: the points of a typical anatomy, how they vary, and how its parts move against each other.

A rigid anatomy is the case of one part: no angles, and every method returns what it gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...anatomy.constellation import Constellation
from ...anatomy.joint import Joint
from ...geometry.rotations import rotation_about
from .pose import pose_jacobian


@dataclass(frozen=True, eq=False)
class Posture:
    """Where the parts are: point i of the neutral pose lies at ``rotations[i] @ point + shifts[i]``, mm.

    Attributes:
        rotations: (n, 3, 3); shifts: (n, 3); columns: (3n, k) change of the neutral points per rad of each angle.
    """

    rotations: np.ndarray
    shifts: np.ndarray
    columns: np.ndarray

    def bent(self, points: np.ndarray) -> np.ndarray:
        """Neutral points (n, 3) where their parts put them."""
        moved: np.ndarray = np.einsum("nij,nj->ni", self.rotations, points) + self.shifts
        return moved

    def neutral(self, points: np.ndarray) -> np.ndarray:
        """The inverse of ``bent``."""
        moved: np.ndarray = np.einsum("nji,nj->ni", self.rotations, points - self.shifts)
        return moved

    def turned_back(self, matrices: np.ndarray) -> np.ndarray:
        """Matrices (n, 3, 3) in the axes of the anatomy, in those of each point's part."""
        turned: np.ndarray = np.swapaxes(self.rotations, 1, 2) @ matrices @ self.rotations
        return turned


@dataclass(frozen=True, eq=False)
class Body:
    """n points of a typical anatomy.

    Attributes:
        reference: (n, 3) with every part in the neutral pose, mm; shape: (3n, 3n) their covariance.
        joint: how the parts move, None for one rigid part; chosen: (n,) indices of the points in the joint.
    """

    reference: np.ndarray
    shape: np.ndarray
    joint: Joint | None = None
    chosen: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    @property
    def angle_sd_rad(self) -> np.ndarray:
        """(k,) prior standard deviations of the angles."""
        return self.joint.angle_sd_rad if self.joint else np.zeros(0)

    def subset(self, chosen: np.ndarray) -> Body:
        """The body of some of the points, by their indices (m,)."""
        rows = (3 * chosen[:, None] + np.arange(3)).ravel()
        kept = self.chosen[chosen] if self.joint else self.chosen
        return Body(self.reference[chosen], self.shape[np.ix_(rows, rows)], self.joint, kept)

    def posture(self, angles: np.ndarray) -> Posture | None:
        """Where the parts are at ``angles`` (k,), rad; None for one rigid part."""
        return None if self.joint is None else joint_posture(self.joint, angles, self.chosen, self.reference)

    def jacobian(self, posture: Posture | None) -> np.ndarray:
        """(3n, 7 + k): change of the points by the pose (see ``pose_jacobian``) and by each angle (rad).

        In the axes of each point's part.
        """
        if posture is None:
            return pose_jacobian(self.reference)
        in_anatomy = pose_jacobian(posture.bent(self.reference)).reshape(-1, 3, 7)
        in_parts = (np.swapaxes(posture.rotations, 1, 2) @ in_anatomy).reshape(-1, 7)
        return np.hstack([in_parts, posture.columns])


def body_of(constellation: Constellation, side: str = "") -> Body:
    """The whole anatomy: as one rigid part, or the joint on a ``side`` of the body."""
    if not side:
        return Body(constellation.reference_mm, constellation.covariance_mm2)
    joint = constellation.joints[side]
    return Body(joint.reference_mm, joint.covariance_mm2, joint, np.arange(len(joint.reference_mm)))


def in_world_mm2(covariance: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """(3n, 3n) covariance of points in RAS.

    Args:
        covariance: (3n, 3n) in the axes of the points' parts.
        turns: (3, 3) or (n, 3, 3) rotation and size of these axes in RAS.
    """
    n = len(covariance) // 3
    spread = np.broadcast_to(turns, (n, 3, 3))
    result: np.ndarray = np.einsum("nai,nimj,mbj->namb", spread, covariance.reshape(n, 3, n, 3), spread, optimize=True)
    return result.reshape(3 * n, 3 * n)


def joint_posture(joint: Joint, angles: np.ndarray, chosen: np.ndarray, neutral: np.ndarray) -> Posture:
    """The posture of the ``chosen`` points (n,), which lie at ``neutral`` (n, 3) in the neutral pose."""
    rotations, shifts = np.empty((len(chosen), 3, 3)), np.empty((len(chosen), 3))
    columns = np.zeros((len(chosen), 3, len(joint.angles)))
    for part, motion in _part_motions(joint, angles).items():
        own = np.isin(chosen, joint.parts[part])
        rotations[own], shifts[own] = motion.rotation, motion.shift
        bent = neutral[own] @ motion.rotation.T + motion.shift
        for k, axis, center in motion.hinges:
            columns[own, :, k] += np.cross(axis, bent - center) @ motion.rotation
    return Posture(rotations, shifts, columns.reshape(3 * len(chosen), -1))


@dataclass(frozen=True, eq=False)
class _Motion:
    """A part's motion against the neutral pose.

    ``hinges``: what turns it: (index of the angle, axis (3,) as long as its factor, center (3,)).
    """

    rotation: np.ndarray
    shift: np.ndarray
    hinges: tuple[tuple[int, np.ndarray, np.ndarray], ...] = ()


def _part_motions(joint: Joint, angles: np.ndarray) -> dict[str, _Motion]:
    """Part -> its motion, in the axes of the first part."""
    motions = {joint.base: _Motion(np.eye(3), np.zeros(3))}
    for hinge in joint.hinges:
        carrier = motions[hinge.on]
        k = joint.angles.index(hinge.angle)
        axis = carrier.rotation @ hinge.axis
        center = carrier.rotation @ hinge.center_mm + carrier.shift
        turn = rotation_about(axis * hinge.follows * angles[k])
        motions[hinge.part] = _Motion(
            turn @ carrier.rotation,
            turn @ (carrier.shift - center) + center,
            (*carrier.hinges, (k, axis * hinge.follows, center)),
        )
    return motions
