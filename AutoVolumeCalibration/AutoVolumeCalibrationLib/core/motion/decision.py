"""Did a stack move against the others? The odds of motion against rest, and the offsets where it is found.

Both hypotheses are Gaussian: at rest all bodies have the offset 0, up to ``MotionRule.rest_sd``; with motion one of
them, or all but one, has an offset drawn from ``OFFSET_SD``. The ratio of their likelihoods has a closed form. It holds
near the fitted offsets. Where little fixes these, as with a single slice of a limb, rest lies far from them, and the
closed form promises a gain that is not there: so what seems to have moved is compared with rest once more, by the
profiles themselves (``against_rest``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .crossings import PARAMETERS
from .estimate import OFFSET_SD, OffsetFit

#: Standard deviations of the noise by which 90 % of the motions of the stated size exceed the threshold.
NINETY_PERCENT = 1.28


@dataclass(frozen=True)
class MotionRule:
    """When motion is stated. Measured by ``Testing/benchmarks/motion.py``; it rests on images alone, on no network.

    Attributes:
        log_odds: motion is found where the log of the likelihood ratio exceeds it.
        rest_sd_deg, rest_sd_mm: by so much crossing slices of a head at rest seem to be offset, in addition to what
            their noise explains: distortion, blurred borders.
        least_correlation: below it the crossing slices show too different things to be compared.
    """

    log_odds: float = 1.0
    rest_sd_deg: float = 0.15
    rest_sd_mm: float = 0.12
    least_correlation: float = 0.4


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """Bodies that moved, against rest.

    Attributes:
        moved: their numbers; offsets: (m, 6); covariance: (6m, 6m).
        log_odds: log of how much likelier it is than rest, by the fit's normal approximation of the likelihood.
        cost: log by which rest is likelier beforehand: the offsets' own improbability, and how many of them there are.
    """

    moved: tuple[int, ...]
    offsets: np.ndarray
    covariance: np.ndarray
    log_odds: float
    cost: float

    def of_all(self, count: int) -> np.ndarray:
        """(count, 6) offsets of all bodies, 0 of those that rested."""
        offsets = np.zeros((count, PARAMETERS))
        offsets[list(self.moved)] = self.offsets
        return offsets


def hypotheses(fit: OffsetFit, reference: int, rule: MotionRule) -> list[Hypothesis]:
    """Each body moved alone, and all but the ``reference`` moved; the likeliest first."""
    count = len(fit.offsets)
    information, evidence = _damped(fit, rule)
    alone = [(body,) for body in range(count)]
    others = tuple(body for body in range(count) if body != reference)
    found = [_hypothesis(moved, information, evidence) for moved in dict.fromkeys([*alone, others])]
    # With two bodies either may have moved: the reference stays.
    found = [h for h in found if count > 2 or reference not in h.moved]
    return sorted(found, key=lambda h: -h.log_odds)


def against_rest(best: Hypothesis, gain: float) -> float:
    """Log odds of motion and rest, given how much likelier the profiles themselves are, as log; never above the fit's.

    The fit's log odds are its gain less the ``cost``; here the measured gain takes the place of the fit's.
    """
    return min(best.log_odds, gain - best.cost)


def detectable(fit: OffsetFit, rule: MotionRule) -> tuple[float, float]:
    """Size of motion of one body, mm and deg, found in 90 % of cases in the least favourable direction."""
    information, _ = _damped(fit, rule)
    sizes = [_detectable_of(information[np.ix_(rows, rows)], rule) for rows in map(_rows, range(len(fit.offsets)))]
    shift, rotation = np.max(sizes, axis=0)
    return float(shift), float(np.rad2deg(rotation))


def _detectable_of(information: np.ndarray, rule: MotionRule) -> tuple[float, float]:
    """Smallest (shift in mm, rotation in rad) of a body with this (6, 6) information."""
    prior = np.diag(OFFSET_SD**2)
    gain = information @ np.linalg.solve(information + np.linalg.inv(prior), information)
    penalty = np.linalg.slogdet(np.eye(PARAMETERS) + prior @ information)[1]
    needed = np.sqrt(2 * rule.log_odds + penalty) + NINETY_PERCENT
    weakest = [max(float(np.linalg.eigvalsh(gain[part, part])[0]), 1e-12) for part in (slice(3, 6), slice(0, 3))]
    shift, rotation = (float(needed / np.sqrt(value)) for value in weakest)
    return shift, rotation


def _damped(fit: OffsetFit, rule: MotionRule) -> tuple[np.ndarray, np.ndarray]:
    """Information and evidence of the bodies' offsets where each has an offset of ``rest_sd`` even at rest."""
    at_rest = np.array([np.deg2rad(rule.rest_sd_deg)] * 3 + [rule.rest_sd_mm] * 3) ** 2
    spread = np.eye(len(fit.information)) + fit.information * np.tile(at_rest, len(fit.offsets))
    information = np.linalg.solve(spread, fit.information)
    return (information + information.T) / 2, np.linalg.solve(spread, fit.evidence)


def _hypothesis(moved: tuple[int, ...], information: np.ndarray, evidence: np.ndarray) -> Hypothesis:
    rows = np.concatenate([_rows(body) for body in moved])
    own, pull = information[np.ix_(rows, rows)], evidence[rows]
    prior = np.diag(np.tile(OFFSET_SD**2, len(moved)))
    covariance = np.linalg.inv(own + np.linalg.inv(prior))
    best = covariance @ pull
    penalty = np.linalg.slogdet(np.eye(len(own)) + prior @ own)[1]
    log_odds, cost = float(pull @ best - penalty) / 2, float(best @ np.linalg.solve(prior, best) + penalty) / 2
    return Hypothesis(moved, best.reshape(-1, PARAMETERS), covariance, log_odds, cost)


def _rows(body: int) -> np.ndarray:
    return body * PARAMETERS + np.arange(PARAMETERS)
