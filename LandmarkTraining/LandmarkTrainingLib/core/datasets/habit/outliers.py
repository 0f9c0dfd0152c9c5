"""Which exams were planned otherwise than the site usually does: median, median absolute deviation, and a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: Median absolute deviation to standard deviation, for normally distributed values.
_MAD_TO_SD = 1.4826

#: Exams that follow the habit exceed the limit this often, in any of their values.
CHANCE = 0.01

#: Values that ``outlier_limit`` draws.
_SIMULATED = 400_000

#: Smaller scatter, in deg and mm, drowns in that of the landmarks.
LEAST_SD = 0.5


@dataclass(frozen=True)
class Outlier:
    """An exam that was planned otherwise, and how, a phrase each."""

    name: str
    reasons: tuple[str, ...]


def robust_sd(values: Sequence[float] | np.ndarray) -> float:
    """Standard deviation by the median absolute deviation, corrected for few values (Croux and Rousseeuw 1992)."""
    values = np.asarray(values, dtype=float)
    few = len(values) / (len(values) - 0.8) if len(values) > 1 else 1.0
    return float(np.median(np.abs(values - np.median(values))) * _MAD_TO_SD * few)


@lru_cache
def outlier_limit(exams: int, values: int) -> float:
    """Robust standard deviations from the median that ``CHANCE`` of ordinary exams exceed in any of their values.

    Simulated for normally distributed values (always with the same numbers): with few exams the scatter itself is
    uncertain, and the limit high.

    Args:
        exams: 3 or more; values: compared per exam.
    """
    draws = np.random.default_rng(0).normal(size=(_SIMULATED // exams + 1, exams))
    distances = np.abs(draws - np.median(draws, axis=1, keepdims=True))
    few = exams / (exams - 0.8)
    spread = np.median(distances, axis=1, keepdims=True) * _MAD_TO_SD * few
    return float(np.quantile(distances / spread, 1 - CHANCE / values))


def deviations(table: Mapping[str, np.ndarray]) -> dict[int, list[str]]:
    """Exam number -> names of its values beyond the limit.

    Args:
        table: name of a value -> (exams,) numbers in mm or deg.
    """
    found: dict[int, list[str]] = {}
    for name, values in table.items():
        limit = outlier_limit(len(values), len(table)) * max(robust_sd(values), LEAST_SD)
        for number in np.flatnonzero(np.abs(values - np.median(values)) > limit):
            found.setdefault(int(number), []).append(name)
    return found
