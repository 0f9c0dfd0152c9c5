"""The risk of one plan, and what to say about it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ...anatomy.protocol import Protocol
from ...errors import shortened
from ..frame import AnatomicalFrame
from .features import line_names
from .model import WRONG_CENTER_MM, WRONG_ROTATION_DEG

#: The axes of the head about which a plan is pitched, rolled and yawed, and the plane that shows each.
_SHOWN_BY = {"pitch": "sagittal", "roll": "coronal", "yaw": "axial"}


@dataclass(frozen=True)
class PlanRisk:
    """How probable it is that a plan is wrong, ``model.WRONG_ROTATION_DEG`` and ``WRONG_CENTER_MM``.

    Attributes:
        probability: 0..1.
        warning, error: of the model: above them the plan is to be reviewed, and must not be used unchanged.
    """

    probability: float
    warning: float
    error: float

    def to_dict(self) -> dict[str, float]:
        """The entry `risk` of calibration.json."""
        return {name: float(value) for name, value in vars(self).items()}


def risk_in_words(probability: float) -> str:
    """ "about 1 in 12 plans like this one is off ...", for any probability."""
    if probability >= 0.95:
        share, verb = "Nearly all", "are"
    elif probability >= 0.4:
        share, verb = f"About {round(10 * probability)} in 10", "are"
    elif probability >= 0.01:
        share, verb = f"About 1 in {round(1 / probability)}", "is"
    else:
        share, verb = "Fewer than 1 in 100", "are"
    limits = f"{WRONG_ROTATION_DEG:g} deg or {WRONG_CENTER_MM:g} mm"
    return f"{share} plans like this one {verb} off by more than {limits}"


def where_to_look(frame: AnatomicalFrame, protocol: Protocol, planes: Collection[str]) -> str:
    """The ends of the reference line, and the least certain angle in the plane that shows it, if ``planes`` has it."""
    angle = ("pitch", "roll", "yaw")[int(np.diagonal(frame.covariance)[:3].argmax())]
    where = f" in the {_SHOWN_BY[angle]} scout" if _SHOWN_BY[angle] in planes else ""
    return f"check {shortened(line_names(protocol)[::-1])}, and the {angle}{where}"
