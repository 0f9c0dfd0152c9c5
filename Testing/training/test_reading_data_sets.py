"""What is read back from a data set is what a person stands behind, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.storage.dataset import add_study, study_folder
from AutoVolumeCalibrationLib.core.storage.markups import MarkupPoint, write_landmarks
from calibrations import calibration
from command_line import edit_points
from data_sets import PROTOCOL, brain_study, write_set
from LandmarkTrainingLib.core.datasets.reading import (
    UNSTATED_SD_MM,
    absent_of,
    landmarks_of_points,
    read_dataset,
    read_study,
    subject_of,
)


def statuses(study):
    return {mark.name: mark.status for mark in study.landmarks}


def test_of_a_corrected_case_only_the_points_that_a_person_set_are_truth(tmp_path):
    plan = calibration()
    add_study(tmp_path, plan, name="one")
    study = read_study(tmp_path, "one")
    assert statuses(study) == {"PC": CORRECTED, "TOP": MISSING}
    placed = next(mark for mark in study.landmarks if mark.name == "PC")
    assert placed.position_mm == pytest.approx(next(m for m in plan.landmarks if m.name == "PC").position_mm)


def test_predictions_are_there_for_those_who_ask_with_confidence_and_spread(tmp_path):
    plan = calibration()
    add_study(tmp_path, plan, name="one")
    found = {mark.name: mark for mark in read_study(tmp_path, "one", predictions=True).landmarks}
    assert found["AC"].status == PREDICTED and found["AC"].confidence == pytest.approx(0.7)
    expected = next(mark for mark in plan.landmarks if mark.name == "AC")
    assert found["AC"].sd_mm == pytest.approx(expected.sd_mm, abs=0.05)


def test_locking_a_prediction_in_the_file_makes_it_truth(tmp_path):
    place = add_study(tmp_path, calibration(), name="one")
    edit_points(place / "landmarks.mrk.json", {"AC": {"locked": True}})
    assert statuses(read_study(tmp_path, "one"))["AC"] == CORRECTED


def test_what_a_person_took_away_is_known_to_be_absent_and_what_was_never_found_is_unknown(tmp_path):
    plan = calibration()
    without = tuple(Landmark(m.name) if m.name == "LEFT" else m for m in plan.landmarks)
    add_study(tmp_path, replace(plan, landmarks=without), name="one")
    study = read_study(tmp_path, "one")
    assert absent_of(study) == {"LEFT"}
    assert statuses(study)["TOP"] == MISSING


def test_a_point_that_was_put_back_by_hand_is_not_absent(tmp_path):
    plan = calibration()
    without = tuple(Landmark(m.name) if m.name == "LEFT" else m for m in plan.landmarks)
    place = add_study(tmp_path, replace(plan, landmarks=without), name="one")
    back = (Landmark("LEFT").corrected(np.zeros(3)),)
    write_landmarks(place / "landmarks.mrk.json", back, plan.protocol.constellation)
    assert absent_of(read_study(tmp_path, "one")) == frozenset()


def test_studies_written_with_all_points_placed_come_back_whole_in_their_order(tmp_path):
    written = [brain_study("b", 1), brain_study("a", 2)]
    read = read_dataset(write_set(tmp_path, written))
    assert [study.name for study in read] == ["b", "a"]
    for one, other in zip(read, written, strict=True):
        assert one.provenance == other.provenance
        assert [mark.name for mark in one.landmarks] == list(PROTOCOL.constellation.names)
        for a, b in zip(one.landmarks, other.landmarks, strict=True):
            assert a.position_mm == pytest.approx(b.position_mm, abs=1e-6)


def test_the_subject_is_its_pseudonym_else_the_study_itself(tmp_path):
    add_study(tmp_path, calibration(), name="first", subject="person-7")
    add_study(tmp_path, calibration(), name="second")
    assert [subject_of(study) for study in read_dataset(tmp_path)] == ["person-7", "second"]


def test_there_is_nothing_to_read_where_there_is_no_data_set(tmp_path):
    assert read_dataset(tmp_path) == []


def test_a_study_without_provenance_is_read(tmp_path):
    write_set(tmp_path, [brain_study("one")])
    (study_folder(tmp_path, "one") / "provenance.json").unlink()
    study = read_study(tmp_path, "one")
    assert study.provenance == {} and subject_of(study) == "one"


@pytest.mark.parametrize(
    ("file", "text"), [("provenance.json", "[1]"), ("provenance.json", "{"), ("landmarks.mrk.json", "{}")]
)
def test_a_damaged_file_is_named(tmp_path, file, text):
    write_set(tmp_path, [brain_study("one")])
    (study_folder(tmp_path, "one") / file).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=file):
        read_study(tmp_path, "one")


@pytest.mark.parametrize(
    ("description", "sd_mm"),
    [
        ("[predicted, confidence 0.40, sd 2.5 mm]", 2.5),
        ("[predicted, confidence 0.40]", UNSTATED_SD_MM),
        ("AC, its centre [predicted]", UNSTATED_SD_MM),
        ("[predicted, confidence 1, sd 0.0 mm]", 0.05),
    ],
)
def test_a_prediction_is_known_as_well_as_it_says(description, sd_mm):
    (mark,) = landmarks_of_points([MarkupPoint("AC", np.ones(3), False, description)], predictions=True)
    assert mark.status == PREDICTED and mark.sd_mm == pytest.approx(sd_mm)
