"""Who is better, and how sure that is: on made-up results whose differences are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.case_measures import MEASURES, case_measures, is_failure, similarities
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.experiments.box_verdict import AS_GOOD, FEW_PEOPLE, WORSE
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


def boxed(model, in_plane, studies=8, **changes):
    """Studies of a model, each of a person, with a box that is off by as much."""
    known = {"turn": 1.0, "center": 1.0, "face": 1.0, "iou": 0.9, "landmarks": 2.0, **changes}
    box = BoxErrors((known["turn"], 0.0, 0.0), known["turn"], known["center"], (known["face"],) * 6, known["iou"])
    marks = {"AC": known["landmarks"]}
    return [case(f"s{number}", model, in_plane, box=box, landmarks_mm=marks) for number in range(studies)]


def test_in_plane_errors_are_compared_by_person():
    rng = np.random.default_rng(0)
    old = list(rng.uniform(2, 4, 12))
    difference = compared(old, [e - rng.uniform(0.2, 0.6) for e in old]).results[1].differences["in_plane_mm"]
    assert -0.6 < difference.mean.low < difference.mean.estimate < difference.mean.high < -0.2
    assert (difference.subjects, difference.cases) == (12, 12) and difference.p_value < 0.01
    assert difference.own_median < difference.first_median and -0.6 < difference.worst < -0.2


def test_better_landmarks_alone_do_not_make_a_better_model():
    verdict = verdict_of([4.0] * 8, [1.0] * 8)
    assert not verdict.better and verdict.boxes.outcome == AS_GOOD
    assert verdict.reasons[0].startswith("As good, not better")


def test_a_better_box_makes_a_better_model_and_worse_landmarks_are_named_beside_it():
    """The box may gain while the landmarks that hardly move it lose: the user reads both."""
    verdict = verdict_of(boxed(OLD.name, 2.0, turn=2.0), boxed(NEW.name, 2.5, landmarks=3.0, iou=0.8))
    assert verdict.better and verdict.reasons[0].startswith("Better in rotation of the box")
    said = verdict.reasons[-1]
    assert said.startswith("Does not decide, but got worse beyond noise: in-plane error +0.50 mm (90 % interval")
    assert "3D error +1.00 mm" in said and "overlap of the boxes -0.10" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"turn": 2.0}, "Worse in rotation of the box"),
        ({"center": 2.0}, "Worse in centre of the box"),
        ({"face": 2.0}, "Worse in worst face"),
    ],
)
def test_a_worse_box_is_never_better_however_good_the_landmarks(changes, said):
    verdict = verdict_of(boxed(OLD.name, 3.0), boxed(NEW.name, 1.0, landmarks=1.0, **changes))
    assert not verdict.better
    assert verdict.reasons[0].startswith(said)


def test_with_few_people_the_numbers_and_what_got_worse_are_named_too():
    verdict = verdict_of(boxed(OLD.name, 3.0, studies=2), boxed(NEW.name, 1.0, studies=2, turn=2.5, landmarks=5.0))
    assert not verdict.better
    assert verdict.reasons[0] == "Not enough people to say: 2, at least 6 are needed."
    assert verdict.reasons[1].startswith("Rotation of the box: 2.50 deg, current model 1.00 deg; +1.50")
    assert verdict.reasons[-1] == "Does not decide, but got worse: 3D error +3.00 mm."


def test_a_difference_that_reads_as_nothing_is_not_named():
    small, large = boxed(NEW.name, 3.0, iou=0.899), boxed(NEW.name, 3.0, iou=0.89)
    assert "does not decide" not in verdict_of(boxed(OLD.name, 3.0), small).reasons[-1].lower()
    assert "overlap of the boxes -0.01" in verdict_of(boxed(OLD.name, 3.0), large).reasons[-1]


def test_more_failed_plans_are_never_better():
    old, new = boxed(OLD.name, 3.0, turn=2.0), boxed(NEW.name, 1.0)
    assert verdict_of(old, new).better
    comparison = compared(old, [*new[:7], case("s7", NEW.name, failure="too few landmarks")])
    first, result = comparison.results
    assert not result.verdict.better and result.verdict.reasons[0].startswith("Worse in failed plans")
    assert (first.failed_plans, result.failed_plans, result.refused, result.failures) == (0, 1, 1, 1)


def test_landmarks_that_one_model_does_not_know_are_not_compared():
    points = {"axial": {"AC": [1.0], "GENU": [9.0]}}
    old = [case(f"s{i}", OLD.name, in_plane_mm=points, landmarks_mm={"AC": 1.0, "GENU": 9.0}) for i in range(6)]
    lost = {"axial": {"AC": [1.0], "GENU": [None]}}
    new = [
        case(f"s{i}", NEW.name, in_plane_mm=lost, landmarks_mm={"AC": 1.0}, missing=["GENU"], turn_deg=2.0)
        for i in range(6)
    ]
    models = [replace(OLD, landmarks=("AC", "GENU")), replace(NEW, landmarks=("AC", "NEWER"))]
    comparison = compare_models(models, [*old, *new], data({f"s{i}": f"s{i}" for i in range(6)}), "BrainAcPc", "brain")
    assert comparison.not_compared == ("GENU", "NEWER")
    assert comparison.results[0].measures["in_plane_mm"].median.estimate == 1.0
    assert comparison.results[1].differences["landmark_3d_mm"].mean.estimate == 0.0
    assert comparison.results[1].failures == 0 and comparison.results[1].presence.recall == 1.0
    assert comparison.results[1].verdict.better
    text = markdown(comparison)
    assert "Not compared, because not every model knows them: GENU, NEWER." in text
    assert "The box is that of BrainAcPc, brain." in text
    assert as_dict(comparison)["not_compared"] == ["GENU", "NEWER"] and as_dict(comparison)["box"] == "brain"


def test_a_landmark_left_out_makes_no_error_smaller():
    assert case_measures(case("s", "m", [1.0, 5.0, None]))["in_plane_mm"] == 5.0
    assert case_measures(case("s", "m", [1.0, 5.0, 9.0]))["in_plane_mm"] == 5.0
    assert case_measures(case("s", "m", [1.0, 5.0, None]))["landmark_3d_mm"] == 4.0


def test_a_model_that_lost_half_of_the_landmarks_counts_as_a_failure():
    assert is_failure(case("s9", NEW.name, [1.0, None, None])) and not is_failure(case("s9", NEW.name, [1.0, None, 2]))


def test_nothing_to_compare_is_worse_where_the_current_model_plans():
    lost = [case(f"s{i}", NEW.name, failure="no") for i in range(6)]
    verdict = verdict_of([2.0] * 6, lost)
    assert not verdict.better and verdict.boxes.outcome == WORSE
    assert verdict_of([2.0] * 3, lost[:3]).boxes.outcome == FEW_PEOPLE


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


def test_the_mean_peak_is_the_confidence_of_a_case():
    sure, doubtful = (case("s", "m", mean_peak=peak) for peak in (0.8, 0.3))
    assert similarities([sure, doubtful])[1].tolist() == [0.8, 0.3]
    # A log that an earlier version began lacks them: then all are alike, none is sure because it lacks one.
    assert similarities([sure, doubtful, case("s", "m")])[1].tolist() == [1.0, 1.0, 1.0]
    refused = similarities([sure, case("s", "m", failure="no")])[1]
    assert refused[0] == 0.8 and np.isnan(refused[1])


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
    old = [*boxed(OLD.name, 2.0, turn=2.0, studies=6), case("s6", OLD.name, failure="too few landmarks")]
    comparison = compared(old, boxed(NEW.name, 1.5, studies=7))
    path = write_comparison(tmp_path, comparison)
    content = read_comparison(path)
    assert content == json.loads(json.dumps(as_dict(comparison)))
    assert [model["name"] for model in content["models"]] == ["old", "new"]
    assert content["models"][0]["verdict"] is None and content["models"][0]["differences"] == {}
    verdict = content["models"][1]["verdict"]
    assert (verdict["better"], verdict["outcome"]) == (True, "better")
    assert (verdict["boxes"]["people"], verdict["boxes"]["people_needed"], verdict["boxes"]["studies"]) == (6, 6, 6)
    turn = verdict["boxes"]["measures"]["rotation_deg"]
    assert (turn["own"], turn["current"], turn["difference"], turn["margin"]) == (1.0, 2.0, -1.0, 0.2)
    assert (verdict["boxes"]["failed"], verdict["boxes"]["current_failed"]) == (0, 1)
    assert content["models"][0]["refused"] == content["models"][0]["failures"] == 1
    assert len(content["cases"]) == 14 and content["cases"][6]["failure"] == "too few landmarks"
    assert content["cases"][7]["in_plane_mm"] == 1.5
    text = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert text == markdown(comparison)
    assert all(title in text for title in MEASURES.values())
    assert "**new: Better in rotation of the box, and as good in all else (6 people).**" in text
    assert all(reason in text for reason in comparison.results[1].verdict.reasons)
    assert "(90% interval by subject" in text and "7 cases of 7 subjects" in text


def test_the_boxes_stand_model_beside_model_for_every_kind_of_scouts():
    cases = [replace(one, geometry=scouts) for scouts in ("P5", "P1") for one in boxed(OLD.name, 2.0, turn=2.0)]
    cases += [replace(one, geometry=scouts) for scouts in ("P5", "P1") for one in boxed(NEW.name, 2.0, turn=6.0)]
    lines = markdown(compare_models([OLD, NEW], cases, data({f"s{i}": f"s{i}" for i in range(8)}), "BrainAcPc"))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines.splitlines() if line.startswith("| P")]
    assert rows[0] == ["P5", "failed plans", "0 of 8", "8 of 8"]
    assert rows[1] == ["P5", "rotation, deg", "2.00 (2.00)", "6.00 (6.00)"]
    assert [row[0] for row in rows] == ["P5"] * 4 + ["P1"] * 4


def test_a_comparison_of_an_earlier_version_can_still_be_read(tmp_path):
    content = as_dict(compared([2.0] * 6, [1.5] * 6))
    for key in ("box", "not_compared"):
        del content[key]
    for model in content["models"]:
        del model["failed_plans"]
    content["models"][1]["verdict"] = {"better": True, "reasons": ["Lower."]}
    (tmp_path / "comparison.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_comparison(tmp_path / "comparison.json") == content


def test_one_model_alone_is_measured_without_a_verdict():
    comparison = compare_models([OLD], [case("s0", OLD.name)], data({"s0": "s0"}), "BrainAcPc")
    assert comparison.results[0].verdict is None and "Better" not in markdown(comparison)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "AutoVolumeCalibration/evaluation/1"}'])
def test_a_file_that_is_no_comparison_is_refused(tmp_path, text):
    (tmp_path / "comparison.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"comparison\.json.*Compare the models again"):
        read_comparison(tmp_path / "comparison.json")
