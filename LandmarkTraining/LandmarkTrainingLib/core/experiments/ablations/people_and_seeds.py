"""Intervals over people and seeds: what another training, measured on other people, would show.

A network is trained from s seeds, and every training is measured on the same n people: two crossed random factors.
Drawing people alone takes one training for the network; between seeds the same settings differ by about as much as
networks do.

Means have the variance of a two-way random-effects model without replication (Searle, Casella and McCulloch 1992,
Variance Components, ch. 4): the mean over all has the variance ``(MS_people + MS_seeds - MS_rest) / (n s)``, with
Satterthwaite's degrees of freedom. Medians and percentiles have none such; both factors are drawn with replacement
(the pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics 1:386), which is conservative with many seeds, and
somewhat narrow with three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...evaluation.statistics import Interval

RESAMPLES = 1000


@dataclass(frozen=True)
class Difference:
    """First less second of two sets of trainings, measured on the same people.

    Attributes:
        interval: of the difference of the means, mm, at 95 %.
        p_value: two-sided, of no difference.
        percent: the difference relative to the second's mean.
        per_person_sd: the difference in units of the standard deviation of the people's differences.
        seeds: number of trainings of the first and of the second; with one of either the interval is over people only.
        people: how many.
    """

    interval: Interval
    p_value: float
    percent: float
    per_person_sd: float
    seeds: tuple[int, int]
    people: int

    @property
    def over_seeds(self) -> bool:
        return min(self.seeds) > 1


def person_means(errors: Sequence[np.ndarray], subjects: Sequence[str]) -> np.ndarray:
    """(s, n) mean error of each training and person; people in the order of their names.

    Args:
        errors: of each training (slices, landmarks), NaN where nothing is measured.
        subjects: of each slice.
    """
    names, owners = np.unique(np.asarray(subjects), return_inverse=True)
    return np.array([[np.nanmean(of_seed[owners == person]) for person in range(len(names))] for of_seed in errors])


def difference(first: np.ndarray, second: np.ndarray, *, same_trainings: bool = False) -> Difference:
    """First less second.

    Args:
        first, second: (s, n) tables as of :func:`person_means`, of the same n people.
        same_trainings: row by row they are the same training, measured in two ways.
    """
    people = second.mean(axis=0)
    own = first.mean(axis=0) - people
    if same_trainings:
        parts = _parts(first - second)
    else:
        parts = [(_variance(own) / own.size, own.size - 1), *_seed_parts(first), *_seed_parts(second)]
    spread, mean = math.sqrt(_variance(own)), float(own.mean())
    interval, p_value = _interval(mean, parts)
    return Difference(
        interval,
        p_value,
        100 * mean / float(people.mean()),
        mean / spread if spread > 0 else math.copysign(math.inf, mean) if mean else 0.0,
        (len(first), len(second)),
        own.size,
    )


def mean_interval(table: np.ndarray) -> Interval:
    """The mean of a table (s, n) with its interval."""
    return _interval(float(table.mean()), _parts(table))[0]


def crossed_interval(
    errors: Sequence[np.ndarray],
    subjects: Sequence[str],
    statistic: Callable[[np.ndarray], float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of a ``statistic`` of all errors, seeds concatenated; people and seeds are drawn.

    Args:
        errors: of each training (slices, landmarks), NaN where nothing is measured.
        subjects: of each slice.
    """
    names, owners = np.unique(np.asarray(subjects), return_inverse=True)
    cells = [[_finite(of_seed[owners == person]) for person in range(len(names))] for of_seed in errors]
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(resamples if len(names) > 1 else 0):
        seeds, people = (rng.integers(size, size=size) for size in (len(cells), len(names)))
        drawn.append(statistic(np.concatenate([cells[s][p] for s in seeds for p in people])))
    estimate = float(statistic(np.concatenate([cell for row in cells for cell in row])))
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (math.nan, math.nan)
    return Interval(estimate, float(low), float(high))


def _parts(table: np.ndarray) -> list[tuple[float, int]]:
    """(variance, degrees of freedom) whose sum is the variance of the mean of a table (s, n)."""
    people = table.mean(axis=0)
    return [(_variance(people) / people.size, people.size - 1), *_seed_parts(table)]


def _seed_parts(table: np.ndarray) -> list[tuple[float, int]]:
    """What the seeds add to the variance of the mean beyond what the people's means show already."""
    seeds, people = table.shape
    if seeds < 2 or people < 2:
        return []
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    freedom = (seeds - 1) * (people - 1)
    rest_mean_square = float((rest**2).sum() / freedom)
    return [(_variance(table.mean(axis=1)) / seeds, seeds - 1), (-rest_mean_square / (seeds * people), freedom)]


def _interval(estimate: float, parts: Sequence[tuple[float, int]]) -> tuple[Interval, float]:
    """95 % interval and p value of no effect, with Satterthwaite's degrees of freedom."""
    from scipy.stats import t

    # Estimated components may sum to less than one of them: never narrower than that.
    variance = max(sum(value for value, _ in parts), *(value for value, _ in parts))
    if min(freedom for _, freedom in parts) < 1:
        return Interval(estimate, math.nan, math.nan), math.nan
    if variance <= 0:
        return Interval(estimate, estimate, estimate), 1.0 if estimate == 0 else 0.0
    freedom = max(1.0, variance**2 / sum(value**2 / freedom for value, freedom in parts))
    reach, error = float(t.ppf(0.975, freedom)), math.sqrt(variance)
    p_value = 2 * float(t.sf(abs(estimate) / error, freedom))
    return Interval(estimate, estimate - reach * error, estimate + reach * error), p_value


def _variance(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) if values.size > 1 else 0.0


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
