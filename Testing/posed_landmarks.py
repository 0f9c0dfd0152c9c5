"""Landmarks of heads whose pose, shape and errors are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol


@dataclass(frozen=True, eq=False)
class Placement:
    """``world = shift + scale * turn @ head``."""

    turn: np.ndarray
    shift: np.ndarray
    scale: float = 1.0

    def __call__(self, head_mm: np.ndarray) -> np.ndarray:
        """World points (..., 3) of head points (..., 3)."""
        return self.shift + self.scale * head_mm @ self.turn.T


STRAIGHT = Placement(np.eye(3), np.zeros(3))


def random_placement(seed: int, scale: float = 1.0, angle_deg: float | None = None) -> Placement:
    """A rotation by ``angle_deg`` about a random axis (any rotation when None) and a shift of decimetres."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = rng.uniform(0, np.pi) if angle_deg is None else np.deg2rad(angle_deg)
    return Placement(Rotation.from_rotvec(axis * angle).as_matrix(), rng.uniform(-200, 200, 3), scale)


def landmarks_at(
    protocol: Protocol, head_mm: np.ndarray | None = None, placement: Placement = STRAIGHT, sd_mm: float = 1.0
) -> list[Landmark]:
    """Predicted landmarks at head points (n, 3) of the protocol's constellation, its reference when None."""
    constellation = protocol.constellation
    points = placement(constellation.reference_mm if head_mm is None else head_mm)
    covariance = np.eye(3) * sd_mm**2
    return [
        Landmark(name, point, covariance, 0.8, PREDICTED, ("sagittal",))
        for name, point in zip(constellation.names, points, strict=True)
    ]


def random_shape(protocol: Protocol, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) head points of an individual drawn from the constellation's shape covariance."""
    constellation = protocol.constellation
    root = np.linalg.cholesky(constellation.covariance_mm2)
    return constellation.reference_mm + (root @ rng.normal(size=len(root))).reshape(-1, 3)


def with_errors(landmarks: list[Landmark], rng: np.random.Generator) -> list[Landmark]:
    """The landmarks off by an error drawn from their own covariance."""
    return [
        replace(m, position_mm=m.position_mm + rng.multivariate_normal(np.zeros(3), m.covariance_mm2))
        for m in landmarks
    ]


def moved(landmark: Landmark, placement: Placement) -> Landmark:
    """The landmark in a world that was turned, shifted and scaled; missing ones stay missing."""
    if landmark.position_mm is None:
        return landmark
    spread = placement.scale * placement.turn
    return replace(
        landmark,
        position_mm=placement(landmark.position_mm),
        covariance_mm2=spread @ landmark.covariance_mm2 @ spread.T,
    )


def without(landmarks: list[Landmark], *names: str) -> list[Landmark]:
    """The same list with the named ones missing."""
    return [Landmark(m.name) if m.name in names else m for m in landmarks]


def replaced(landmarks: list[Landmark], *changed: Landmark) -> list[Landmark]:
    """The same list with some landmarks exchanged by name."""
    new = {m.name: m for m in changed}
    return [new.get(m.name, m) for m in landmarks]


def named(landmarks: list[Landmark], name: str) -> Landmark:
    """The landmark of that name."""
    return next(m for m in landmarks if m.name == name)


def known_exactly(landmarks: list[Landmark]) -> list[Landmark]:
    """The same places without error: placed by a person, but for AC and PC, so that no line is drawn through these."""
    placed = [m if m.name in ("AC", "PC") else m.corrected(m.position_mm) for m in landmarks]
    return [replace(m, covariance_mm2=np.eye(3) * 1e-8) for m in placed]
