"""The rigid offsets of the stacks that make their crossing slices agree best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry.oriented_box import OrientedBox
from ..scouts.stack import ScoutStack
from .crossings import PARAMETERS, Crossings, Profiles

#: Pixels and samples of the coarse and the fine comparison, mm, and the most steps of each.
PIXELS_MM, STEPS = (4.0, 2.0), (6, 6)

#: Standard deviation of the offsets between stacks that are looked for: rotation in rad, shift in mm.
OFFSET_SD = np.array([np.deg2rad(2.0)] * 3 + [2.0] * 3)

#: A step smaller than this (rad, mm) ends the search.
SMALLEST_STEP = np.array([5e-4] * 3 + [0.04] * 3)

#: A sample that differs by more than this many standard deviations loses weight (Geman-McClure).
ROBUST_SCALE = 2.0

#: Neighbouring samples and lines are not independent: so large a share of the samples counts.
EFFECTIVE_SHARE = 0.09

#: In the comparison of the profiles themselves so large a share of the samples counts.
COMPARED_SHARE = 0.2

#: The profiles of a head at rest differ at least this much, in their standard deviations.
SMALLEST_DIFFERENCE = 0.05


@dataclass(frozen=True, eq=False)
class OffsetFit:
    """What the crossing slices say about the offsets of b bodies.

    The log likelihood of offsets x (6b,) is about ``evidence @ x - x @ information @ x / 2``, up to a constant.

    Attributes:
        offsets: (b, 6) most likely offsets of the bodies' geometry: rotation vector in rad about ``center_mm``, shift
            in mm.
        information: (6b, 6b); offsets shared by all bodies have none.
        evidence: (6b,).
        correlation: mean correlation of the profiles, -1..1.
        center_mm: (3,) RAS.
    """

    offsets: np.ndarray
    information: np.ndarray
    evidence: np.ndarray
    correlation: float
    center_mm: np.ndarray


def fit_offsets(
    stacks: Sequence[ScoutStack], bodies: Sequence[int], region: OrientedBox | None = None
) -> OffsetFit | None:
    """The offsets of the stacks' bodies; None where no slices of two bodies cross within the images.

    Args:
        bodies: (n,) number of each stack's body, 0 and up: stacks of one body cannot have moved against each other.
        region: only what lies in it is compared; all where None.
    """
    offsets = np.zeros((max(bodies) + 1, PARAMETERS))
    fit = None
    for pixel_mm, steps in zip(PIXELS_MM, STEPS, strict=True):
        crossings = Crossings(stacks, bodies, pixel_mm, region)
        for _ in range(steps):
            fit = _fit_at(offsets, crossings, bodies)
            if fit is None:
                return None
            previous, offsets = offsets, fit.offsets
            if (np.abs(offsets - previous) < SMALLEST_STEP).all():
                break
    return fit


def agreement_gain(stacks: Sequence[ScoutStack], bodies: Sequence[int], offsets: np.ndarray) -> float:
    """How much likelier the profiles are with ``offsets`` (b, 6) than at rest, as log.

    The differences of a pair of stacks are normal with a variance that nobody knows: of n independent samples the
    likelihoods differ by the factor (ratio of their mean squares) ** (n / 2).
    """
    crossings = Crossings(stacks, bodies, PIXELS_MM[-1])
    pairs = zip(*(crossings.profiles(each[list(bodies)]) for each in (np.zeros_like(offsets), offsets)), strict=True)
    gain = 0.0
    for rest, moved in pairs:
        samples = min(rest.known.sum(), moved.known.sum())
        if samples:
            squares = [max(_mean_square(each), SMALLEST_DIFFERENCE**2) for each in (rest, moved)]
            gain += COMPARED_SHARE * samples / 2 * float(np.log(squares[0] / squares[1]))
    return float(gain)


def _mean_square(profiles: Profiles) -> float:
    return float((profiles.difference[profiles.known] ** 2).mean())


def _fit_at(offsets: np.ndarray, crossings: Crossings, bodies: Sequence[int]) -> OffsetFit | None:
    """One step of Gauss-Newton from ``offsets`` (b, 6)."""
    count = offsets.size
    information, pull = np.zeros((count, count)), np.zeros(count)
    correlations: list[np.ndarray] = []
    for profiles in crossings.profiles(offsets[list(bodies)]):
        if not profiles.known.any():
            continue
        rows = [bodies[n] * PARAMETERS + np.arange(PARAMETERS) for n in (profiles.first, profiles.second)]
        block, slope = _normal_equations(profiles, crossings.pixel_mm)
        both = np.concatenate(rows)
        information[np.ix_(both, both)] += block
        pull[both] += slope
        correlations.append(profiles.correlation)
    if not correlations or not (np.isfinite(information).all() and np.isfinite(pull).all()):
        return None
    evidence = pull + information @ offsets.ravel()
    prior = np.diag(np.tile(OFFSET_SD**-2, len(offsets)))
    best = np.linalg.solve(information + prior, evidence).reshape(offsets.shape)
    mean = float(np.mean(np.concatenate(correlations)))
    return OffsetFit(best, information, evidence, mean, crossings.center_mm)


def _normal_equations(profiles: Profiles, pixel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """(12, 12) and (12,) of the offsets of the pair's first and second stack."""
    difference = profiles.difference[profiles.known]
    sd = max(1.4826 * float(np.median(np.abs(difference))), SMALLEST_DIFFERENCE)
    # Samples twice as far apart are less alike.
    share = min(1.0, EFFECTIVE_SHARE * pixel_mm / PIXELS_MM[-1])
    weights = share / sd**2 / (1 + (difference / sd / ROBUST_SCALE) ** 2) ** 2
    slopes = np.concatenate(list(profiles.slopes[:, profiles.known]), axis=1)
    weighted = slopes * weights[:, None]
    return slopes.T @ weighted, -(weighted.T @ difference)
