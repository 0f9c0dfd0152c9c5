"""Who is kept back, what is measured on them and what that comes to."""

import math

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from fake_models import fake_model, spot_stack
from labelled_studies import spot_study
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.experiments import fold_data, fold_measurement
from LandmarkTrainingLib.core.experiments.cross_validation import FoldResult
from LandmarkTrainingLib.core.experiments.cross_validation_report import report, summarise_folds
from LandmarkTrainingLib.core.experiments.fold_data import deal_subjects, load_fold_data
from LandmarkTrainingLib.core.experiments.fold_measurement import PointError, point_errors
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.augmentation import Augmentation
from LandmarkTrainingLib.core.slices.study_source import StudySource
from LandmarkTrainingLib.core.slices.targets import make_targets, target_settings

CONSTELLATION = load_protocol("BrainAcPc").constellation
NAMES = CONSTELLATION.names
PLACES = {mark.name: mark.reference_mm for mark in CONSTELLATION.landmarks}
TARGETS = target_settings(TrainingConfig(), SliceSettings())
CPU = torch.device("cpu")


def brain(number, subject, places=PLACES):
    return spot_study(f"case_{number}", places=places, subject=subject)


def deal(studies, folds=None, leave_one_out=False, learnt_before=frozenset()):
    return deal_subjects(studies, NAMES, folds=folds, leave_one_out=leave_one_out, seed=0, learnt_before=learnt_before)


class Answering(torch.nn.Module):
    """Gives the targets of a study's slices, moved by so many mm along the rows."""

    def __init__(self, study, moved_mm, names=NAMES, mirror=CONSTELLATION.mirror_indices):
        super().__init__()
        batch = StudySource([study], names, mirror, SliceSettings(), Augmentation.none()).all_slices()
        batch.points[..., 1] += moved_mm / TARGETS.pixel_mm
        self.heatmaps = make_targets(batch, TARGETS).heatmaps

    def forward(self, image):
        return self.heatmaps


def test_each_subject_is_kept_back_once_with_all_of_its_studies():
    studies = [brain(i, f"person_{i % 7}") for i in range(12)]
    for folds, count in ((None, 5), (2, 2), (7, 7)):
        dealt = deal(studies, folds)
        assert len(dealt) == count and sorted(name for kept in dealt for name in kept) == [
            f"person_{i}" for i in range(7)
        ]
    assert [len(kept) for kept in deal(studies, leave_one_out=True)] == [1] * 7


def test_whom_the_model_knows_already_and_who_tells_nothing_is_never_kept_back(caplog):
    studies = [brain(i, f"person_{i}") for i in range(4)] + [brain(9, "nobody", {"AC": None})]
    dealt = deal(studies, learnt_before=frozenset({"person_2"}))
    assert frozenset().union(*dealt) == {"person_0", "person_1", "person_3"} and len(dealt) == 3
    assert "measured in none" in caplog.text and caplog.text.strip().endswith("nobody, person_2")
    with pytest.raises(UsageError, match="1 subjects with landmarks that the starting model has not learnt from"):
        deal(studies[:2], learnt_before=frozenset({"person_0"}))
    with pytest.raises(UsageError, match="3 subjects cannot be split into 4 folds"):
        deal(studies, 4, learnt_before=frozenset({"person_2"}))


def slices_in(batch):
    return {tuple(image.flatten().tolist()[::97]) for image in batch.images}


def unlike(number, subject):
    """A study whose slices differ from those of others."""
    far = np.array([10.0, 10.0, -10.0]) * number
    return spot_study(f"case_{number}", [spot_stack(plane, far) for plane in PLANES], places=PLACES, subject=subject)


@pytest.mark.parametrize(("folds", "people"), [(0, (3, 3)), (3, (2, 1)), (9, (2, 1))])
def test_the_error_is_watched_on_other_people_than_are_learnt_from_where_that_is_asked(folds, people):
    studies = [unlike(i, f"person_{i}") for i in range(3)]
    config = TrainingConfig(folds=folds)
    data = load_fold_data(studies, None, config, CONSTELLATION)
    learnt = data.source.all_slices()
    assert (len(learnt.images), len(data.check.images)) == (3 * people[0], 3 * people[1])
    assert (slices_in(learnt) & slices_in(data.check) == set()) == bool(folds)


def test_label_maps_are_mixed_in_and_watched(monkeypatch):
    class Beside:
        check = object()

        class source:  # noqa: N801
            @staticmethod
            def batch(count, seed):
                return StudySource(
                    [unlike(7, "z")], NAMES, CONSTELLATION.mirror_indices, SliceSettings(), Augmentation.none()
                ).batch(count, seed)

    monkeypatch.setattr(fold_data, "load_training_data", lambda folders, *_: Beside if folders.labels else None)
    studies = [brain(0, "a"), brain(1, "b")]
    data = load_fold_data(studies, "labels", TrainingConfig(study_fraction=0.5), CONSTELLATION)
    assert data.check is Beside.check and list(data.source.fractions) == [0.5, 0.5]
    assert len(data.source.batch(8, (0,)).images) == 8
    watched = load_fold_data(studies, "labels", TrainingConfig(folds=2), CONSTELLATION)
    assert len(watched.check.images) == 3
    with pytest.raises(UsageError, match="study_fraction 1.5 is out of range"):
        load_fold_data(studies, "labels", TrainingConfig(study_fraction=1.5), CONSTELLATION)


