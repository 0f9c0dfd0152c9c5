"""``calibrate --baseline``: the box of an earlier visit, from its plan or from the series that was acquired."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow import pipeline
from command_line import PLANNED_CODES, SAMPLE, assert_refused, at, content_of, edit_points, files_in, landmark
from dicom_localizers import write_localizer
from LandmarkTrainingLib.core.reference_heads.heads import list_heads
from LandmarkTrainingLib.core.reference_heads.poses import Pose, head_to_scanner, posed_volume

pytestmark = pytest.mark.usefixtures("no_picture")


def box_of(folder):
    box = content_of(folder)["box"]
    return np.array(box["center_mm"]), np.array(box["axes"]), np.array(box["size_mm"])


@pytest.fixture
def moved_baseline(autovolume, results):
    """A plan of the sample whose tilt follows a landmark that the user moved."""
    points = results / "landmarks.mrk.json"
    place = np.array(landmark(results, "AC")["position_mm"])
    edit_points(points, {"AC": at(place + [0, 0, 8])})
    assert autovolume("refit", results, "--landmarks", points).code in PLANNED_CODES
    return results


def test_the_box_of_an_earlier_plan_comes_back(autovolume, moved_baseline, planned_dicom, tmp_path):
    ran = autovolume("calibrate", SAMPLE / "dicom", "--baseline", moved_baseline, "--output", tmp_path / "next")
    assert ran.code == 0
    assert "from the plan by landmarks alone" in ran.out
    (center, axes, size), wanted = box_of(tmp_path / "next"), box_of(moved_baseline)
    assert center == pytest.approx(wanted[0], abs=0.3)
    assert axes == pytest.approx(wanted[1], abs=0.005)
    assert size == pytest.approx(wanted[2])
    alone = box_of(planned_dicom.folder)
    content = content_of(tmp_path / "next")["follow_up"]
    assert np.linalg.norm(content["shift_mm"]) == pytest.approx(np.linalg.norm(center - alone[0]), abs=0.1)
    assert content["correlation"] > 0.9
    assert content["baseline"] == str(moved_baseline)


def test_a_refit_keeps_the_box_of_the_baseline(autovolume, moved_baseline, tmp_path):
    folder = tmp_path / "next"
    autovolume("calibrate", SAMPLE / "dicom", "--baseline", moved_baseline, "--output", folder)
    before = box_of(folder)
    place = np.array(landmark(folder, "PC")["position_mm"])
    edit_points(folder / "landmarks.mrk.json", {"PC": at(place + [0, 0, 6])})
    assert autovolume("refit", folder, "--landmarks", folder / "landmarks.mrk.json").code in PLANNED_CODES
    assert box_of(folder)[0] == pytest.approx(before[0])
    assert content_of(folder)["risk"] is None


def test_the_slices_of_a_series_are_the_box(autovolume, shared_data, tmp_path):
    head = next(h for h in list_heads(shared_data, "train") if h.id == "datalad_t1")
    poses = [
        Pose(rotation_about(np.deg2rad(turn)), np.array(shift))
        for turn, shift in (([4, 0, 0], [0, 5, 0]), ([-3, 4, 6], [6, -8, 4]))
    ]
    moves = [head_to_scanner(pose, head.origin_mm, head.axes) for pose in poses]
    volumes = [posed_volume(head.volume(), move) for move in moves]
    series = cut_three_planes(volumes[0], ScoutGeometry(26, 5.0, 5.0), np.zeros(3), planes=["axial"])
    write_localizer(series, tmp_path / "series")
    write_localizer(cut_three_planes(volumes[1], ScoutGeometry(), np.zeros(3)), tmp_path / "scouts")
    ran = autovolume("calibrate", tmp_path / "scouts", "--baseline", tmp_path / "series", "--output", tmp_path / "next")
    assert ran.code in PLANNED_CODES, ran.err
    moved = moves[1] @ np.linalg.inv(moves[0])
    center, axes, size = box_of(tmp_path / "next")
    assert center == pytest.approx(moved[:3, 3], abs=1.0)
    assert axes == pytest.approx(moved[:3, :3].T, abs=0.015)
    assert size == pytest.approx([256.0, 256.0, 130.0])


def test_a_baseline_that_is_not_there_is_named_before_the_work(autovolume, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "calibrate", lambda *arguments, **options: pytest.fail("planned first"))
    ran = autovolume("calibrate", SAMPLE / "dicom", "--baseline", tmp_path / "nowhere", "--output", tmp_path / "next")
    assert_refused(ran, 3, f"{tmp_path / 'nowhere'}: there is no such file or folder. Check the path.")
    assert not (tmp_path / "next").exists()


def test_scouts_of_the_baseline_that_are_gone_are_named(autovolume, results, tmp_path):
    content = (results / "calibration.json").read_text("utf-8")
    (results / "calibration.json").write_text(content.replace(str(SAMPLE), str(tmp_path / "gone")), "utf-8")
    before = files_in(results)
    ran = autovolume("calibrate", SAMPLE / "dicom", "--baseline", results, "--output", tmp_path / "next")
    assert_refused(ran, 3, "gone")
    assert files_in(results) == before
    shutil.rmtree(tmp_path / "next", ignore_errors=True)
