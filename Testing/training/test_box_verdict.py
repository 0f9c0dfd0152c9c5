"""The decision on a promotion by property: on made-up boxes whose differences are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.experiments.box_verdict import (
    AS_GOOD,
    BETTER,
    FAILED,
    FEW_PEOPLE,
    FEWEST_PEOPLE,
    MARGINS,
    UNDECIDED,
    WORSE,
    evidence,
    failed_plan,
    headline,
    judge_boxes,
)


def case(study, model, turn=1.5, center=1.5, face=2.0, *, pose=0, in_plane=2.0, failure=None, true_box=True):
    """A study on which the model's box is off by as much."""
    if failure:
        return CaseResult(study, pose, "study", model, failure=failure)
    box = BoxErrors((turn, 0.0, 0.0), turn, center, (face, 0.0, -face / 2, 0.0, 0.0, 0.0), 0.9)
    points = {"axial": {"AC": [in_plane]}}
    return CaseResult(study, pose, "study", model, in_plane_mm=points, box=box if true_box else None)


def judged(change, people=8, poses=1, sd=0.02, **current):
    """The verdict where every person's box changes by ``change`` (measure -> mean), plus noise of a person."""
    known = {"turn": 1.5, "center": 1.5, "face": 2.0, **current}
    noise = np.random.default_rng(3).normal(0, sd, (people, len(known)))
    noise -= noise.mean(axis=0)
    old, new = [], []
    for person in range(people):
        own = {name: known[name] + change.get(name, 0.0) + e for name, e in zip(known, noise[person], strict=True)}
        old += [case(f"p{person}", "old", pose=pose, **known) for pose in range(poses)]
        new += [case(f"p{person}", "new", pose=pose, **own) for pose in range(poses)]
    return judge_boxes(new, old, {f"p{person}": f"p{person}" for person in range(people)})


def finding(verdict, measure):
    return next(difference.finding for difference in verdict.differences if difference.measure == measure)


@pytest.mark.parametrize(
    ("change", "outcome", "said"),
    [
        ({}, AS_GOOD, "As good, not better"),
        ({"turn": -0.5}, BETTER, "Better in rotation of the box, and as good in all else (8 people)."),
        ({"center": -0.5}, BETTER, "Better in centre of the box"),
        ({"face": -0.5}, BETTER, "Better in worst face"),
        ({"turn": -0.5, "face": -0.5}, BETTER, "Better in rotation of the box and worst face"),
        ({"turn": 0.5}, WORSE, "Worse in rotation of the box (8 people)."),
        ({"center": 0.5}, WORSE, "Worse in centre of the box"),
        ({"face": 1.0}, WORSE, "Worse in worst face"),
        ({"turn": -0.5, "center": 0.5}, WORSE, "Worse in centre of the box; better in rotation of the box (8 people)."),
        ({"turn": 0.1, "center": 0.2, "face": 0.4}, AS_GOOD, "As good, not better"),
        ({"turn": -0.5, "center": 0.2}, BETTER, "Better in rotation of the box"),
    ],
)
def test_the_boxes_decide(change, outcome, said):
    verdict = judged(change)
    assert verdict.outcome == outcome
    assert headline(verdict).startswith(said)


def test_a_model_is_better_exactly_if_nothing_is_worse_and_something_is_better():
    steps = {"turn": 0.2, "center": 0.3, "face": 0.5}
    for signs in product((-2, 0, 2), repeat=3):
        verdict = judged({name: sign * step for sign, (name, step) in zip(signs, steps.items(), strict=True)})
        expected = WORSE if 2 in signs else BETTER if -2 in signs else AS_GOOD
        assert verdict.outcome == expected, signs


def test_a_noisy_difference_leaves_open_whether_it_got_worse():
    verdict = judged({}, sd=1.0)
    assert verdict.outcome == UNDECIDED
    assert headline(verdict).startswith("Not shown to be as good: it may be worse in")


def test_better_landmarks_with_a_worse_rotation_are_not_better():
    whose = {f"p{i}": f"p{i}" for i in range(8)}
    old = [case(f"p{i}", "old", in_plane=4.0) for i in range(8)]
    new = [case(f"p{i}", "new", in_plane=1.0, turn=2.5) for i in range(8)]
    assert judge_boxes(new, old, whose).outcome == WORSE


