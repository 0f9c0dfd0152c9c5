"""Several models on the same cases: errors with intervals, differences to the first, and which is better.

The first model is the current one. A case's numbers are those of ``core.evaluation.case_measures``. Intervals come
from a bootstrap over subjects; tests are signed-rank tests on the subjects' mean differences, corrected for all tests
of the comparison (Holm 1979).

Which model is better is decided by the boxes alone (``box_verdict``): an error of a landmark matters as far as it moves
the box. What else got worse is named beside the verdict. Landmarks that not every model knows are left out of all
landmark measures.

A case that a model refuses, or on which it does not find half of the landmarks, is a failure (``failures``); those that
decide are the failed plans.
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
from .box_verdict import (
    BETTER,
    CONFIDENCE,
    FEW_PEOPLE,
    MARGINS,
    SHOWN,
    BoxVerdict,
    evidence,
    failed_plan,
    headline,
    judge_boxes,
)


@dataclass(frozen=True)
class ComparedModel:
    """A compared model.

    Attributes:
        name: in the results; source: the name or folder it was loaded from; sha256: of its weights.
        landmarks: names of those of the protocol that it finds; None: all of them.
    """

    name: str
    source: str
    sha256: str
    landmarks: tuple[str, ...] | None = None


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
    """Whether a model is better than the first one, why, in sentences, and what the boxes say."""

    better: bool
    reasons: tuple[str, ...]
    boxes: BoxVerdict


@dataclass(frozen=True)
class ModelResult:
    """The results of one model.

    Attributes:
        model: the model.
        cases, refused, failures: how many; refusals are among the failures.
        failed_plans: number of cases without a plan, or with a box that is too far off (``box_verdict``).
        measures: by the names in MEASURES.
        success: radius in mm -> share of the landmarks on near slices found within it.
        similarity, mean_average_precision: of the landmarks in space (COCO; confidence: the mean peak).
        presence: found against present or absent landmarks; absent are those that the user removed.
        seconds: median time for a study.
        differences, verdict: against the first model; empty and None for that one itself.
    """

    model: ComparedModel
    cases: int
    refused: int
    failures: int
    failed_plans: int
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
    """All models' results, the current model's first, and the cases they come from.

    Attributes:
        protocol, box: names of the protocol and of its box that was planned.
        not_compared: landmarks that some of the models know and others do not.
    """

    protocol: str
    data: ComparisonData
    results: tuple[ModelResult, ...]
    cases: tuple[CaseResult, ...]
    box: str = ""
    not_compared: tuple[str, ...] = ()


def compare_models(
    models: Sequence[ComparedModel], cases: Sequence[CaseResult], data: ComparisonData, protocol: str, box: str = ""
) -> Comparison:
    """Compare models by their results on the same cases.

    Args:
        models: the current one first; their names are the methods in ``cases``.
        protocol, box: names of the protocol and of the box that the cases were planned by.
    """
    not_compared = _not_shared(models)
    cases = [_without(case, not_compared) for case in cases] if not_compared else cases
    of_model = {model.name: [case for case in cases if case.method == model.name] for model in models}
    first, *others = (_result(model, of_model[model.name], data.subjects) for model in models)
    compared = _corrected([_with_differences(other, of_model, first.model.name, data.subjects) for other in others])
    judged = []
    for other in compared:
        boxes = judge_boxes(of_model[other.model.name], of_model[first.model.name], data.subjects)
        judged.append(replace(other, verdict=judge(other, boxes)))
    return Comparison(protocol, data, (first, *judged), tuple(cases), box, tuple(sorted(not_compared)))


def judge(result: ModelResult, boxes: BoxVerdict) -> Verdict:
    """The verdict on a model: what the boxes say, and which other measures got worse."""
    enough = boxes.outcome != FEW_PEOPLE
    others = {name: difference for name, difference in result.differences.items() if name not in MARGINS}
    worse = [f"{NAMES[name]} {_stated(d, name, enough)}" for name, d in others.items() if _got_worse(name, d, enough)]
    reasons = [headline(boxes), *evidence(boxes)]
    if worse:
        reasons.append(f"Does not decide, but got worse{' beyond noise' if enough else ''}: {'; '.join(worse)}.")
    return Verdict(boxes.outcome == BETTER, tuple(reasons), boxes)


def _not_shared(models: Sequence[ComparedModel]) -> frozenset[str]:
    """Names of the landmarks that some models know and others do not."""
    known = [frozenset(model.landmarks) for model in models if model.landmarks is not None]
    return frozenset().union(*known) - frozenset.intersection(*known) if known else frozenset()


def _without(case: CaseResult, names: frozenset[str]) -> CaseResult:
    """The case without the errors of these landmarks."""
    return replace(
        case,
        in_plane_mm={
            plane: {name: errors for name, errors in by_name.items() if name not in names}
            for plane, by_name in case.in_plane_mm.items()
        },
        landmarks_mm={name: error for name, error in case.landmarks_mm.items() if name not in names},
        expected_mm={name: error for name, error in case.expected_mm.items() if name not in names},
        missing=[name for name in case.missing if name not in names],
        invented=[name for name in case.invented if name not in names],
    )


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
        failed_plans=sum(map(failed_plan, cases)),
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
