"""The whole result of one calibration, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import Landmark
from ..geometry.oriented_box import OrientedBox
from ..planning.checks import ERROR, Check
from ..planning.frame import AnatomicalFrame

if TYPE_CHECKING:
    from ..anatomy.protocol import Protocol
    from ..planning.face_uncertainty import Coverage
    from ..planning.prescription import Prescription
    from ..scouts.stack import ScoutStack


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
