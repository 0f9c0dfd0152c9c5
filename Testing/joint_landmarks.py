"""Landmarks of joints whose side and angle are known."""

from __future__ import annotations

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.planning.fit.body import joint_posture
from posed_landmarks import STRAIGHT, Placement, landmarks_at


def joint_points(protocol: Protocol, side: str, angle_deg: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """(n, 3) points of a joint, in the frame of its first part, turned by ``angle_deg`` about its hinges.

    Args:
        rng: draws an individual's shape; None: the typical one.
    """
    joint = protocol.constellation.joints[side]
    points = joint.reference_mm
    if rng is not None:
        root = np.linalg.cholesky(joint.covariance_mm2)
        points = points + (root @ rng.normal(size=len(root))).reshape(-1, 3)
    angles = np.full(len(joint.angles), np.deg2rad(angle_deg))
    return joint_posture(joint, angles, np.arange(len(points)), points).bent(points)


def joint_landmarks(
    protocol: Protocol,
    side: str,
    angle_deg: float = 0.0,
    placement: Placement = STRAIGHT,
    sd_mm: float = 1.0,
    rng: np.random.Generator | None = None,
) -> list[Landmark]:
    """Predicted landmarks at ``joint_points``."""
    return landmarks_at(protocol, joint_points(protocol, side, angle_deg, rng), placement, sd_mm)
