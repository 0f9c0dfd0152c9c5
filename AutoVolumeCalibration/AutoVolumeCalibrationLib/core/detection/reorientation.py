"""Scouts as the head would see them: the world's axes exchanged for directions of the head.

A head on its side shows its axial anatomy on "coronal" slices. Told in the head's own axes, every slice is of the plane
that it shows, which is what a network has learnt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import Landmark
from ..scouts.stack import ScoutSlice, ScoutStack, plane_of

if TYPE_CHECKING:
    from .detector import StackDetections


def in_head_space(stacks: Iterable[ScoutStack], axes: np.ndarray) -> list[ScoutStack]:
    """The same stacks in the same order, with their geometry in head coordinates and the planes that follow from it.

    Args:
        axes: (3, 3), rows are the head's right, anterior and superior directions in RAS; the origin stays.
    """
    turned = []
    for stack in stacks:
        slices = tuple(_turned(scout_slice, axes) for scout_slice in stack.slices)
        turned.append(replace(stack, plane=plane_of(slices[0].normal), slices=slices))
    return turned


def _turned(scout_slice: ScoutSlice, axes: np.ndarray) -> ScoutSlice:
    origin, column, row = (
        axes @ vector for vector in (scout_slice.origin_mm, scout_slice.column_axis, scout_slice.row_axis)
    )
    return replace(scout_slice, origin_mm=origin, column_axis=column, row_axis=row)


def points_in_head_space(landmarks: Iterable[Landmark], axes: np.ndarray) -> list[Landmark]:
    """The landmarks that have a place, in head coordinates."""
    placed = [mark for mark in landmarks if mark.position_mm is not None]
    return [
        replace(mark, position_mm=axes @ mark.position_mm, covariance_mm2=axes @ mark.covariance_mm2 @ axes.T)
        for mark in placed
    ]


def back_from_head_space(detections: Sequence[StackDetections], axes: np.ndarray) -> list[StackDetections]:
    """What was detected in head space, told in RAS: in-plane coordinates stay, the axes they run along turn back."""
    return [replace(seen, axes=seen.axes @ axes) for seen in detections]
