"""Which exams were planned otherwise than the site usually does: median, median absolute deviation, and a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: Median absolute deviation to standard deviation, for normally distributed values.
_MAD_TO_SD = 1.4826

#: The share of the information about a standard deviation that the median absolute deviation uses (Rousseeuw and Croux,
#: Journal of the American Statistical Association 1993).
_MAD_EFFICIENCY = 0.37

#: Exams that follow the habit exceed the limit this often, in any of their values.
CHANCE = 0.01

#: Smaller scatter is not told apart from that of the landmarks.
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


def outlier_limit(exams: int, values: int) -> float:
    """Robust standard deviations from the median that fewer than ``CHANCE`` of ordinary exams exceed in any value.

    The quantile of Student's t with as many degrees of freedom as the median absolute deviation is worth: with few
    exams the scatter itself is uncertain.

    Args:
        exams: 3 or more; values: compared per exam.
    """
    from scipy.stats import t

    freedom = max(1.0, _MAD_EFFICIENCY * (exams - 1))
    own_error = np.sqrt(1 + np.pi / 2 / exams)
    return float(t.ppf(1 - CHANCE / 2 / values, freedom) * own_error)


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