@pytest.mark.parametrize("people", [1, 2, 5])
def test_a_hundred_poses_of_few_people_count_as_few_people(people):
    verdict = judged({"turn": -1.0}, people=people, poses=100 // people)
    assert verdict.outcome == FEW_PEOPLE
    assert headline(verdict) == f"Not enough people to say: {people}, at least 6 are needed."
    assert (verdict.people, verdict.studies) == (people, people * (100 // people))
    lines = evidence(verdict)
    assert lines[0].startswith("Rotation of the box: 0.5") and "current model 1.50 deg" in lines[0]
    assert "better" not in lines[0]
    assert f"of {people} p" in lines[-1]


def test_six_people_suffice():
    assert judged({"turn": -1.0}, people=FEWEST_PEOPLE).outcome == BETTER


def test_every_person_counts_once():
    """Forty better studies of one person beside five people without a difference prove nothing."""
    names = [f"s{i}" for i in range(45)]
    own = {name: "same" if i < 40 else name for i, name in enumerate(names)}
    old = [case(name, "old") for name in names]
    new = [case(name, "new", turn=0.5 if own[name] == "same" else 1.5) for name in names]
    assert judge_boxes(new, old, {name: name for name in names}).outcome == BETTER
    verdict = judge_boxes(new, old, own)
    assert verdict.outcome == AS_GOOD
    assert (verdict.people, verdict.studies) == (6, 45)


def failing(old_fails, new_fails, people=10, **changes):
    """The verdict where the models refuse these people; 3 studies a person."""
    names = [(f"p{i}", pose) for i in range(people) for pose in range(3)]

    def studies(model, fails, **known):
        return [
            case(name, model, pose=pose, failure="too few landmarks" if name in fails else None, **known)
            for name, pose in names
        ]

    old, new = studies("old", old_fails), studies("new", new_fails, **changes)
    return judge_boxes(new, old, {name: name for name, _ in names})


def test_more_failed_plans_are_worse_however_good_the_others_are():
    verdict = failing((), ("p0",), turn=0.5)
    assert verdict.outcome == WORSE
    assert headline(verdict) == "Worse in failed plans; better in rotation of the box (9 people)."
    assert (verdict.failed, verdict.current_failed, verdict.measured_studies) == (3, 0, 30)


def test_fewer_failed_plans_are_better():
    verdict = failing(("p0", "p1", "p2", "p3", "p4"), (), people=12)
    assert verdict.outcome == BETTER and finding(verdict, FAILED) == BETTER
    assert failing(("p0",), ("p1",)).outcome == AS_GOOD


def test_a_model_that_plans_nothing_is_worse_and_not_just_unmeasured():
    verdict = failing((), tuple(f"p{i}" for i in range(10)))
    assert verdict.outcome == WORSE
    assert headline(verdict) == "Worse in failed plans (10 people)."
    assert evidence(verdict)[0] == "Rotation of the box: not measured."


def test_a_failure_moved_from_many_studies_of_one_person_to_another_person_is_more_failures():
    whose = {f"p{i}": f"p{i}" for i in range(8)}
    keys = [("p0", pose) for pose in range(20)] + [(f"p{i}", 0) for i in range(1, 8)]
    old = [case(name, "old", pose=pose, failure="no" if name == "p0" and pose < 2 else None) for name, pose in keys]
    new = [case(name, "new", pose=pose, failure="no" if name == "p1" else None) for name, pose in keys]
    verdict = judge_boxes(new, old, whose)
    assert (verdict.failed, verdict.current_failed) == (1, 2)
    assert finding(verdict, FAILED) == WORSE


@pytest.mark.parametrize(
    ("known", "failed"),
    [
        ({}, False),
        ({"turn": 5.1}, True),
        ({"turn": 4.9}, False),
        ({"center": 10.1}, True),
        ({"center": 9.9}, False),
        ({"failure": "no"}, True),
        ({"turn": 50.0, "true_box": False}, False),
    ],
)
def test_a_plan_failed_if_there_is_none_or_its_box_is_too_far_off(known, failed):
    assert failed_plan(case("p", "m", **known)) is failed


def test_studies_without_a_true_box_count_for_no_people():
    whose = {f"p{i}": f"p{i}" for i in range(10)}
    old = [case(f"p{i}", "old", true_box=i < 3) for i in range(10)]
    new = [case(f"p{i}", "new", turn=0.5, true_box=i < 3) for i in range(10)]
    verdict = judge_boxes(new, old, whose)
    assert verdict.outcome == FEW_PEOPLE and (verdict.people, verdict.measured_people) == (3, 10)
    assert "3 studies of 3 people with a true box" in evidence(verdict)[-1]
    assert "10 studies of 10 people in all" in evidence(verdict)[-1]


def test_every_number_stands_beside_the_verdict():
    lines = evidence(judged({"turn": -0.5}))
    assert len(lines) == len(MARGINS) + 1
    assert lines[0].startswith("Rotation of the box: 1.0")
    assert "current model 1.50 deg; -0.50 (90 % interval -0.5" in lines[0]
    assert lines[0].endswith("margin 0.2: better.")
    assert lines[2].endswith("margin 0.5: as good.")
    assert lines[3].startswith("Failed plans: 0 of 8, current model 0;")
    assert "8 studies of 8 people" in lines[-1]


def test_a_difference_that_reads_as_nothing_is_no_gain():
    assert judged({"turn": -0.004}, sd=0.0001).outcome == AS_GOOD
    assert judged({"turn": -0.01}, sd=0.0001).outcome == BETTER


def test_equal_models_seldom_look_better():
    """What FEWEST_PEOPLE says: 10 to 12 of 100 comparisons of six to eight people."""
    rng = np.random.default_rng(0)
    whose = {f"p{i}": f"p{i}" for i in range(8)}
    old = [case(f"p{i}", "old") for i in range(8)]
    better = 0
    for _ in range(100):
        turn, center, face = rng.multivariate_normal(np.zeros(3), 0.4 * np.eye(3) + 0.6, 8).T * 0.15
        new = [case(f"p{i}", "new", 1.5 + turn[i], 1.5 + center[i], 2.0 + face[i]) for i in range(8)]
        better += judge_boxes(new, old, whose).outcome == BETTER
    assert better <= 20
