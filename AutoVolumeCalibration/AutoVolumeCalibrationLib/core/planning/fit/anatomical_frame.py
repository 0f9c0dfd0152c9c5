"""The result of the fit: position, orientation and size of the anatomy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

#: Where the side of a limb comes from.
FOUND, BY_HEADER, BY_PROTOCOL = "found", "header", "protocol"


@dataclass(frozen=True)
class JointAngle:
    """How far a joint is turned about its hinge's axis against the neutral pose, and the standard deviation of that."""

    deg: float
    sd_deg: float


@dataclass(frozen=True, eq=False)
class AnatomicalFrame:
    """Position, orientation and size of the anatomy.

    Attributes:
        origin_mm: (3,) RAS.
        axes: (3, 3), rows are the right, anterior, superior unit vectors in RAS; det +1.
        scale: size of the head over the reference constellation's.
        covariance: (6, 6) of (rotation about right, anterior, superior in rad; translation along them in mm).
        expected_mm: where every landmark of the protocol lies according to the fit, name -> (3,) RAS,
            also for missing ones.
        expected_covariance_mm2: (3n, 3n) joint covariance of ``expected_mm`` in its order, RAS.
        residuals_mm: name -> distance between the observed position and the one predicted from the other landmarks
            (observed landmarks only).
        outliers: names of the landmarks that contradict the others, the worst first.
        condition_number: of the pose's normal matrix; large means that a direction is hardly determined.
        line: (from, to) landmark names through which the axes are drawn; None: they are the fitted constellation's.
        line_sd_rad: (3,) standard deviation of the rotation of the individual's own lines against the axes, about
            right, anterior, superior, beyond what ``covariance`` states: people differ there from the constellation.
            0 where the axes are drawn through the lines, and where the anatomy does not state it.
        side: side of the body that the limb is on, "right" or "left"; empty where the anatomy has no sides.
        side_probability: how probable that is, given the points and where the limb lies in the scanner; small where
            protocol or header state the other side.
        side_source: FOUND by the fit, or stated: BY_HEADER of the scouts, or BY_PROTOCOL.
        angles: name -> how far the parts of a joint are turned against their neutral pose; empty for one rigid part.
        part_axes: part -> (3, 3) its axes, rows in RAS: the same for all parts in the neutral pose.
        response: (3, n, 3) rotation vector, RAS rad, of ``axes`` per mm of each expected point; None: that of one
            rigid part (``response.rotation_response``).
    """

    origin_mm: np.ndarray
    axes: np.ndarray
    scale: float
    covariance: np.ndarray
    expected_mm: Mapping[str, np.ndarray] = field(default_factory=dict)
    expected_covariance_mm2: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    residuals_mm: Mapping[str, float] = field(default_factory=dict)
    outliers: tuple[str, ...] = ()
    condition_number: float = 1.0
    line: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    line_sd_rad: np.ndarray = field(default_factory=lambda: np.zeros(3))
    side: str = ""
    side_probability: float = 1.0
    side_source: str = FOUND
    angles: Mapping[str, JointAngle] = field(default_factory=dict)
    part_axes: Mapping[str, np.ndarray] = field(default_factory=dict)
    response: np.ndarray | None = None

    @property
    def line_covariance(self) -> np.ndarray:
        """(6, 6) ``covariance`` of the axes seen as those of the individual's own lines.

        No further slice and no further landmark makes ``line_sd_rad`` smaller, only placing the lines' ends.
        """
        claimed = self.covariance.copy()
        claimed[:3, :3] += np.diag(self.line_sd_rad**2)
        return claimed
