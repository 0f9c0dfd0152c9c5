"""Who is better, and how sure that is: on made-up results whose differences are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.case_measures import MEASURES, case_measures, is_failure, similarities
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.experiments.comparison_report import as_dict, markdown, read_comparison, write_comparison
from LandmarkTrainingLib.core.experiments.model_comparison import ComparedModel, ComparisonData, compare_models

OLD, NEW = ComparedModel("old", "current", "a" * 64), ComparedModel("new", "run/bundle", "b" * 64)


def case(study, model, in_plane=2.0, *, subject=None, turn_deg=3.0, failure=None, **changes):
    """A study on which a model is off by ``in_plane`` mm (a number, or one for each of its landmarks)."""
    if failure:
        return CaseResult(study, 0, "study", model, failure=failure)
    errors = [in_plane] if isinstance(in_plane, (int, float)) else list(in_plane)
    box = BoxErrors((turn_deg, 0.0, 0.0), turn_deg, 1.0, (1.0, -4.0, 0.0, 0.0, 0.0, 3.0), 0.9)
    known = {
        "in_plane_mm": {"axial": {f"P{i}": [error] for i, error in enumerate(errors)}},
        "landmarks_mm": {f"P{i}": error + 1 for i, error in enumerate(errors) if error is not None},
        "box": box if turn_deg is not None else None,
        "timings_s": {"total": 2.0},
    }
    return CaseResult(study, 0, "study", model, **{**known, **changes})


def data(subjects):
    return ComparisonData("dataset", "set", "c" * 64, subjects)


def compared(old, new, subjects=None, others=()):
    """The comparison of two lists of errors or cases, study by study; each study a subject of its own."""
    names = [f"s{i}" for i in range(len(old))]
    lists = {OLD.name: old, NEW.name: new, **{f"other{i}": errors for i, errors in enumerate(others)}}
    cases = [
        given if isinstance(given, CaseResult) else case(name, model, given)
        for model, errors in lists.items()
        for name, given in zip(names, errors, strict=True)
    ]
    models = [OLD, NEW, *(ComparedModel(f"other{i}", "x", f"{i}" * 64) for i in range(len(others)))]
    return compare_models(models, cases, data(subjects or {name: name for name in names}), "BrainAcPc")


def verdict_of(old, new, subjects=None):
    return compared(old, new, subjects).results[1].verdict


def test_a_model_that_is_better_everywhere_is_better():
    rng = np.random.default_rng(0)
    old = list(rng.uniform(2, 4, 12))
    result = compared(old, [error - rng.uniform(0.2, 0.6) for error in old]).results[1]
    difference = result.differences["in_plane_mm"]
    assert result.verdict.better and "no more failures" in result.verdict.reasons[0]
    assert -0.6 < difference.mean.low < difference.mean.estimate < difference.mean.high < -0.2
    assert (difference.subjects, difference.cases) == (12, 12) and difference.p_value < 0.01
    assert difference.own_median < difference.first_median and -0.6 < difference.worst < -0.2


def test_the_same_errors_are_not_better():
    assert not verdict_of([2.0] * 8, [2.0] * 8).better


def test_a_difference_whose_interval_holds_zero_is_not_better():
    old, new = [2.0] * 8, [1.0, 3.5, 1.9, 2.1, 0.9, 3.1, 1.8, 1.5]
    verdict = verdict_of(old, new)
    assert not verdict.better and "did not get lower beyond noise" in verdict.reasons[0]


def test_studies_of_one_subject_count_once():
    """Forty better studies of one person beside five persons without a difference prove nothing."""
    old, new = [2.0] * 45, [1.0] * 40 + [2.1, 2.0, 1.9, 2.05, 1.95]
    subjects = {f"s{i}": "same" if i < 40 else f"s{i}" for i in range(45)}
    assert verdict_of(old, new).better
    verdict = verdict_of(old, new, subjects)
    assert not verdict.better
    assert compared(old, new, subjects).results[1].differences["in_plane_mm"].subjects == 6


@pytest.mark.parametrize("people", [1, 2, 5])
def test_with_few_people_no_model_is_better_however_much_lower_its_errors(people):
    verdict = verdict_of([9.0] * people, [1.0] * people)
    assert not verdict.better
    assert verdict.reasons[0].startswith(f"Too few: {people} p")
    assert "at least 6 are needed" in verdict.reasons[0]
    assert verdict_of([9.0 + i for i in range(6)], [1.0] * 6).better


def test_with_few_people_what_got_worse_on_them_is_named_too():
    old = [case(f"s{i}", OLD.name, 3.0, turn_deg=1.0) for i in range(2)]
    new = [case(f"s{i}", NEW.name, 1.0, turn_deg=2.5, landmarks_mm={"P0": 5.0}) for i in range(2)]
    verdict = verdict_of(old, new)
    assert not verdict.better
    assert verdict.reasons[1] == "Got worse on these: 3D error +1.00 mm; rotation of the box +1.50 deg."


def boxed(model, in_plane, **changes):
    """Eight studies of a model, each with a box that is off by as much."""
    known = {"turn": 1.0, "center": 1.0, "face": 1.0, "iou": 0.9, "landmarks": 2.0, **changes}
    rng = np.random.default_rng(len(changes))
    studies = []
    for number in range(8):
        jitter = rng.normal(0, 0.05)
        turn, center = known["turn"] + jitter, known["center"] + jitter
        box = BoxErrors((turn, 0.0, 0.0), turn, center, (known["face"] + jitter,) * 6, known["iou"])
        marks = {"AC": known["landmarks"] + jitter}
        studies.append(case(f"s{number}", model, in_plane + jitter, box=box, landmarks_mm=marks))
    return studies


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turn": 2.0}, "rotation of the box +0.99"),
        ({"center": 2.0}, "centre of the box +0.99"),
        ({"face": 2.0}, "worst face +0.99"),
        ({"landmarks": 3.0}, "3D error +0.99"),
        ({"iou": 0.7}, "overlap of the boxes -0.20"),
    ],
)
def test_a_measure_that_got_worse_beyond_noise_is_named_and_the_model_is_not_better(changes, said):
    verdict = verdict_of(boxed(OLD.name, 3.0), boxed(NEW.name, 1.0, **changes))
    assert not verdict.better
    (reason,) = verdict.reasons
    assert reason.startswith("Got worse beyond noise: ")
    assert said in reason and "90 % interval" in reason and reason.count(";") == 0


def test_a_difference_that_reads_as_nothing_is_none():
    def boxes(model, error, iou):
        box = BoxErrors((0.0, 0.0, 0.0), 0.0, 0.0, (0.0,) * 6, iou)
        return [case(f"s{i}", model, error, box=box) for i in range(8)]

    assert verdict_of(boxes(OLD.name, 3.0, 0.9), boxes(NEW.name, 1.0, 0.899)).better
    assert not verdict_of(boxes(OLD.name, 3.0, 0.9), boxes(NEW.name, 1.0, 0.89)).better


def test_everything_that_got_worse_is_named():
    verdict = verdict_of(boxed(OLD.name, 3.0), boxed(NEW.name, 1.0, turn=2.0, iou=0.5))
    assert "rotation of the box" in verdict.reasons[0] and "overlap of the boxes" in verdict.reasons[0]


def test_a_measure_that_is_worse_within_noise_does_no_harm():
    verdict = verdict_of(boxed(OLD.name, 3.0), boxed(NEW.name, 1.0, turn=1.01))
    assert verdict.better
    assert verdict.reasons[0].startswith(
        "No measure of the box got worse beyond noise, and the number of people suffices (8 people)."
    )


def test_more_failures_are_never_better():
    old, new = [4.0] * 10, [1.0] * 10
    assert verdict_of(old, new).better
    verdict = verdict_of(old, [*new[:9], case("s9", NEW.name, failure="too few landmarks")])
    assert not verdict.better and "fails on 1 cases, the current model on 0" in verdict.reasons[0]
    lost = case("s9", NEW.name, [1.0, None, None])
    assert is_failure(lost) and not verdict_of(old, [*new[:9], lost]).better


def test_a_landmark_left_out_makes_no_error_smaller():
    assert case_measures(case("s", "m", [1.0, 5.0, None]))["in_plane_mm"] == 5.0
    assert case_measures(case("s", "m", [1.0, 5.0, 9.0]))["in_plane_mm"] == 5.0
    assert case_measures(case("s", "m", [1.0, 5.0, None]))["landmark_3d_mm"] == 4.0


def test_nothing_to_compare_is_not_better():
    lost = [case(f"s{i}", NEW.name, failure="no") for i in range(3)]
    verdict = verdict_of([2.0] * 3, lost)
    assert not verdict.better and "On no case do both" in verdict.reasons[-1]


def test_cases_without_truth_for_a_measure_are_left_out_of_it_and_counted():
    old = [case(f"s{i}", OLD.name, 2.0, turn_deg=None if i < 2 else 3.0) for i in range(6)]
    new = [case(f"s{i}", NEW.name, 1.5, turn_deg=None if i < 2 else 2.0) for i in range(6)]
    result = compared(old, new).results[1]
    turn, in_plane = result.measures["rotation_deg"], result.measures["in_plane_mm"]
    assert (turn.cases, turn.without_truth) == (4, 2) and (in_plane.cases, in_plane.without_truth) == (6, 0)
    assert result.differences["rotation_deg"].cases == 4
    assert result.differences["rotation_deg"].mean.estimate == pytest.approx(-1.0)


def test_a_larger_overlap_is_no_loss():
    result = compared([2.0] * 6, [case(f"s{i}", NEW.name, box=box_with(iou=0.95)) for i in range(6)]).results[1]
    assert result.differences["iou"].mean.estimate == pytest.approx(0.05)
    assert result.differences["iou"].worst == pytest.approx(-0.05)


def box_with(iou):
    return BoxErrors((0.0, 0.0, 0.0), 0.0, 0.0, (0.0,) * 6, iou)


def test_p_values_are_corrected_for_all_tests_of_the_comparison():
    rng = np.random.default_rng(1)
    old = list(rng.uniform(2, 4, 10))
    better = [error - 0.3 for error in old]
    alone = compared(old, better).results[1].differences["in_plane_mm"]
    beside = compared(old, better, others=[better, old]).results[1].differences["in_plane_mm"]
    assert alone.p_value == beside.p_value <= alone.p_corrected <= beside.p_corrected <= 1


def test_keypoint_similarity_is_one_for_no_error_and_nothing_for_a_refusal():
    exact = case("s", "m", landmarks_mm={"AC": 0.0, "PC": 0.0})
    blurred = case("s", "m", landmarks_mm={"AC": 3.0, "PC": 3.0})
    half = case("s", "m", landmarks_mm={"AC": 0.0}, missing=["PC"])
    values, confidences = similarities([exact, blurred, half, case("s", "m", failure="no")])
    assert values == pytest.approx([1.0, np.exp(-0.5), 0.5, 0.0])
    assert np.isnan(confidences).tolist() == [False, False, False, True]


def test_presence_counts_what_was_invented():
    found = {"landmarks_mm": {"A": 1.0, "B": 1.0, "C": 1.0}, "missing": ["D"], "invented": ["E"]}
    result = compared([2.0], [case("s0", NEW.name, **found)]).results[1]
    assert (result.presence.precision, result.presence.recall) == (0.75, 0.75)


def test_success_rates_count_landmarks_that_were_not_found_as_failures():
    result = compared([2.0], [case("s0", NEW.name, [1.0, 2.2, 3.5, None])]).results[1]
    assert result.success == {2.0: 0.25, 2.5: 0.5, 3.0: 0.5, 4.0: 0.75}


def test_the_order_of_the_studies_changes_nothing():
    rng = np.random.default_rng(2)
    old, new = rng.uniform(2, 4, 9), rng.uniform(1, 4, 9)
    order = rng.permutation(9)
    subjects = {f"s{i}": f"p{i // 2}" for i in range(9)}
    moved = {f"s{k}": subjects[f"s{i}"] for k, i in enumerate(order)}
    first = compared(list(old), list(new), subjects).results[1]
    again = compared(list(old[order]), list(new[order]), moved).results[1]
    assert first.verdict == again.verdict
    assert first.differences["in_plane_mm"].mean == again.differences["in_plane_mm"].mean


def test_what_is_written_is_read_and_shows_every_model_and_measure(tmp_path):
    old = [*[2.0] * 6, case("s6", OLD.name, failure="too few landmarks")]
    comparison = compared(old, [1.5] * 7)
    path = write_comparison(tmp_path, comparison)
    content = read_comparison(path)
    assert content == json.loads(json.dumps(as_dict(comparison)))
    assert [model["name"] for model in content["models"]] == ["old", "new"]
    assert content["models"][0]["verdict"] is None and content["models"][0]["differences"] == {}
    assert content["models"][1]["verdict"]["better"] is True
    assert content["models"][0]["refused"] == content["models"][0]["failures"] == 1
    assert len(content["cases"]) == 14 and content["cases"][6]["failure"] == "too few landmarks"
    assert content["cases"][7]["in_plane_mm"] == 1.5
    text = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert text == markdown(comparison)
    assert all(title in text for title in MEASURES.values()) and "- new: yes." in text
    assert "(90% interval by subject" in text and "7 cases of 7 subjects" in text


def test_one_model_alone_is_measured_without_a_verdict():
    comparison = compare_models([OLD], [case("s0", OLD.name)], data({"s0": "s0"}), "BrainAcPc")
    assert comparison.results[0].verdict is None and "Better" not in markdown(comparison)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "AutoVolumeCalibration/evaluation/1"}'])
def test_a_file_that_is_no_comparison_is_refused(tmp_path, text):
    (tmp_path / "comparison.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"comparison\.json.*Compare the models again"):
        read_comparison(tmp_path / "comparison.json")
