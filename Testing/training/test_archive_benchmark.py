"""The benchmark of archives: its exams, and what it reports of plans that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.storage.results import box_from_dict, box_to_dict
from benchmarks import archive
from head_phantom import phantom_head, phantom_volume
from LandmarkTrainingLib.core.datasets.building import Skipped, build_dataset
from LandmarkTrainingLib.core.datasets.from_archive import archive_candidates
from LandmarkTrainingLib.core.datasets.habit.exams import PlannedExam
from LandmarkTrainingLib.core.datasets.planned_series import PlannedSeries
from LandmarkTrainingLib.core.datasets.reading import read_dataset
from LandmarkTrainingLib.core.reference_heads.truth import true_frame
from made_up_archive import Technologist
from posed_landmarks import landmarks_at, random_placement

COUNT = 14


def known_exams():
    """Exams of heads whose frame is known, and their truth; the odd ones as the benchmark has them."""
    technologist, rng = Technologist(sd_deg=0.5, sd_mm=0.5), np.random.default_rng(0)
    exams, truth = [], {}
    for number in range(COUNT):
        frame = true_frame(
            landmarks_at(archive.PROTOCOL, placement=random_placement(number, angle_deg=8)), archive.PROTOCOL
        )
        odd = {6: "tilt", 13: "region"}.get(number, "")
        drawn = technologist.box(frame, archive.PROTOCOL, rng, odd)
        slices = round((drawn.size_mm[2] + technologist.gap_mm) / (technologist.thickness_mm + technologist.gap_mm))
        series = PlannedSeries(slices, technologist.thickness_mm, technologist.gap_mm, "superior", "right")
        exams.append(PlannedExam(f"e{number}", frame, drawn, series))
        boxes = {"intended": box_to_dict(technologist.box(frame, archive.PROTOCOL)), "drawn": box_to_dict(drawn)}
        truth[f"e{number}"] = {"otherwise": odd, "subject": f"p{number % 5}", **boxes}
    return exams, truth


def test_the_report_counts_odd_exams_and_held_out_plans():
    exams, truth = known_exams()
    lost = Skipped(exams[0].name, "no brain recognised")
    text = archive.report([lost, *exams[1:]], truth)
    assert "Planned otherwise: 2, of these named: 2; named without cause: 0 of 11; left out: 1." in text
    assert "Held-out exams planned: 11 of 12" in text and "left out  e0: no brain recognised" in text
    assert "| 5 exams |" in text and "| 30 exams |" not in text


def test_nobody_is_in_both_parts_of_a_fold():
    exams, truth = known_exams()
    for held_out, others in archive._folds(exams, truth):
        people = {truth[exam.name]["subject"] for exam in held_out}
        assert people and people.isdisjoint(truth[exam.name]["subject"] for exam in others)


def test_differences_are_rotation_shift_and_the_farthest_face():
    box = OrientedBox("a", np.zeros(3), np.eye(3), np.array([100.0, 100.0, 100.0]))
    moved = replace(box, center_mm=np.array([3.0, 0.0, 4.0]), size_mm=np.array([100.0, 100.0, 112.0]))
    assert archive._difference(box, moved) == pytest.approx((0.0, 5.0, 10.0))


def test_an_exam_of_the_benchmark_is_read_back_as_it_was_drawn(tmp_path):
    case = archive._make_exam(6, phantom_head(archive.PROTOCOL), phantom_volume(4.0), tmp_path / "archive")
    assert case["otherwise"] == "tilt"
    build_dataset(tmp_path / "set", archive_candidates(tmp_path / "archive"), archive.PROTOCOL.constellation)
    (study,) = read_dataset(tmp_path / "set")
    drawn, found = box_from_dict(case["drawn"]), box_from_dict(study.provenance["reference_box"])
    assert archive._difference(drawn, found) == pytest.approx((0.0, 0.0, 0.0), abs=0.01)
