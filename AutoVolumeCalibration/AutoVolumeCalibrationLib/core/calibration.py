"""The whole result of one calibration, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .boxes import OrientedBox
from .landmarks import Landmark

if TYPE_CHECKING:
    from .coverage import Coverage
    from .prescription import Prescription
    from .protocols import Protocol
    from .scouts import ScoutStack

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


@dataclass(frozen=True)
class Check:
    """One finding about the scouts or the plan: level is "ok", "warning" or "error"."""

    name: str
    level: str
    message: str


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """Which model found the landmarks, on which device it ran, and the error that its landmarks share.

    ``pose_covariance`` is (7, 7) as ``frame.fit_frame`` takes it, None where it was not measured. ``threshold`` is
    a person's choice of the peak height below which a landmark is not found, None for the model's own. ``given`` are
    the landmarks whose places the model was told before it looked for the others. ``coverage`` tells what the stated
    uncertainty of some boxes is worth.
    """

    name: str
    sha256: str
    device: str
    pose_covariance: np.ndarray | None = None
    threshold: float | None = None
    given: tuple[str, ...] = ()
    coverage: tuple[Coverage, ...] = ()


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that one calibration found out, and what it was found from.

    ``predicted`` keeps the network's own landmarks, so that a correction can be taken back, and ``disagreeing`` the
    names of those on which the planes disagreed.
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
    disagreeing: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """True where a check says: do not trust without review."""
        return any(check.level == ERROR for check in self.checks)
