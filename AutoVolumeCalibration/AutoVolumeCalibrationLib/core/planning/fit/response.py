"""How a pose follows the points of the constellation: rotations, and the difference of two frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...anatomy.protocol import Line, Protocol
from .anatomical_frame import AnatomicalFrame
from .body import body_of
from .pose import pose_jacobian


def rotation_response(protocol: Protocol, line: Line | None) -> np.ndarray:
    """How the frame rotates when expected points move: (3, 3n), rad per mm, in head axes.

    Row 0 (pitch) follows the line, or the whole constellation when ``line`` is None; rows 1 and 2 (roll, yaw) follow
    the generalised least squares pose of the whole constellation. Used to carry the points'
    covariance over to angles and faces.
    """
    response = _constellation_response(protocol)[:3]
    if line is None:
        return response
    names = protocol.constellation.names
    response = response.copy()
    response[0] = 0
    reference = protocol.constellation.reference_mm
    ends = [[names.index(name) for name in end] for end in line]
    start, end = (reference[i].mean(axis=0) for i in ends)
    forward, up = (end - start)[1:]
    length2 = forward**2 + up**2
    for indices, sign in zip(ends, (-1, 1), strict=True):
        for i in indices:
            response[0, 3 * i + 2] += sign * forward / length2 / len(indices)
            response[0, 3 * i + 1] -= sign * up / length2 / len(indices)
    return response


def pose_difference(protocol: Protocol, found: AnatomicalFrame, true: AnatomicalFrame) -> np.ndarray:
    """(7,) how the pose of ``found`` differs from that of ``true``, in head axes, as ``pose_covariance`` counts it.

    Generalised least squares over the expected positions of the whole constellation. Of a joint it is the pose of the
    part that carries the others: how far the joint is bent is estimated besides and left out.
    """
    names = protocol.constellation.names
    moved = np.array([found.expected_mm[name] - true.expected_mm[name] for name in names])
    if true.part_axes:
        difference: np.ndarray = _joint_response(protocol, true) @ moved.ravel()
        return difference
    return _constellation_response(protocol) @ (moved @ true.axes.T / true.scale).ravel()


def rotation_variances(protocol: Protocol, frame: AnatomicalFrame) -> np.ndarray:
    """(3,) rad squared: variances of the first three of ``pose_difference`` that a frame's covariance states."""
    if frame.part_axes:
        response = _joint_response(protocol, frame)[:3]
        variances: np.ndarray = ((response @ frame.expected_covariance_mm2) * response).sum(axis=1)
        return variances
    return np.diagonal(frame.covariance)[:3].copy()


def _joint_response(protocol: Protocol, frame: AnatomicalFrame) -> np.ndarray:
    """(7, 3n) change of the pose of a joint's first part when expected points move by mm in RAS, in its own axes."""
    body = body_of(protocol.constellation, frame.side)
    assert body.joint is not None
    angles = np.deg2rad([frame.angles[name].deg for name in body.joint.angles])
    posture = body.posture(angles)
    assert posture is not None
    jacobian = body.jacobian(posture)
    weighted = np.linalg.solve(body.shape, jacobian)
    # The angles are among the parameters, so that a joint that is bent further is not taken for a rotation.
    in_parts = np.linalg.solve(jacobian.T @ weighted, weighted.T)[:7].reshape(7, -1, 3)
    to_parts = np.swapaxes(posture.rotations, 1, 2) @ frame.part_axes[body.joint.base] / frame.scale
    in_world: np.ndarray = np.einsum("kni,nij->knj", in_parts, to_parts).reshape(7, -1)
    return in_world


@lru_cache(maxsize=16)
def _constellation_response(protocol: Protocol) -> np.ndarray:
    """(7, 3n) change of the pose when points move, in head axes and mm."""
    jacobian = pose_jacobian(protocol.constellation.reference_mm)
    weighted = np.linalg.solve(protocol.constellation.covariance_mm2, jacobian)
    return np.linalg.solve(jacobian.T @ weighted, weighted.T)
