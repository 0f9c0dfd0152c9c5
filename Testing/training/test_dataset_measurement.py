"""Models are measured on the studies of a data set against what a person stands behind, and only there."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from data_sets import PROTOCOL, brain_study, with_points, write_set
from LandmarkTrainingLib.core.datasets.frozen_set import dataset_fingerprint
from LandmarkTrainingLib.core.evaluation.dataset_measurement import measure_on_dataset, true_plan_of_study
from LandmarkTrainingLib.core.evaluation.methods import Plan, SliceDetections
from LandmarkTrainingLib.core.experiments.comparison_run import Contestants, compare_on_dataset, known_landmarks
from LandmarkTrainingLib.core.experiments.model_comparison import ComparedModel
from LandmarkTrainingLib.core.reference_heads.brain_extremes import NORMAL_AXIS

STUDIES = [brain_study("one", 1), brain_study("two", 2), brain_study("three", 3, subject="two")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), STUDIES)


class OffBy:
    """A method that knows the landmarks of studies by their scouts, and is off by ``offset_mm``; counts its calls."""

    def __init__(self, offset_mm=(0.0, 0.0, 0.0), studies=STUDIES, refuses=()):
        self.offset, self.refuses, self.calls = np.array(offset_mm), refuses, 0
        self.studies = {float(study.stacks[0].slices[0].pixels.sum()): study for study in studies}

    def __call__(self, stacks):
        self.calls += 1
        brightness = float(next(s for s in stacks if s.plane == "sagittal").slices[0].pixels.sum())
        study = min(self.studies.items(), key=lambda item: abs(item[0] - brightness))[1]
        if study.name in self.refuses:
            raise InputError("too few landmarks")
        points = {mark.name: mark.position_mm + self.offset for mark in study.landmarks}
        marks = [Landmark(name, place, np.eye(3), 0.9, PREDICTED) for name, place in points.items()]
        frame = fit_frame(marks, PROTOCOL)
        detections = [
            SliceDetections(i, j, {name: p - (p - s.origin_mm) @ s.normal * s.normal for name, p in points.items()})
            for i, stack in enumerate(stacks)
            for j, s in enumerate(stack.slices)
        ]
        return Plan(marks, frame, plan_box(frame, PROTOCOL, box_rule(PROTOCOL, None)), detections=detections)


def measured(method, folder, names=("one",), **options):
    return measure_on_dataset({"method": method}, PROTOCOL, folder, names, **options)


def test_a_model_that_finds_the_truth_has_no_error(dataset):
    (case,) = measured(OffBy(), dataset)
    assert case.head == "one" and case.box.rotation_deg < 0.3 and case.box.center_mm < 0.5
    assert max(case.landmarks_mm.values()) < 1e-4 and not case.missing
    # On sagittal slices the middle of a pair is the truth.
    errors = [e for plane in ("coronal", "axial") for values in case.in_plane_mm[plane].values() for e in values]
    assert len(errors) > 20 and max(errors) < 0.01


def test_a_shift_of_all_points_is_measured_in_plane_in_space_and_at_the_box(dataset):
    (case,) = measured(OffBy((0.0, 4.0, 0.0)), dataset)
    assert case.box.center_mm == pytest.approx(4.0, abs=0.5)
    assert case.landmarks_mm["AC"] == pytest.approx(4.0, abs=1e-4)
    axial = [e for values in case.in_plane_mm["axial"].values() for e in values]
    assert len(axial) > 5 and axial == pytest.approx([4.0] * len(axial), abs=1e-3)


def test_a_study_with_a_few_points_is_measured_on_these_and_has_no_true_box(tmp_path):
    few = with_points(STUDIES[0], **{m.name: None for m in STUDIES[0].landmarks if m.name not in ("AC", "GENU")})
    extreme = next(mark for mark in STUDIES[0].landmarks if mark.name in NORMAL_AXIS)
    few = replace(few, landmarks=(*few.landmarks, extreme), provenance={"removed": ["PC", "AC"]})
    (case,) = measured(OffBy(), write_set(tmp_path, [few]))
    assert set(case.landmarks_mm) == {"AC", "GENU"} and case.box is None and case.acpc_pitch_deg is None
    assert case.invented == ["PC"]  # AC was placed again


def test_too_few_points_leave_the_true_frame_open_and_enough_of_them_do_not():
    rng = np.random.default_rng(0)
    for count, known in ((2, False), (3, False), (20, True)):
        kept = rng.choice([mark.name for mark in STUDIES[0].landmarks], count, replace=False)
        study = replace(STUDIES[0], landmarks=tuple(m for m in STUDIES[0].landmarks if m.name in kept))
        truth = true_plan_of_study(study, PROTOCOL)
        assert (truth.frame is not None) == (truth.box is not None) == known
        assert len(truth.points) == count


def test_a_measurement_is_taken_up_where_it_stopped(dataset, tmp_path):
    log = tmp_path / "cases.jsonl"
    before = measured(OffBy(), dataset, log=log)
    again = OffBy()
    told = []
    after = measured(again, dataset, ["one", "two"], log=log, progress=lambda *done: told.append(done))
    assert after[0] == before[0] and again.calls == 1 and told == [(1, 2), (2, 2)]


def test_cases_of_another_data_set_do_not_mix(dataset, tmp_path):
    log = tmp_path / "cases.jsonl"
    measured(OffBy(), dataset, log=log)
    other = write_set(tmp_path / "other", [STUDIES[0]])
    with pytest.raises(InputError, match="other conditions"):
        measured(OffBy(), other, log=log)


def test_the_fingerprint_tells_the_content_and_not_the_place(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "copy")
    assert dataset_fingerprint(tmp_path / "copy") == dataset_fingerprint(dataset)
    points = tmp_path / "copy" / "studies" / "two" / "landmarks.mrk.json"
    points.write_text(points.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert dataset_fingerprint(tmp_path / "copy") != dataset_fingerprint(dataset)
    assert dataset_fingerprint(write_set(tmp_path / "part", STUDIES[:2])) != dataset_fingerprint(dataset)


def test_a_folder_without_studies_has_no_fingerprint(tmp_path):
    with pytest.raises(InputError, match="holds no study"):
        dataset_fingerprint(tmp_path)


def contestants(learnt=(), refuses=()):
    models = (ComparedModel("old", "current", "a" * 64), ComparedModel("new", "bundle", "b" * 64))
    methods = {"old": OffBy((2.0, 3.0, 2.0), refuses=refuses), "new": OffBy((0.5, 1.0, 0.5))}
    return Contestants(models, methods, frozenset(learnt))


def test_models_are_compared_on_all_studies_of_a_set(dataset, tmp_path):
    comparison = compare_on_dataset(contestants(refuses=["two"]), PROTOCOL, dataset, tmp_path)
    old, new = comparison.results
    assert (old.cases, old.refused, new.cases, new.refused) == (3, 1, 3, 0)
    assert new.differences["in_plane_mm"].subjects == 2
    assert not new.verdict.better and new.verdict.reasons[0].startswith("Not enough people to say: 2")
    assert comparison.data.fingerprint == dataset_fingerprint(dataset)
    assert comparison.data.subjects == {"one": "one", "two": "two", "three": "two"}


def test_the_box_that_is_compared_is_one_of_the_protocol_s(dataset, tmp_path):
    comparison = compare_on_dataset(contestants(), PROTOCOL, dataset, tmp_path)
    assert (comparison.protocol, comparison.box) == (PROTOCOL.name, PROTOCOL.boxes[0].name)
    other = replace(PROTOCOL, boxes=(replace(PROTOCOL.boxes[0], name="other"), *PROTOCOL.boxes))
    assert true_plan_of_study(STUDIES[0], other).box.name == "other"
    assert true_plan_of_study(STUDIES[0], other, PROTOCOL.boxes[0].name).box.name == PROTOCOL.boxes[0].name
    with pytest.raises(InputError, match="other conditions"):
        compare_on_dataset(contestants(), other, dataset, tmp_path, box=PROTOCOL.boxes[0].name)


def test_a_model_that_knows_other_landmarks_is_compared_where_both_can_plan(dataset, tmp_path):
    class Knows:
        names = ("AC", "PC", "KNEECAP")

    known = known_landmarks(Knows, PROTOCOL)
    assert known == ("AC", "PC")
    pair = contestants()
    models = (replace(pair.models[0], landmarks=PROTOCOL.constellation.names), replace(pair.models[1], landmarks=known))
    comparison = compare_on_dataset(replace(pair, models=models), PROTOCOL, dataset, tmp_path)
    assert "GENU" in comparison.not_compared and "AC" not in comparison.not_compared
    assert set(comparison.cases[0].landmarks_mm) == {"AC", "PC"}
    assert comparison.results[1].differences["rotation_deg"].cases == 3


def test_studies_of_subjects_that_a_model_learnt_from_are_left_out(dataset, tmp_path):
    comparison = compare_on_dataset(contestants(learnt=["two"]), PROTOCOL, dataset, tmp_path)
    assert [case.head for case in comparison.cases] == ["one", "one"]
    assert comparison.data.left_out == ("two", "three")
    with pytest.raises(UsageError, match="learnt from every subject"):
        compare_on_dataset(contestants(learnt=["one", "two"]), PROTOCOL, dataset, tmp_path)
