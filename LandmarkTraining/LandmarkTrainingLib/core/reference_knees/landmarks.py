"""All landmarks of a knee from its bones, and the knee's own axes.

The rules look along the knee's axes, which come from the landmarks: right along the rear of the condyles, superior
along the femoral shaft. Starting from the axes of the image, a few rounds settle both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AutoVolumeCalibrationLib.core.geometry.coordinates import unit

from .bones import KneeBones
from .femur_landmarks import epicondylar_width, femur_landmarks, shaft_direction
from .patella_landmarks import patella_landmarks
from .tibia_landmarks import tibia_landmarks

ROUNDS = 4


@dataclass(frozen=True, eq=False)
class KneeLandmarks:
    """``points_mm``: name -> (3,) in the coordinates of the bones; ``axes`` (3, 3): rows right, anterior, superior."""

    points_mm: dict[str, np.ndarray]
    axes: np.ndarray


def find_landmarks(bones: KneeBones) -> KneeLandmarks:
    """The landmarks of a right knee whose image axes are within about 15 deg of its own."""
    axes = np.eye(3)
    for _ in range(ROUNDS):
        turned = bones.rotated(axes)
        local = femur_landmarks(turned.femur)
        superior = shaft_direction(turned.femur, local)
        local |= tibia_landmarks(turned.tibia, epicondylar_width(local))
        local |= patella_landmarks(turned.patella)
        points = {name: place @ axes for name, place in local.items()}
        axes = knee_axes(points["COND_POST_R"] - points["COND_POST_L"], superior @ axes)
    return KneeLandmarks(points, axes)


def knee_axes(right: np.ndarray, superior: np.ndarray) -> np.ndarray:
    """(3, 3) rows right, anterior, superior: ``right`` exact, ``superior`` made perpendicular to it."""
    right = unit(right)
    superior = unit(superior - (superior @ right) * right)
    return np.stack([right, np.cross(superior, right), superior])
