"""The axes of the frame: those of the fitted anatomy, of a part of a joint or between two, or along placed lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...anatomy.axis_lines import AxisLine, along_lines, response_of_lines
from ...anatomy.joint import Joint
from ...anatomy.protocol import Protocol
from ...geometry.rotations import rotation_about, rotation_vector
from .pose import Pose, pose_jacobian

#: A part's rotation settles within this many rounds: it starts a few degrees off, and errors fall with the square.
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class FollowedAxes:
    """Axes that follow expected points.

    Attributes:
        axes: (3, 3), rows right, anterior, superior in RAS.
        response: (3, n, 3) rotation vector, RAS rad, per mm of each expected point.
    """

    axes: np.ndarray
    response: np.ndarray

    def along(self, lines: tuple[AxisLine, ...], landmarks_mm: Mapping[str, np.ndarray]) -> FollowedAxes:
        """The same turned along lines through the points."""
        if not lines:
            return self
        response = response_of_lines(self.axes, lines, landmarks_mm, self.response)
        return FollowedAxes(along_lines(self.axes, lines, landmarks_mm), response)


def part_axes(joint: Joint, pose: Pose, points_mm: np.ndarray) -> dict[str, FollowedAxes]:
    """Part -> its axes: generalised least squares of its expected landmarks over the shape that varies.

    Args:
        pose: of the fit, where the search starts; points_mm: (n, 3) RAS of all landmarks.
    """
    return {part: _part_axes(joint, own, pose, points_mm) for part, own in joint.parts.items()}


def blended(shares: Mapping[str, float], parts: Mapping[str, FollowedAxes]) -> FollowedAxes:
    """The axes between parts: those of the first, turned towards each of the others by its share."""
    names = list(shares)
    first = parts[names[0]]
    vector = np.zeros(3)
    response = first.response * shares[names[0]]
    for name in names[1:]:
        other = parts[name]
        # Rows are axes in RAS: the rotation in RAS that brings the first part's onto the other's.
        vector += shares[name] * rotation_vector(other.axes.T @ first.axes)
        response = response + shares[name] * other.response
    return FollowedAxes(first.axes @ rotation_about(vector).T, response)


def followed_part(protocol: Protocol, joint: Joint) -> Mapping[str, float]:
    """Part -> share of the protocol's frame: what it states, or the part that carries the others."""
    return protocol.frame.follows or {joint.base: 1.0}


def _part_axes(joint: Joint, own: np.ndarray, pose: Pose, points_mm: np.ndarray) -> FollowedAxes:
    rows = (3 * own[:, None] + np.arange(3)).ravel()
    reference = joint.reference_mm[own] - joint.reference_mm[own].mean(axis=0)
    # About the part's middle, where its rotation depends least on the other parameters.
    jacobian = pose_jacobian(reference)
    weighted = np.linalg.solve(joint.shape_mm2[np.ix_(rows, rows)], jacobian)
    response = np.linalg.solve(jacobian.T @ weighted, weighted.T)[:3]
    points = points_mm[own] - points_mm[own].mean(axis=0)
    rotation = pose.rotation
    for _ in range(_ROUNDS):
        off = points @ rotation / pose.scale - reference
        rotation = rotation @ rotation_about(response @ off.ravel())
    in_world = np.zeros((3, len(points_mm), 3))
    per_point = response.reshape(3, len(own), 3) / pose.scale
    in_world[:, own] = np.einsum("ai,inj,bj->anb", rotation, per_point, rotation)
    return FollowedAxes(rotation.T, in_world)
