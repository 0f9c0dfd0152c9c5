"""Checks of the images alone: planes missing, planes without signal, too few slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...geometry.coordinates import PLANES
from ...scouts.stack import ScoutStack
from .check import ERROR, WARNING, Check

#: In an image of anatomy neighbouring pixels are similar: the means of blocks of this many pixels a side vary nearly
#: as much as the pixels do. In noise they vary less, by at least this factor.
EMPTY_BLOCK, EMPTY_RATIO = 4, 0.5

#: Every second pixel suffices for that, and a refit while the user drags a point must be fast.
EMPTY_STEP = 2


def scout_checks(stacks: Sequence[ScoutStack], *, states_risk: bool = False) -> list[Check]:
    """Findings about the images alone: planes missing, planes without signal, too few slices.

    A model of an earlier version does not state the risk of a plan (``states_risk``): there a single slice in a plane
    is a warning by itself, whatever the slice shows.
    """
    findings = []
    present = {stack.plane for stack in stacks}
    absent = [plane for plane in PLANES if plane not in present]
    if absent:
        findings.append(Check("planes", WARNING, f"No {' or '.join(absent)} scout: the plan rests on two planes."))
    empty = sorted({stack.plane for stack in stacks if all(_is_empty(s.pixels) for s in stack.slices)})
    if empty:
        findings.append(
            Check("empty plane", ERROR, f"The {', '.join(empty)} scout shows no anatomy: acquire it again.")
        )
    single = [plane for plane in PLANES if sum(len(s.slices) for s in stacks if s.plane == plane) == 1]
    if single and not states_risk:
        where = f"Only one slice in the {', '.join(single)} plane"
        findings.append(Check("slices", WARNING, f"{where}: check the tilt, or acquire three or more per plane."))
    return findings


def _is_empty(pixels: np.ndarray) -> bool:
    """No structure: the pixels are constant, or vary independently of their neighbours."""
    pixels = np.asarray(pixels, dtype=float)[::EMPTY_STEP, ::EMPTY_STEP]
    spread = float(pixels.std())
    if spread <= 1e-6 * max(1.0, float(np.abs(pixels).max())):
        return True
    rows, columns = (n // EMPTY_BLOCK * EMPTY_BLOCK for n in pixels.shape)
    if not rows or not columns:
        return False
    blocks = pixels[:rows, :columns].reshape(rows // EMPTY_BLOCK, EMPTY_BLOCK, columns // EMPTY_BLOCK, EMPTY_BLOCK)
    return float(blocks.mean(axis=(1, 3)).std()) < EMPTY_RATIO * spread
