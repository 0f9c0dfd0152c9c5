"""Several models on the same cases: errors with intervals, differences to the first, and which is better.

The first model is the current one. A case's numbers are those of ``core.evaluation.case_measures``. Intervals come
from a bootstrap over subjects; tests are signed-rank tests on the subjects' mean differences, corrected for all tests
of the comparison (Holm 1979).

A model is **better** than the current one if

- it fails on no more cases,
- the cases are of FEWEST_SUBJECTS people or more: with fewer an equally good model often looks better,
- the mean difference of the in-plane error is below 0 with its whole interval, and
- no other measure got worse beyond noise: for none does the whole interval lie on the worse side of 0.

A case that a model refuses, or on which it does not find half of the landmarks, is a failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..evaluation.case_log import CaseResult
from ..evaluation.case_measures import (
    HIGHER_IS_BETTER,
    MEASURES,
    NAMES,
    PRIMARY,
    UNITS,
    case_measures,
    in_plane_errors,
    is_failure,
    presence,
    similarities,
)
from ..evaluation.keypoint_metrics import PresenceScores, mean_average_precision
from ..evaluation.metrics import success_rates, summarize
from ..evaluation.statistics import Interval, bootstrap_interval, compare_paired, holm

CONFIDENCE = 0.90
FEWEST_SUBJECTS = 6

#: Differences are shown with two decimals: a smaller one would read as 0.00.
SHOWN = 0.005


@dataclass(frozen=True)
class ComparedModel:
    """A compared model: its name in the results, the name or folder it was loaded from, hash of its weights."""

    name: str
    source: str
    sha256: str


@dataclass(frozen=True)
class ComparisonData:
    """The data of a comparison.

    Attributes:
        kind: "dataset" (studies of a data set) or "heads" (real heads in random poses).
        folder, fingerprint: its path and the SHA-256 of its content (``core.datasets.frozen_set``).
        subjects: case's head or study -> its subject.
        left_out: studies that were not measured because one of the models learnt from their subject.
    """

    kind: str
    folder: str
    fingerprint: str
    subjects: Mapping[str, str]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """Median over the cases with its interval; the number of cases, and of those whose truth does not determine it."""

    median: Interval
    cases: int
    without_truth: int


@dataclass(frozen=True)
class Difference:
    """A model minus the first one, on the cases that both have.

    Attributes:
        mean: over the subjects, with its interval.
        p_value, p_corrected: two-sided, alone and corrected for all tests of the comparison.
        own_median, first_median: over these cases.
        worst: largest difference by which the model is worse than the first one on a case.
        subjects, cases: how many.
    """

    mean: Interval
    p_value: float
    p_corrected: float
    own_median: float
    first_median: float
    worst: float
    subjects: int
    cases: int


@dataclass(frozen=True)
class Verdict:
    """Whether a model is better than the first one, and why, in sentences."""

    better: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ModelResult:
    """The results of one model.

    Attributes:
        model: the model.
        cases, refused, failures: how many; refusals are among the failures.
        measures: by the names in MEASURES.
        success: radius in mm -> share of the landmarks on near slices found within it.
        similarity, mean_average_precision: of the landmarks in space (COCO; all detections equally confident).
        presence: found against present or absent landmarks; absent are those that the user removed.
        seconds: median time for a study.
        differences, verdict: against the first model; empty and None for that one itself.
    """

    model: ComparedModel
    cases: int
    refused: int
    failures: int
    measures: Mapping[str, Measured]
    success: Mapping[float, float]
    similarity: float
    mean_average_precision: float
    presence: PresenceScores
    seconds: float
    differences: Mapping[str, Difference] = field(default_factory=dict)
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Comparison:
    """All models' results, the current model's first, and the cases they come from."""

    protocol: str
    data: ComparisonData
    results: tuple[ModelResult, ...]
    cases: tuple[CaseResult, ...]


def compare_models(
    models: Sequence[ComparedModel], cases: Sequence[CaseResult], data: ComparisonData, protocol: str
) -> Comparison:
    """Compare models by their results on the same cases.

    Args:
        models: the current one first; their names are the methods in ``cases``.
        protocol: name of the protocol the cases were planned by.
    """
    of_model = {model.name: [case for case in cases if case.method == model.name] for model in models}
    first, *others = (_result(model, of_model[model.name], data.subjects) for model in models)
    compared = [_with_differences(result, of_model, first.model.name, data.subjects) for result in others]
    compared = [replace(result, verdict=judge(result, first)) for result in _corrected(compared)]
    return Comparison(protocol, data, (first, *compared), tuple(cases))


def judge(result: ModelResult, current: ModelResult) -> Verdict:
    """Whether a model is better than the current one, by the rule above."""
    reasons = []
    if result.failures > current.failures:
        reasons.append(f"It fails on {result.failures} cases, the current model on {current.failures}.")
    primary = result.differences[PRIMARY]
    if not primary.cases:
        return Verdict(False, (*reasons, "On no case do both models find their landmarks."))
    people = f"{primary.subjects} {'person' if primary.subjects == 1 else 'people'}"
    enough = primary.subjects >= FEWEST_SUBJECTS
    if not enough:
        reasons.append(
            f"Too few: {people}, but at least {FEWEST_SUBJECTS} are needed to distinguish a gain from noise."
        )
    elif not primary.mean.high < 0:
        reasons.append(f"The in-plane error did not get lower beyond noise: {_stated(primary, PRIMARY, enough)}.")
    differences = result.differences.items()
    worse = [f"{NAMES[name]} {_stated(d, name, enough)}" for name, d in differences if _got_worse(name, d, enough)]
    if worse:
        reasons.append(f"Got worse {'beyond noise' if enough else 'on these'}: {'; '.join(worse)}.")
    passed = f"No measure of the box got worse beyond noise, and the number of people suffices ({people}). "
    passed += f"In-plane error {_stated(primary, PRIMARY, enough)}; no more failures."
    return Verdict(not reasons, tuple(reasons) or (passed,))


def _got_worse(measure: str, difference: Difference, beyond_noise: bool) -> bool:
    """Whether the whole interval of the mean difference, or else the mean itself, lies on the worse side of 0.

    A difference below SHOWN is none.
    """
    mean = difference.mean
    if measure in HIGHER_IS_BETTER:
        nearest, estimate = -(mean.high if beyond_noise else mean.estimate), -mean.estimate
    else:
        nearest, estimate = (mean.low if beyond_noise else mean.estimate), mean.estimate
    return nearest > 0 and estimate >= SHOWN


def _stated(difference: Difference, measure: str, with_interval: bool) -> str:
    mean = difference.mean
    text = f"{mean.estimate:+.2f} {UNITS[measure]}".strip()
    if not with_interval:
        return text
    return f"{text} ({100 * CONFIDENCE:.0f} % interval {mean.low:+.2f} to {mean.high:+.2f})"


def _result(model: ComparedModel, cases: Sequence[CaseResult], subjects: Mapping[str, str]) -> ModelResult:
    planned = [case for case in cases if case.failure is None]
    whose = [subjects[case.head] for case in planned]
    values = [case_measures(case) for case in planned]
    in_plane = [error for case in planned for error in in_plane_errors(case)]
    similarity, confidence = similarities(cases)
    return ModelResult(
        model=model,
        cases=len(cases),
        refused=len(cases) - len(planned),
        failures=sum(map(is_failure, cases)),
        measures={name: _measured([value[name] for value in values], whose) for name in MEASURES},
        success=success_rates([e for e in in_plane if e is not None], len(in_plane)),
        similarity=summarize(similarity).mean,
        mean_average_precision=mean_average_precision(similarity, confidence),
        presence=presence(planned),
        seconds=summarize(case.timings_s.get("total", np.nan) for case in planned).median,
    )


def _measured(values: Sequence[float], subjects: Sequence[str]) -> Measured:
    interval = bootstrap_interval(values, subjects, np.median, confidence=CONFIDENCE)
    return Measured(interval, int(np.isfinite(values).sum()), int(np.isnan(values).sum()))


def _with_differences(
    result: ModelResult, of_model: Mapping[str, Sequence[CaseResult]], first: str, subjects: Mapping[str, str]
) -> ModelResult:
    own = {case.key[:3]: case_measures(case) for case in of_model[result.model.name]}
    before = {case.key[:3]: case_measures(case) for case in of_model[first]}
    keys = [key for key in own if key in before]
    whose = [subjects[head] for head, _, _ in keys]
    differences = {
        name: _difference([own[k][name] for k in keys], [before[k][name] for k in keys], whose, name)
        for name in MEASURES
    }
    return replace(result, differences=differences)


def _difference(own: Sequence[float], first: Sequence[float], subjects: Sequence[str], measure: str) -> Difference:
    paired = compare_paired(own, first, subjects, confidence=CONFIDENCE)
    a, b = np.array(own, dtype=float), np.array(first, dtype=float)
    both = np.isfinite(a) & np.isfinite(b)
    worse = (b - a if measure in HIGHER_IS_BETTER else a - b)[both]
    return Difference(
        mean=paired.difference,
        p_value=paired.p_value,
        p_corrected=paired.p_value,
        own_median=summarize(a[both]).median,
        first_median=summarize(b[both]).median,
        worst=float(worse.max()) if len(worse) else float("nan"),
        subjects=paired.subjects,
        cases=paired.cases,
    )


def _corrected(results: Sequence[ModelResult]) -> list[ModelResult]:
    """The results with their p values corrected for each other."""
    tests = [(i, name) for i, result in enumerate(results) for name, d in result.differences.items() if d.cases]
    corrected = dict(zip(tests, holm([results[i].differences[name].p_value for i, name in tests]), strict=True))
    return [
        replace(
            result,
            differences={
                name: replace(d, p_corrected=corrected.get((i, name), d.p_value))
                for name, d in result.differences.items()
            },
        )
        for i, result in enumerate(results)
    ]
