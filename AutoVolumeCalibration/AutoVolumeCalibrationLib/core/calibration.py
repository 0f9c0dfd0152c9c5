"""The whole result of one calibration, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .landmarks import Landmark

if TYPE_CHECKING:
    from .prescription import Prescription
    from .protocols import Protocol
    from .scouts import ScoutStack

#: Order in which faces are written everywhere: along right, anterior, superior, negative side first.
FACES = ("left", "right", "posterior", "anterior", "inferior", "superior")

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True, eq=False)
class AnatomicalFrame:
    """Where the anatomy lies and how it is turned.

    Attributes:
        origin_mm: (3,) RAS.
        axes: (3, 3), rows are the right, anterior, superior unit vectors in RAS; det +1.
        scale: size of the head over the reference constellation's.
        covariance: (6, 6) of (rotation about right, anterior, superior in rad; translation along them in mm).
        expected_mm: where every landmark of the protocol lies according to the fit, name -> (3,) RAS,
            also for missing ones.
        expected_covariance_mm2: (3n, 3n) joint covariance of ``expected_mm`` in its order, RAS.
        residuals_mm: name -> distance between the observed and the fitted place without the
            point's own say (observed landmarks only).
        outliers: names of the landmarks that contradict the others, most first.
        condition_number: of the pose's normal matrix; large means that a direction is hardly determined.
        line: (from, to) landmark names through which the axes are drawn; None: they are the fitted constellation's.
    """

    origin_mm: np.ndarray
    axes: np.ndarray
    scale: float
    covariance: np.ndarray
    expected_mm: Mapping[str, np.ndarray] = field(default_factory=dict)
    expected_covariance_mm2: np.ndarray | None = None
    residuals_mm: Mapping[str, float] = field(default_factory=dict)
    outliers: tuple[str, ...] = ()
    condition_number: float = 1.0
    line: tuple[tuple[str, ...], tuple[str, ...]] | None = None


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """A box in space: center (3,) RAS mm, rows of ``axes`` (right, anterior, superior), full edge lengths.

    ``size_mm`` (3,) is in the order right-left, anterior-posterior, superior-inferior of the box.
    ``face_sd_mm`` maps each of FACES to the standard deviation of its place along its normal.
    """

    name: str
    center_mm: np.ndarray
    axes: np.ndarray
    size_mm: np.ndarray
    face_sd_mm: Mapping[str, float] = field(default_factory=dict)

    def contains(self, points_mm: np.ndarray) -> np.ndarray:
        """Which of the RAS points (n, 3) lie inside; (n,) bool."""
        local = (np.asarray(points_mm, dtype=float) - self.center_mm) @ self.axes.T
        return (np.abs(local) <= self.size_mm / 2).all(axis=-1)

    def corners_mm(self) -> np.ndarray:
        """(8, 3) RAS corners; index bits are (right, anterior, superior)."""
        signs = np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(8)]) - 0.5
        return self.center_mm + signs * self.size_mm @ self.axes


@dataclass(frozen=True)
class Check:
    """One finding about the scouts or the plan: level is "ok", "warning" or "error"."""

    name: str
    level: str
    message: str


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """Which model found the landmarks, on which device it ran, and the error that its landmarks share.

    ``pose_covariance`` is (7, 7) as ``frame.fit_frame`` takes it, None where it was not measured.
    """

    name: str
    sha256: str
    device: str
    pose_covariance: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that one calibration found out, and what it was found from.

    ``predicted`` keeps the network's own landmarks, so that a correction can be taken back.
    """

    stacks: tuple[ScoutStack, ...]
    protocol: Protocol
    landmarks: tuple[Landmark, ...]
    predicted: tuple[Landmark, ...]
    frame: AnatomicalFrame
    box: OrientedBox
    prescription: Prescription
    checks: tuple[Check, ...]
    model: ModelInfo | None
    timings_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_errors(self) -> bool:
        """True where a check says: do not trust without review."""
        return any(check.level == ERROR for check in self.checks)
