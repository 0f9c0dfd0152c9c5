"""Which side of the body is the limb on: what its shape says, and where it lies in the scanner."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...anatomy.joint import LEFT, RIGHT
from .robust_fit import Fit

#: A limb in the scanner lies so far from the middle on its own side, mm, and varies by so much: patients are shifted
#: sideways so that the limb comes nearer to the middle, rarely beyond it. Assumed, not measured.
USUAL_MM, USUAL_SD_MM = 80.0, 60.0

#: However far from the middle, the place alone is wrong in one of so many patients: some lie on their side.
ONE_IN = 20.0


def side_of(fits: Mapping[str, Fit], stated: str = "") -> tuple[str, float]:
    """The stated side, or that of the likelier fit; and how probable it is. Of a single fit that one, with 1.

    Args:
        fits: side -> fit of the same points.
    """
    if len(fits) == 1:
        return next(iter(fits)), 1.0
    right, left = fits[RIGHT], fits[LEFT]
    # The posterior densities, and the patient's right side is at positive x in RAS.
    middle_mm = float(right.pose.translation[0] + left.pose.translation[0]) / 2
    log_odds = (left.cost - right.cost) / 2 + place_log_odds(middle_mm)
    side = stated or (RIGHT if log_odds >= 0 else LEFT)
    in_favour = log_odds if side == RIGHT else -log_odds
    return side, 1 / (1 + math.exp(-max(-50.0, min(50.0, in_favour))))


def place_log_odds(right_mm: float) -> float:
    """Log odds that a limb at ``right_mm`` (RAS x) is a right one, from its place alone."""
    odds = 2 * USUAL_MM * right_mm / USUAL_SD_MM**2
    most = math.log(ONE_IN - 1)
    return max(-most, min(most, odds))
