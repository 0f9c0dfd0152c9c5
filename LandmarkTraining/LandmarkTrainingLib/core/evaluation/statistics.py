"""Confidence intervals and tests of differences between methods, for cases that are correlated within a subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

#: A mean difference below this share of the largest number is a rounding error.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; ``low`` and ``high`` are NaN with fewer than two subjects."""

    estimate: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class PairedComparison:
    """Two methods on the same cases.

    Attributes:
        difference: mean over the subjects of first minus second, with its bootstrap interval.
        p_value: of the Wilcoxon signed-rank test on the subjects' mean differences, two-sided.
        subjects, cases: how many were compared.
    """

    difference: Interval
    p_value: float
    subjects: int
    cases: int


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    subjects: Sequence[str] | np.ndarray,
    statistic: Callable[[np.ndarray], float] = np.mean,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of a ``statistic`` of all cases that draws subjects, not cases, with replacement.

    Drawing cases would take slices of one head for independent and give too narrow an interval (Field and Welsh 2007,
    J. R. Statist. Soc. B 69:369, the cluster bootstrap). With few subjects a percentile interval is somewhat narrow
    all the same: ten give about 90 % for a stated 95 %.

    Args:
        values: of the cases; those that are not finite are left out.
        subjects: of each case.
        statistic: of (n,) values.
    """
    groups = list(_groups(values, subjects).values())
    if not groups:
        return Interval(*[float("nan")] * 3)
    return _interval(groups, lambda drawn: float(statistic(np.concatenate(drawn))), confidence, resamples, seed)


def compare_paired(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    subjects: Sequence[str] | np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods on the same cases; each subject counts once, with the mean over its cases.

    Args:
        first, second: a number for each case; cases where either is not finite are left out.
        subjects: of each case.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} numbers are not pairs")
    with np.errstate(invalid="ignore"):
        groups = _groups(first - second, subjects)
    cases = sum(map(len, groups.values()))
    if not cases:
        return PairedComparison(Interval(*[float("nan")] * 3), float("nan"), 0, 0)
    means = np.array([group.mean() for group in groups.values()])
    finite = np.isfinite(first) & np.isfinite(second)
    largest = max(np.abs(first[finite]).max(), np.abs(second[finite]).max())
    means[np.abs(means) <= _ROUNDING * largest] = 0.0
    difference = _interval_of_mean(means, confidence, resamples, seed)
    return PairedComparison(difference, _signed_rank_p(means), len(means), cases)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm 1979): below 0.05 if significant at 5 % for all tests together.

    NaN stays NaN and does not count as a test.
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")[: np.isfinite(values).sum()]
    corrected = np.full(len(values), np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)))
    return corrected.tolist()


def _groups(values: Sequence[float] | np.ndarray, subjects: Sequence[str] | np.ndarray) -> dict[str, np.ndarray]:
    """Subject -> its finite values; both sorted, so that the result does not depend on the order of the cases."""
    groups: dict[str, list[float]] = {}
    for value, subject in zip(np.asarray(values, dtype=float), subjects, strict=True):
        if np.isfinite(value):
            groups.setdefault(subject, []).append(float(value))
    return {subject: np.sort(groups[subject]) for subject in sorted(groups)}


def _interval(
    groups: Sequence[np.ndarray],
    estimate: Callable[[Sequence[np.ndarray]], float],
    confidence: float,
    resamples: int,
    seed: int,
) -> Interval:
    if len(groups) < 2:
        return Interval(estimate(groups), float("nan"), float("nan"))
    drawn = [estimate([groups[i] for i in draw]) for draw in _draws(len(groups), resamples, seed)]
    return _between(estimate(groups), drawn, confidence)


def _interval_of_mean(values: np.ndarray, confidence: float, resamples: int, seed: int) -> Interval:
    """As ``_interval`` for the mean of groups of one value each (n,), in one step."""
    if len(values) < 2:
        return Interval(float(values.mean()), float("nan"), float("nan"))
    drawn = values[_draws(len(values), resamples, seed)].mean(axis=1)
    return _between(float(values.mean()), drawn, confidence)


def _draws(groups: int, resamples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(groups, size=(resamples, groups))


def _between(estimate: float, drawn: Sequence[float] | np.ndarray, confidence: float) -> Interval:
    low, high = np.percentile(drawn, [50 * (1 - confidence), 50 * (1 + confidence)])
    return Interval(estimate, float(low), float(high))


def _signed_rank_p(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0
