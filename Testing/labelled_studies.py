"""Studies with a few landmarks, whose slices show a bright spot at one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from fake_models import spot_stack

#: Landmark -> RAS mm. Left and right differ in height and depth, so that a mix-up shows.
PLACES = {"SPOT": (13.3, -21.7, 31.9), "LEFT": (-38.0, -25.0, -12.0), "RIGHT": (34.0, -40.0, 14.0)}
NAMES = tuple(PLACES)
MIRROR = np.array([0, 2, 1])


def spot_study(
    name: str = "study",
    stacks: Sequence[ScoutStack] | None = None,
    places: Mapping[str, Sequence[float] | None] = PLACES,
    **provenance: object,
) -> LabelledStudy:
    """A study with these landmarks (None: without a place), three slices through the spot unless stacks are given."""
    if stacks is None:
        stacks = [spot_stack(plane, np.array(PLACES["SPOT"])) for plane in PLANES]
    landmarks = tuple(
        Landmark(mark) if place is None else Landmark(mark).corrected(np.array(place)) for mark, place in places.items()
    )
    return LabelledStudy(name, tuple(stacks), landmarks, dict(provenance))
