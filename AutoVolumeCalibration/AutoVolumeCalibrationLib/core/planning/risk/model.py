"""The probability that a plan is wrong, by a logistic regression on what the plan shows.

Every quantity is defined so that more of it means more risk, and no weight is negative: whatever makes a plan look
worse never lowers the stated risk. Weights and operating points belong to one model: its bundle carries them, measured
by ``autovolume risk``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: A plan is wrong when it is rotated or moved by more than this against the true one.
WRONG_ROTATION_DEG, WRONG_CENTER_MM = 5.0, 10.0

#: A standardised quantity counts up to this far beyond the middle of those measured: the fit knows nothing further out.
FARTHEST_SD = 6.0


@dataclass(frozen=True, eq=False)
class RiskModel:
    """A logistic regression with f quantities.

    Attributes:
        names: of the quantities, as ``features.plan_features`` gives them.
        mean, sd: (f,) their mean and standard deviation over the studies of the fit.
        weights: (f,) log odds per standard deviation, none negative.
        intercept: log odds of a plan with the mean of all quantities.
        warning, error: stated risks above which a plan is to be reviewed, and must not be used unchanged.
        facts: how it was measured (studies, plans that were wrong, what the operating points were chosen by).
    """

    names: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    weights: np.ndarray
    intercept: float
    warning: float
    error: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    def probability(self, features: Mapping[str, float]) -> float:
        """Risk, 0..1, of a plan that shows these quantities."""
        values = np.array([features[name] for name in self.names])
        return float(self.probabilities(values[None])[0])

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """(n,) risks of plans with these quantities (n, f) in the order of ``names``."""
        standard = np.clip((values - self.mean) / self.sd, -FARTHEST_SD, FARTHEST_SD)
        odds: np.ndarray = 1 / (1 + np.exp(-(standard @ self.weights + self.intercept)))
        return odds

    def to_dict(self) -> dict[str, Any]:
        """The section `risk` of a bundle's metadata and of calibration.json."""
        columns = zip(self.names, self.mean, self.sd, self.weights, strict=True)
        return {
            "wrong": {"rotation_deg": WRONG_ROTATION_DEG, "center_mm": WRONG_CENTER_MM},
            "quantities": [
                {"name": name, "mean": _rounded(mean), "sd": _rounded(sd), "weight": _rounded(weight)}
                for name, mean, sd, weight in columns
            ],
            "intercept": _rounded(self.intercept),
            "warning": _rounded(self.warning),
            "error": _rounded(self.error),
            "measured": dict(self.facts),
        }


def risk_from_dict(entry: Mapping[str, Any], known: tuple[str, ...]) -> RiskModel:
    """The risk stated in a bundle or a result; ValueError where it is damaged or uses quantities not ``known``."""
    try:
        rows = entry["quantities"]
        names = tuple(str(row["name"]) for row in rows)
        mean, sd, weights = (np.array([float(row[key]) for row in rows]) for key in ("mean", "sd", "weight"))
        intercept, warning, error_risk = (float(entry[key]) for key in ("intercept", "warning", "error"))
        facts = dict(entry.get("measured", {}))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its risk is damaged ({error})") from error
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"its risk uses quantities that this version does not know: {', '.join(unknown)}")
    finite = np.isfinite([*mean, *sd, *weights, intercept, warning, error_risk]).all()
    if not names or not finite or (sd <= 0).any() or (weights < 0).any() or not 0 < warning <= error_risk <= 1:
        raise ValueError("its risk is damaged (weights must not be negative, operating points rise from 0 to 1)")
    return RiskModel(names, mean, sd, weights, intercept, warning, error_risk, facts)


def _rounded(value: float) -> float:
    """Five significant digits."""
    return 0.0 if value == 0 else round(float(value), 4 - math.floor(math.log10(abs(value))))
