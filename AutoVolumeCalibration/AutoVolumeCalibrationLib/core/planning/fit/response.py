"""How a pose follows the points of the constellation: rotations, and the difference of two frames."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...anatomy.protocol import Line, Protocol
from .anatomical_frame import AnatomicalFrame
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

    Generalised least squares over the expected positions of the whole constellation.
    """
    names = protocol.constellation.names
    moved = np.array([found.expected_mm[name] - true.expected_mm[name] for name in names])
    return _constellation_response(protocol) @ (moved @ true.axes.T / true.scale).ravel()


@lru_cache(maxsize=16)
def _constellation_response(protocol: Protocol) -> np.ndarray:
    """(7, 3n) change of the pose when points move, in head axes and mm."""
    jacobian = pose_jacobian(protocol.constellation.reference_mm)
    weighted = np.linalg.solve(protocol.constellation.covariance_mm2, jacobian)
    return np.linalg.solve(jacobian.T @ weighted, weighted.T)
