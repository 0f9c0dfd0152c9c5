"""The rigid motion from a follow-up to its baseline, from the images where the slices of both visits cross.

All stacks of a visit form one body, as in ``motion``: where a slice of one visit crosses a slice of the other, both
show the same tissue once the visits are brought together. Slices need not lie at the same places in the anatomy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..geometry.oriented_box import OrientedBox
from ..geometry.rotations import rotation_about
from ..motion.crossings import PARAMETERS
from ..motion.estimate import OFFSET_SD, OffsetFit, fit_offsets
from ..scouts.stack import ScoutSlice, ScoutStack
from .intensities import in_one_contrast

#: So often are the contrasts matched and the visits registered.
ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Registration:
    """How the follow-up lies to the baseline.

    Attributes:
        to_baseline: (4, 4) rigid, moves RAS points of the follow-up to where they lie at the baseline.
        covariance: (6, 6) of rotation vector in rad about ``center_mm``, and shift in mm, in the baseline's RAS.
        center_mm: (3,) RAS of the baseline.
        correlation: of the visits along the lines where their slices cross, mean, -1..1.
    """

    to_baseline: np.ndarray
    covariance: np.ndarray
    center_mm: np.ndarray
    correlation: float


def register(
    follow_up: Sequence[ScoutStack], baseline: Sequence[ScoutStack], start: np.ndarray, region: OrientedBox
) -> Registration | None:
    """Bring the scouts of a follow-up onto those of its baseline.

    Args:
        start: (4, 4) rigid, about what ``Registration.to_baseline`` will be: within 5 deg and 5 mm.
        region: in the baseline's RAS; what lies outside, such as the neck, may have moved and does not count.

    Returns:
        None where the slices of the two visits do not cross in the region.
    """
    to_baseline, fit = start, None
    bodies = [0] * len(baseline) + [1] * len(follow_up)
    for _ in range(ROUNDS):
        there = [moved_stack(stack, to_baseline) for stack in follow_up]
        alike = in_one_contrast(there, baseline, region)
        if alike is None:
            return None
        now, before = alike
        fit = fit_offsets([*before, *now], bodies, region)
        if fit is None:
            return None
        to_baseline = _relative_motion(fit) @ to_baseline
    if fit is None:
        return None
    information = fit.information[PARAMETERS:, PARAMETERS:] + np.diag(OFFSET_SD**-2) / 2
    return Registration(to_baseline, np.linalg.inv(information), fit.center_mm, fit.correlation)


def moved_stack(stack: ScoutStack, transform: np.ndarray) -> ScoutStack:
    """The stack moved by a rigid (4, 4) transform."""
    return replace(stack, slices=tuple(_moved_slice(s, transform) for s in stack.slices))


def _moved_slice(scout_slice: ScoutSlice, transform: np.ndarray) -> ScoutSlice:
    rotation = transform[:3, :3]
    return replace(
        scout_slice,
        origin_mm=rotation @ scout_slice.origin_mm + transform[:3, 3],
        row_axis=rotation @ scout_slice.row_axis,
        column_axis=rotation @ scout_slice.column_axis,
    )


def _relative_motion(fit: OffsetFit) -> np.ndarray:
    """(4, 4): what the offset of the follow-up is, seen from the baseline's."""
    baseline, follow_up = (rigid_about(offset, fit.center_mm) for offset in fit.offsets)
    relative: np.ndarray = np.linalg.inv(baseline) @ follow_up
    return relative


def rigid_about(offset: np.ndarray, center_mm: np.ndarray) -> np.ndarray:
    """(4, 4) of a rotation vector in rad about ``center_mm`` and a shift in mm, (6,)."""
    transform = np.eye(4)
    transform[:3, :3] = rotation_about(offset[:3])
    transform[:3, 3] = center_mm - transform[:3, :3] @ center_mm + offset[3:]
    return transform
