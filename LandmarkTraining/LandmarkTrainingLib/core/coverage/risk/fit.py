"""Fit the risk of a model's plans, and choose above which risk a plan is flagged.

A logistic regression without negative weights, pulled weakly towards weights of zero. What it says of people that it
was not fitted on is measured by leaving each person out in turn, and the operating point is chosen on these
predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from AutoVolumeCalibrationLib.core.detection.model_limits import DEFAULT_LIMITS, ModelLimits
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR
from AutoVolumeCalibrationLib.core.planning.risk.features import LEAST_MM
from AutoVolumeCalibrationLib.core.planning.risk.model import RiskModel

from .cases import RiskCase, values_of
from .studies import NON_HEAD, VOLUMES

#: The quantities that are fitted, a handful: of `brain-scout` 0.1.0 the others of ``features`` made the predictions for
#: people left out worse (log loss of one-slice plans 0.390 with these, 0.405 with all; 249 studies, 27 wrong).
QUANTITIES = ("unclear best", "disagreement", "parts", "tilt", "sparse", "thick", "beside")

#: Standard deviation that a weight per standard deviation of its quantity has before the data: a pull towards 0, as few
#: plans are wrong.
WEIGHT_SD = 0.5

#: Scouts without a head are rare: all of them together count as this share of the heads.
NON_HEAD_SHARE = 0.02

#: Share of the wrong one-slice plans that may stay unflagged, and of the right ones that may be flagged. Where both
#: cannot be had, the second decides: where nearly every plan is flagged, a flag says nothing.
MISSED_SHARE, FLAGGED_SHARE = 0.01, 0.20

#: Fewer real people say nothing about patients.
FEWEST_REAL = 2

#: No smaller risk is flagged, and every larger one is, however many plans that are: a model whose plans are wrong that
#: often needs checking each time.
LEAST_WARNING, LARGEST_WARNING = 0.005, 0.1

#: More likely wrong than right: not to be used unchanged.
ERROR_RISK = 0.5

#: A quantity with a smaller weight does not count, and is left out.
SMALLEST_WEIGHT = 0.01

#: Errors say that a plan is none of the anatomy: they begin so far beyond all but this share of the right plans.
BEYOND_SHARE, BEYOND_PEAK, BEYOND_FACTOR = 0.005, 0.02, 1.1

#: Fewer wrong plans of heads do not determine a regression.
FEWEST_WRONG = 10


@dataclass(frozen=True, eq=False)
class FittedRisk:
    """A risk model with what it says of the cases when it is fitted without their person.

    ``cases`` (n) are the planned ones, ``left_out`` (n,) the probabilities. ``limits`` are those of the model with what
    the cases say of them.
    """

    model: RiskModel
    limits: ModelLimits
    cases: tuple[RiskCase, ...]
    left_out: np.ndarray


def fit_risk(
    cases: Sequence[RiskCase], limits: ModelLimits = DEFAULT_LIMITS, names: Sequence[str] = QUANTITIES
) -> FittedRisk:
    """The risk model of the cases, with its operating points.

    Args:
        limits: of the model whose plans they are.

    Raises:
        InputError: too few plans of heads are wrong.
    """
    planned = [case for case in cases if case.planned]
    measured = measured_limits(planned, limits)
    planned = [with_limits(case, measured) for case in planned]
    wrong = sum(case.wrong for case in planned if case.kind != NON_HEAD)
    if wrong < FEWEST_WRONG:
        raise InputError(
            f"only {wrong} of the studies are planned wrong, {FEWEST_WRONG} are needed",
            remedy="Plan more studies.",
        )
    left_out = _left_out(planned, names)
    warning = choose_warning(planned, left_out)
    fitted = _pruned(_model(planned, names, warning))
    facts = {**_facts(planned), "one_slice": _flags_of_single_slices(planned, left_out, warning)}
    return FittedRisk(replace(fitted, facts=facts), measured, tuple(planned), left_out)


def _pruned(model: RiskModel) -> RiskModel:
    """The model without the quantities that do not count."""
    kept = np.flatnonzero(model.weights >= SMALLEST_WEIGHT)
    if not len(kept):
        return model
    parts = {name: getattr(model, name)[kept] for name in ("mean", "sd", "weights")}
    return replace(model, names=tuple(model.names[i] for i in kept), **parts)


def measured_limits(cases: Sequence[RiskCase], limits: ModelLimits) -> ModelLimits:
    """``limits`` with the errors of the checks "anatomy" and "shape" moved to where no right plan of a head lies.

    Their warnings count for models without a risk only; they stay where they are, unless they would lie beyond.
    """
    right = [case for case in cases if case.planned and not case.wrong]
    peaks, distances = (np.array([case.features[name] for case in right]) for name in ("unclear best", "residual"))
    anatomy_peak = round(float(1 - np.quantile(peaks, 1 - BEYOND_SHARE)) - BEYOND_PEAK, 3)
    shape_mm = round(LEAST_MM * float(np.exp(np.quantile(distances, 1 - BEYOND_SHARE))) * BEYOND_FACTOR, 2)
    return replace(
        limits,
        anatomy_peak=anatomy_peak,
        clear_peak=max(limits.clear_peak, anatomy_peak),
        shape_mm=(min(limits.shape_mm[0], shape_mm), shape_mm),
    )


def with_limits(case: RiskCase, limits: ModelLimits) -> RiskCase:
    """The case as these limits find it: its errors of the checks "anatomy" and "shape" decided anew."""
    beyond = {
        "anatomy": 1 - case.features["unclear best"] < limits.anatomy_peak,
        "shape": LEAST_MM * np.exp(case.features["residual"]) > limits.shape_mm[1],
    }
    others = {name: level for name, level in case.findings.items() if name not in beyond}
    return replace(case, findings={**others, **{name: ERROR for name, is_beyond in beyond.items() if is_beyond}})


def _left_out(cases: Sequence[RiskCase], names: Sequence[str]) -> np.ndarray:
    """(n,) probability of each case by a fit without the person whose it is."""
    persons, values = np.array([case.person for case in cases]), values_of(cases, names)
    found = np.zeros(len(cases))
    for person in np.unique(persons):
        own = persons == person
        others = [case for case, mine in zip(cases, own, strict=True) if not mine]
        found[own] = _model(others, names, ERROR_RISK).probabilities(values[own])
    return found


def _model(cases: Sequence[RiskCase], names: Sequence[str], warning: float) -> RiskModel:
    values, wrong, counts = values_of(cases, names), np.array([case.wrong for case in cases]), case_weights(cases)
    mean, sd = np.average(values, axis=0, weights=counts), values.std(axis=0)
    sd = np.where(sd > 1e-9, sd, 1.0)
    weights, intercept = logistic_fit((values - mean) / sd, wrong, counts)
    return RiskModel(tuple(names), mean, sd, weights, intercept, warning, max(warning, ERROR_RISK))


def case_weights(cases: Sequence[RiskCase]) -> np.ndarray:
    """(n,) how much each case counts: 1, and NON_HEAD_SHARE of the heads for all that show none."""
    no_head = np.array([case.kind == NON_HEAD for case in cases])
    each = NON_HEAD_SHARE * (~no_head).sum() / max(1, no_head.sum())
    return np.where(no_head, min(1.0, each), 1.0)


def logistic_fit(standard: np.ndarray, wrong: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, float]:
    """(weights (f,) >= 0, intercept) that maximise the posterior of ``wrong`` (n,) given ``standard`` (n, f)."""
    from scipy.optimize import minimize

    sign = np.where(wrong, -1.0, 1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        odds = sign * (standard @ parameters[:-1] + parameters[-1])
        slope = counts * sign / (1 + np.exp(-odds))
        pull = parameters[:-1] / WEIGHT_SD**2
        value = counts @ np.logaddexp(0, odds) + pull @ parameters[:-1] / 2
        return float(value), np.append(slope @ standard + pull, slope.sum())

    features = standard.shape[1]
    bounds = [(0.0, None)] * features + [(None, None)]
    found = minimize(loss, np.zeros(features + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    return found[:-1], float(found[-1])


def choose_warning(cases: Sequence[RiskCase], probabilities: np.ndarray) -> float:
    """The risk above which a plan is flagged, from the plans of heads with a single slice in every plane.

    The largest that leaves at most MISSED_SHARE of the wrong ones unflagged, where other checks flag some of them; or
    the smallest that flags at most FLAGGED_SHARE of the right ones, if that is larger; at most LARGEST_WARNING.
    """
    single = np.array([case.slices == 1 and case.kind != NON_HEAD for case in cases])
    wrong, found = np.array([case.wrong for case in cases]), np.array([bool(case.findings) for case in cases])
    missed = np.sort(probabilities[single & wrong & ~found])
    allowed = int(MISSED_SHARE * (single & wrong).sum())
    safe = missed[allowed] * (1 - 1e-6) if len(missed) > allowed else LARGEST_WARNING
    right = [(case, p) for case, p, chosen in zip(cases, probabilities, single & ~wrong, strict=True) if chosen]
    return float(np.clip(max(safe, _usable(right)), LEAST_WARNING, LARGEST_WARNING))


def _usable(right: Sequence[tuple[RiskCase, float]]) -> float:
    """The smallest risk above which at most FLAGGED_SHARE of these right plans lie, where other findings flag some.

    Where there are real heads they decide: simulated ones show more disease and artefacts than patients do. Every
    person has the same weight, regardless of the number of the plans.
    """
    real = [(case, probability) for case, probability in right if case.kind == VOLUMES]
    judged = real if len({case.person for case, _ in real}) >= FEWEST_REAL else right
    plans = Counter(case.person for case, _ in judged)
    weight = {person: 1 / (count * len(plans)) for person, count in plans.items()}
    flagged = sum(weight[case.person] for case, _ in judged if case.findings)
    for case, probability in sorted(((c, p) for c, p in judged if not c.findings), key=lambda pair: -pair[1]):
        flagged += weight[case.person]
        if flagged > FLAGGED_SHARE + 1e-9:
            return probability
    return 0.0


def _flags_of_single_slices(cases: Sequence[RiskCase], probabilities: np.ndarray, warning: float) -> dict[str, int]:
    """What the operating point does to plans of heads with a single slice in every plane."""
    counts = Counter(
        (case.wrong, bool(case.findings) or bool(probability > warning))
        for case, probability in zip(cases, probabilities, strict=True)
        if case.slices == 1 and case.kind != NON_HEAD
    )
    return {
        "right": counts[False, False] + counts[False, True],
        "right_flagged": counts[False, True],
        "wrong": counts[True, False] + counts[True, True],
        "wrong_not_flagged": counts[True, False],
    }


def _facts(cases: Sequence[RiskCase]) -> dict[str, float | int]:
    """What the bundle says about the measurement."""
    heads = [case for case in cases if case.kind != NON_HEAD]
    return {
        "studies": len(heads),
        "people": len({case.person for case in heads}),
        "wrong": sum(case.wrong for case in heads),
        "non_heads": len(cases) - len(heads),
        "missed_share": MISSED_SHARE,
        "flagged_share": FLAGGED_SHARE,
    }