def test_the_errors_are_those_of_the_peaks_on_near_slices_without_extremes():
    study = brain(3, "somebody")
    found = point_errors(Answering(study, 5.0), TARGETS, CPU, [study], CONSTELLATION)
    assert found and {error.plane for error in found} == set(PLANES)
    np.testing.assert_allclose([error.error_mm for error in found], 5.0, atol=0.2)
    assert not {error.landmark for error in found} & set(fold_measurement.NORMAL_AXIS)
    assert {(error.study, error.subject, error.starting_mm) for error in found} == {("case_3", "somebody", None)}
    near = {(error.slice, error.landmark) for error in found}
    depths = StudySource([study], NAMES, CONSTELLATION.mirror_indices, SliceSettings(), Augmentation.none())
    depths = depths.all_slices().depths_mm.abs() < fold_measurement.NEAR_MM
    assert all(depths[number, NAMES.index(name)] for number, name in near)


def test_the_starting_model_is_measured_on_the_same_points_whatever_its_order_of_landmarks():
    study = brain(0, "a")
    some = [name for name in NAMES if name not in fold_measurement.NORMAL_AXIS][3:0:-1]
    own = Answering(study, 3.0, some, np.arange(3))
    model = fake_model(own, some, np.arange(3), sigma_mm=TARGETS.sigma_mm, tau_mm=TARGETS.tau_mm)
    found = point_errors(Answering(study, 5.0), TARGETS, CPU, [study], CONSTELLATION, model)
    known = {error.landmark for error in found if error.starting_mm is not None}
    assert known and known <= set(some) and any(error.starting_mm is None for error in found)
    unpaired = [error.starting_mm for error in found if error.landmark in known and error.plane != "sagittal"]
    np.testing.assert_allclose(unpaired, 3.0, atol=0.2)


def test_a_study_without_a_place_is_passed_over():
    study = LabelledStudy("empty", brain(0, "a").stacks, (), {})
    assert point_errors(torch.nn.Identity(), TARGETS, CPU, [study], CONSTELLATION) == []


def folds_of(errors, before=None):
    """Two folds of two people each with these errors."""
    result = []
    for number in (1, 2):
        people = tuple(f"person_{number}{letter}" for letter in "ab")
        points = [
            PointError(f"study_{who}", who, 0, "axial", "AC", error, None if before is None else error + before)
            for who in people
            for error in errors[number - 1]
        ]
        result.append(FoldResult(number, people, 50, tuple(points)))
    return result


def test_all_points_of_all_folds_count_together_and_each_fold_by_itself():
    summary = summarise_folds(folds_of([[1.0, 2.2], [3.0, 10.0]]), "")
    assert summary["trained"]["points"] == 8 and summary["trained"]["subjects"] == 4
    assert summary["trained"]["median"] == pytest.approx(2.6) and summary["trained"]["p95"] == pytest.approx(10.0)
    assert summary["trained"]["success"] == {"2": 0.25, "2.5": 0.5, "3": 0.75, "4": 0.75}
    assert [fold["median"] for fold in summary["folds"]] == [1.6, 6.5]
    assert summary["starting"] is None and summary["difference"] is None
    assert summary["planes"]["sagittal"] == {"points": 0, "median": None, "p95": None}
    text = report(summary)
    assert "before" not in text and "| AC       |" in text and "person_1a, person_1b" in text


def test_the_starting_model_is_compared_person_by_person():
    summary = summarise_folds(folds_of([[1.0, 2.0], [3.0, 4.0]], before=0.5), "old")
    assert summary["starting"]["median"] == pytest.approx(3.0)
    difference = summary["difference"]
    assert [difference[key] for key in ("mean", "low", "high")] == pytest.approx([-0.5] * 3)
    assert (difference["subjects"], difference["points"]) == (4, 8)
    assert "Mean error less that of old: -0.50 [-0.50, -0.50] mm (4 subjects" in report(summary)


def test_folds_in_which_nothing_could_be_measured_are_written_as_unknown():
    summary = summarise_folds([FoldResult(1, ("a",), 5, ()), FoldResult(2, ("b",), 5, ())], "old")
    assert summary["trained"]["median"] is None and summary["folds"][0]["median"] is None
    assert not any(isinstance(value, float) and math.isnan(value) for value in summary["difference"].values())
    assert "| 1    |" in report(summary)
