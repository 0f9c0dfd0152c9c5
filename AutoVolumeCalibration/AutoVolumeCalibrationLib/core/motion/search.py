"""Find motion between the stacks of a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..scouts.stack import ScoutStack
from .crossings import PARAMETERS
from .decision import Hypothesis, MotionRule, against_rest, detectable, hypotheses
from .estimate import agreement_gain, fit_offsets
from .motion import FOUND, NONE, NOT_COMPARABLE, ONE_VOLUME, Motion, StackOffset

DEFAULT_RULE = MotionRule()


def find_motion(stacks: Sequence[ScoutStack], rule: MotionRule = DEFAULT_RULE) -> Motion:
    """Whether the head moved between the stacks, from the images where their slices cross.

    Stacks that were cut from one volume form one body, which cannot have moved within itself.
    """
    bodies = bodies_of(stacks)
    if max(bodies) == 0:
        return Motion(ONE_VOLUME if len(stacks) > 1 else NOT_COMPARABLE)
    fit = fit_offsets(stacks, bodies)
    if fit is None or fit.correlation < rule.least_correlation:
        return Motion(NOT_COMPARABLE)
    best = hypotheses(fit, _reference(stacks, bodies), rule)[0]
    smallest_mm, smallest_deg = detectable(fit, rule)
    log_odds = best.log_odds
    if log_odds > rule.log_odds:
        log_odds = against_rest(best, agreement_gain(stacks, bodies, best.of_all(len(fit.offsets))))
    found = log_odds > rule.log_odds
    return Motion(
        state=FOUND if found else NONE,
        offsets=_offsets(best, stacks, bodies) if found else (),
        followed=tuple((n, s.plane) for n, s in enumerate(stacks) if bodies[n] not in best.moved) if found else (),
        ambiguous=found and len(fit.offsets) == 2,
        detectable_mm=smallest_mm,
        detectable_deg=smallest_deg,
        log_odds=log_odds,
        center_mm=fit.center_mm,
    )


def bodies_of(stacks: Sequence[ScoutStack]) -> list[int]:
    """(n,) number of the body of each stack: one for all stacks of a volume, one for every other stack."""
    keys = [stack.volume or f"stack {number}" for number, stack in enumerate(stacks)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return [numbers[key] for key in keys]


def _reference(stacks: Sequence[ScoutStack], bodies: Sequence[int]) -> int:
    """The body that is followed where no two agree: the one with the most slices, the first of equals."""
    slices = [0] * (max(bodies) + 1)
    for body, stack in zip(bodies, stacks, strict=True):
        slices[body] += len(stack.slices)
    return slices.index(max(slices))


def _offsets(best: Hypothesis, stacks: Sequence[ScoutStack], bodies: Sequence[int]) -> tuple[StackOffset, ...]:
    result = []
    for number, stack in enumerate(stacks):
        if bodies[number] not in best.moved:
            continue
        place = best.moved.index(bodies[number])
        offset = best.offsets[place]
        variances = np.diagonal(best.covariance)[place * PARAMETERS :][:PARAMETERS]
        sd_rad, sd_mm = np.sqrt([variances[:3].mean(), variances[3:].mean()])
        result.append(
            StackOffset(
                number, stack.plane, np.rad2deg(offset[:3]), offset[3:], float(np.rad2deg(sd_rad)), float(sd_mm)
            )
        )
    return tuple(result)
