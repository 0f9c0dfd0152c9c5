"""Give the slices of one visit the grey values of the other: the same tissue has other values in another contrast.

Where two slices cross they show the same tissue, as far as the registration is right. The mean value that one visit
shows where the other one shows a certain value is a transfer function, also where contrasts are inverted (Guimond et
al., IEEE Trans Med Imaging 2001, 20:58). It exists in both directions, and they are not equally good: two tissues that
one contrast cannot tell apart have one value there and two in the other. The direction that explains more of the values
is used, as the correlation ratio has it (Roche et al., MICCAI 1998, LNCS 1496:1115). Estimate and registration are
repeated in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..geometry.oriented_box import OrientedBox
from ..motion.crossings import CROSSING, REACH_MM
from ..scouts.stack import ScoutSlice, ScoutStack

#: Percentile of a slice's values that counts as 1, and the value below which both slices show air.
BRIGHT, AIR = 99.0, 0.05

#: Support points of the transfer, and samples along a line where two slices cross, mm.
BINS, STEP_MM = 24, 2.0

#: With fewer common samples there is no transfer.
FEWEST_SAMPLES = 200


@dataclass(frozen=True, eq=False)
class Transfer:
    """``given`` (k,), increasing, becomes ``wanted`` (k,), linear in between; both relative to BRIGHT of a slice.

    ``explained`` is the share of the variance of the wanted values that it explains, the correlation ratio, 0..1.
    """

    given: np.ndarray
    wanted: np.ndarray
    explained: float

    def applied(self, stack: ScoutStack) -> ScoutStack:
        """The stack with the values of the other visit."""
        return replace(stack, slices=tuple(replace(s, pixels=self._pixels(s)) for s in stack.slices))

    def _pixels(self, scout_slice: ScoutSlice) -> np.ndarray:
        values = np.interp(scout_slice.pixels / brightness(scout_slice), self.given, self.wanted)
        return values.astype(np.float32)


def brightness(scout_slice: ScoutSlice) -> float:
    """What counts as 1 in a slice."""
    return max(float(np.percentile(scout_slice.pixels, BRIGHT)), 1e-30)


def in_one_contrast(
    follow_up: Sequence[ScoutStack], baseline: Sequence[ScoutStack], region: OrientedBox
) -> tuple[list[ScoutStack], list[ScoutStack]] | None:
    """The stacks of both visits, one of them with the values of the other; None where too little is common.

    Args:
        follow_up, baseline: in one space.
        region: only what lies in it counts.
    """
    pairs = list(_crossing_values(follow_up, baseline, region))
    now, before = (np.concatenate([pair[i] for pair in pairs] or [np.empty(0)]) for i in range(2))
    shown = (now > AIR) | (before > AIR)
    onward, backward = transfer(now[shown], before[shown]), transfer(before[shown], now[shown])
    if onward is None or backward is None:
        return None
    if onward.explained >= backward.explained:
        return [onward.applied(stack) for stack in follow_up], list(baseline)
    return list(follow_up), [backward.applied(stack) for stack in baseline]


def transfer(given: np.ndarray, wanted: np.ndarray) -> Transfer | None:
    """From values (n,) to what is shown at the same places (n,); None where they are too few."""
    if len(given) < FEWEST_SAMPLES:
        return None
    edges = np.unique(np.quantile(given, np.linspace(0, 1, BINS + 1)))
    if len(edges) < 3:
        return None
    number = np.clip(np.digitize(given, edges) - 1, 0, len(edges) - 2)
    count = np.bincount(number, minlength=len(edges) - 1)
    means = [np.bincount(number, values, len(count)) / np.maximum(count, 1) for values in (given, wanted)]
    unexplained = float(np.mean((wanted - means[1][number]) ** 2)) / max(float(np.var(wanted)), 1e-30)
    return Transfer(means[0][count > 0], means[1][count > 0], 1.0 - unexplained)


def _crossing_values(
    first: Sequence[ScoutStack], second: Sequence[ScoutStack], region: OrientedBox
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Values of two slices along the line where they cross, relative to their brightness."""
    along = np.arange(-REACH_MM, REACH_MM + STEP_MM, STEP_MM)
    for one, other in (
        (a, b) for stack_a in first for a in stack_a.slices for stack_b in second for b in stack_b.slices
    ):
        direction = np.cross(one.normal, other.normal)
        if np.linalg.norm(direction) < CROSSING:
            continue
        direction = direction / np.linalg.norm(direction)
        planes = np.stack([one.normal, other.normal, direction])
        depths = [one.normal @ one.origin_mm, other.normal @ other.origin_mm, direction @ region.center_mm]
        points = np.linalg.solve(planes, depths) + along[:, None] * direction
        both = one.shows(points) & other.shows(points) & region.contains(points)
        yield _values(one, points[both]), _values(other, points[both])


def _values(scout_slice: ScoutSlice, points_mm: np.ndarray) -> np.ndarray:
    """Values (n,) at the pixels nearest to points (n, 3) that the slice shows."""
    last = np.array(scout_slice.pixels.shape) - 1
    row, column = np.clip(scout_slice.to_pixel(points_mm).round().astype(int), 0, last).T
    return scout_slice.pixels[row, column] / brightness(scout_slice)
