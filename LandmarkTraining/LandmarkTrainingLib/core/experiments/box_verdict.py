"""Whether a model plans better boxes than the current one: what a promotion is decided by.

Judged are rotation, centre and worst face of the box, and failed plans, on the same studies. A plan **failed** if there
is none, or if its box is off by more than ``WRONG_ROTATION_DEG`` or ``WRONG_CENTER_MM``. All numbers are means over
people, each of whom counts once, however many studies they have; intervals come from a bootstrap over people.

- **Better**: as good in all four, and better in at least one.
- **As good, not better**: as good in all four.
- **Worse**: worse in at least one.
- **Not shown to be as good**: the data leave open whether one got worse by more than its margin.
- **Not enough people** to say any of this: fewer than FEWEST_PEOPLE with a box of both models and a true one.

In one measure a model is *as good* where the whole interval of the mean difference lies below its margin
(non-inferiority, one-sided at 5 %), and *better* where the whole wider interval, which is corrected for the number of
measures, lies below 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation.case_log import CaseResult
from ..evaluation.case_measures import NAMES, UNITS, case_measures
from ..evaluation.evaluation_report import WRONG_CENTER_MM, WRONG_ROTATION_DEG, is_wrong
from ..evaluation.statistics import Interval, compare_paired

CONFIDENCE = 0.90

#: With fewer, an equally good model often looks better: it does in 12 of 100 comparisons of six people, in 10 of eight
#: and in 8 of fifteen (simulated: three correlated normal measures that differ by nothing, 1,500 comparisons each).
FEWEST_PEOPLE = 6

#: Name of the share of failed plans among the measures.
FAILED = "failed"

#: Measure -> by how much its mean may be worse and still count as as good, in the measure's unit. Each is below what
#: careful readers differ by: on 60 public heads with three readers each (AFIDs on OASIS and HCP, CC BY 4.0) one
#: reader's frame has a pitch noise of 0.8 deg and the mean of three 0.5 deg; one reader's AC and PC differ by 0.2 to
#: 0.35 mm. On the console each is below a third of a 1 mm voxel, a face, which turns and moves, half of one: 0.2 deg
#: moves a face 90 mm from the centre by 0.3 mm. A failed plan costs a scan: no more of them.
MARGINS = {"rotation_deg": 0.2, "center_mm": 0.3, "face_mm": 0.5, FAILED: 0.0}

#: Of the interval that must lie below 0: corrected for the number of measures (Bonferroni), one of which suffices.
CONFIDENCE_OF_GAIN = 1 - (1 - CONFIDENCE) / len(MARGINS)

#: What a model can be, all measures or people together.
BETTER, AS_GOOD, WORSE = "better", "as good", "worse"
UNDECIDED, FEW_PEOPLE = "undecided", "not enough people"

#: Differences are shown with two decimals: a smaller one would read as 0.00.
SHOWN = 0.005


@dataclass(frozen=True)
class BoxDifference:
    """A model against the current one in one measure; means over people.

    Attributes:
        measure: one of MARGINS; FAILED is a share, 0..1.
        own, current: means of the two models.
        difference: own minus current, with its interval (NaN with one person).
        gain_high: upper end of the interval that must lie below 0 for a gain.
        people, studies: how many are compared.
        finding: BETTER, AS_GOOD, WORSE or UNDECIDED; FEW_PEOPLE where they are too few.
    """

    measure: str
    own: float
    current: float
    difference: Interval
    gain_high: float
    people: int
    studies: int
    finding: str


@dataclass(frozen=True)
class BoxVerdict:
    """What the boxes say about a model.

    Attributes:
        outcome: BETTER, AS_GOOD, WORSE, UNDECIDED or FEW_PEOPLE.
        people, studies: with a box of both models and a true one.
        failed, current_failed: numbers of failed plans; of ``measured_studies`` studies of ``measured_people``.
        differences: one for each of MARGINS.
    """

    outcome: str
    people: int
    studies: int
    failed: int
    current_failed: int
    measured_studies: int
    measured_people: int
    differences: tuple[BoxDifference, ...]


def judge_boxes(own: Sequence[CaseResult], current: Sequence[CaseResult], subjects: Mapping[str, str]) -> BoxVerdict:
    """Judge a model by its boxes against those of the current one.

    Args:
        own, current: results of both; those of cases that the other one has not are left out.
        subjects: case's head or study -> its subject.
    """
    before = {case.key[:3]: case for case in current}
    pairs = [(case, before[case.key[:3]]) for case in own if case.key[:3] in before]
    people = [subjects[case.head] for case, _ in pairs]
    differences = tuple(_difference(name, pairs, people) for name in MARGINS)
    boxes, failures = differences[0], differences[-1]
    return BoxVerdict(
        outcome=_outcome(differences, boxes.people),
        people=boxes.people,
        studies=boxes.studies,
        failed=sum(failed_plan(case) for case, _ in pairs),
        current_failed=sum(failed_plan(case) for _, case in pairs),
        measured_studies=failures.studies,
        measured_people=failures.people,
        differences=differences,
    )


def failed_plan(case: CaseResult) -> bool:
    """Whether the plan is missing, or its box is too far off; a plan without a true box counts as not failed."""
    return case.failure is not None or is_wrong(case)


def headline(verdict: BoxVerdict) -> str:
    """The verdict in one sentence."""
    counted = verdict.people if verdict.people >= FEWEST_PEOPLE else verdict.measured_people
    people = _count(counted, "person", "people")
    better, worse, undecided = (_names(verdict, finding) for finding in (BETTER, WORSE, UNDECIDED))
    if verdict.outcome == FEW_PEOPLE:
        return f"Not enough people to say: {verdict.people}, at least {FEWEST_PEOPLE} are needed."
    if verdict.outcome == WORSE:
        return f"Worse in {worse}" + (f"; better in {better}" if better else "") + f" ({people})."
    if verdict.outcome == UNDECIDED:
        return f"Not shown to be as good: it may be worse in {undecided} by more than the margin ({people})."
    if verdict.outcome == BETTER:
        return f"Better in {better}, and as good in all else ({people})."
    return f"As good, not better: nothing got worse by its margin, and nothing got better beyond noise ({people})."


def evidence(verdict: BoxVerdict) -> tuple[str, ...]:
    """Every number that the verdict rests on, a sentence a measure, then what it was measured on."""
    lines = [_stated(difference, verdict) for difference in verdict.differences]
    data = f"{_count(verdict.studies, 'study', 'studies')} of {_count(verdict.people, 'person', 'people')} with a true "
    data += f"box and a plan of both models; {_count(verdict.measured_studies, 'study', 'studies')} of "
    data += f"{_count(verdict.measured_people, 'person', 'people')} in all. A plan failed if there is none, or if its "
    data += f"box is off by more than {WRONG_ROTATION_DEG:g} deg or {WRONG_CENTER_MM:g} mm."
    return (*lines, f"Measured on {data}")


def name_of(measure: str) -> str:
    """A measure in a sentence."""
    return "failed plans" if measure == FAILED else NAMES[measure]


def _outcome(differences: Sequence[BoxDifference], people: int) -> str:
    findings = [difference.finding for difference in differences]
    if WORSE in findings:
        return WORSE
    if people < FEWEST_PEOPLE:
        return FEW_PEOPLE
    if UNDECIDED in findings:
        return UNDECIDED
    return BETTER if BETTER in findings else AS_GOOD


def _difference(measure: str, pairs: Sequence[tuple[CaseResult, CaseResult]], people: Sequence[str]) -> BoxDifference:
    own, current = (np.array([_value(pair[i], measure) for pair in pairs], dtype=float) for i in (0, 1))
    paired = compare_paired(own, current, people, confidence=CONFIDENCE)
    gain = compare_paired(own, current, people, confidence=CONFIDENCE_OF_GAIN)
    both = np.isfinite(own) & np.isfinite(current)
    whose = np.array(people)[both]
    found = _finding(measure, paired.difference, gain.difference.high, paired.subjects)
    if measure == FAILED and found != FEW_PEOPLE and own.sum() > current.sum():
        found = WORSE  # no more failures: neither of all studies nor of the mean person's
    return BoxDifference(
        measure=measure,
        own=_mean_over_people(own[both], whose),
        current=_mean_over_people(current[both], whose),
        difference=paired.difference,
        gain_high=gain.difference.high,
        people=paired.subjects,
        studies=paired.cases,
        finding=found,
    )


def _value(case: CaseResult, measure: str) -> float:
    return float(failed_plan(case)) if measure == FAILED else case_measures(case)[measure]


def _mean_over_people(values: np.ndarray, people: np.ndarray) -> float:
    means = [values[people == one].mean() for one in np.unique(people)]
    return float(np.mean(means)) if means else float("nan")


def _finding(measure: str, difference: Interval, gain_high: float, people: int) -> str:
    if people < FEWEST_PEOPLE:
        return FEW_PEOPLE
    margin, shown = MARGINS[measure], 0.0 if measure == FAILED else SHOWN
    if measure == FAILED and difference.estimate > 0:
        return WORSE
    if gain_high < 0 and difference.estimate <= -shown:
        return BETTER
    if measure == FAILED or difference.high < margin:
        return AS_GOOD
    return WORSE if difference.low > 0 else UNDECIDED


def _names(verdict: BoxVerdict, finding: str) -> str:
    found = [name_of(difference.measure) for difference in verdict.differences if difference.finding == finding]
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))


def _stated(difference: BoxDifference, verdict: BoxVerdict) -> str:
    name = name_of(difference.measure)
    name = name[0].upper() + name[1:]
    if not difference.studies:
        return f"{name}: not measured."
    if difference.measure == FAILED:
        text = f"{name}: {verdict.failed} of {verdict.measured_studies}, current model {verdict.current_failed}; "
        text += f"share by person {_signed(difference.difference)}; no more are allowed"
    else:
        unit = UNITS[difference.measure]
        text = f"{name}: {difference.own:.2f} {unit}, current model {difference.current:.2f} {unit}; "
        text += f"{_signed(difference.difference)}, margin {MARGINS[difference.measure]:g}"
    return f"{text}." if difference.finding == FEW_PEOPLE else f"{text}: {_IN_WORDS[difference.finding]}."


_IN_WORDS = {BETTER: "better", AS_GOOD: "as good", WORSE: "worse", UNDECIDED: "not shown to be as good"}


def _signed(interval: Interval) -> str:
    estimate, low, high = (
        round(each, 2) + 0.0 for each in (interval.estimate, interval.low, interval.high)
    )  # no -0.00
    if np.isnan(low):
        return f"{estimate:+.2f}"
    return f"{estimate:+.2f} ({100 * CONFIDENCE:.0f} % interval {low:+.2f} to {high:+.2f})"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
