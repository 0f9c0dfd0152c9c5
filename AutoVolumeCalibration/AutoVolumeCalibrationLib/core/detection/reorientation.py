"""Scout geometry expressed in the head frame.

A head on its side shows its axial anatomy on "coronal" slices. In the head's own axes every slice is of the anatomical
plane that it shows, as in training.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import Landmark
from ..scouts.stack import ScoutSlice, ScoutStack, plane_of
from .derotation import in_plane_angle, standard_orientation

if TYPE_CHECKING:
    from .detector import StackDetections


def in_head_space(stacks: Iterable[ScoutStack], axes: np.ndarray) -> list[ScoutStack]:
    """The same stacks in the same order, with their geometry in head coordinates and the planes that follow from it.

    Args:
        axes: (3, 3), rows are the head's right, anterior and superior directions in RAS; the origin stays.
    """
    result = []
    for stack in stacks:
        slices = tuple(_slice_in_head_space(scout_slice, axes) for scout_slice in stack.slices)
        result.append(replace(stack, plane=plane_of(slices[0].normal), slices=slices))
    return result


def is_turned(stack: ScoutStack, axes: np.ndarray, largest_deg: float) -> bool:
    """Whether a head is turned in the slices of a stack by more than ``largest_deg``, or seen in another plane.

    Args:
        axes: (3, 3), rows are the head's right, anterior and superior directions in RAS.
    """
    (in_head,) = in_head_space([stack], axes)
    if in_head.plane != stack.plane:
        return True
    first = standard_orientation(stack.slices[0], stack.plane)
    return abs(in_plane_angle(first, stack.plane, axes)) > np.deg2rad(largest_deg)


def _slice_in_head_space(scout_slice: ScoutSlice, axes: np.ndarray) -> ScoutSlice:
    origin, column, row = (
        axes @ vector for vector in (scout_slice.origin_mm, scout_slice.column_axis, scout_slice.row_axis)
    )
    return replace(scout_slice, origin_mm=origin, column_axis=column, row_axis=row)


def points_in_head_space(landmarks: Iterable[Landmark], axes: np.ndarray) -> list[Landmark]:
    """The landmarks that have a position, in head coordinates."""
    return [
        replace(
            landmark,
            position_mm=axes @ landmark.position_mm,
            covariance_mm2=axes @ landmark.covariance_mm2 @ axes.T,
        )
        for landmark in landmarks
        if landmark.position_mm is not None and landmark.covariance_mm2 is not None
    ]


def back_from_head_space(detections: Sequence[StackDetections], axes: np.ndarray) -> list[StackDetections]:
    """Detections in head coordinates, expressed in RAS: in-plane coordinates stay, their axes rotate back."""
    return [replace(detection, axes=detection.axes @ axes) for detection in detections]
