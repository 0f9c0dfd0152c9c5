"""``calibrate``: scouts on the command line become a whole folder of results."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import require_schema
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, Check
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks, read_scan_box
from AutoVolumeCalibrationLib.core.workflow import checked_plan
from AutoVolumeCalibrationLib.mrml import scene_file
from bad_inputs import SECRET_ID, SECRET_NAME
from command_line import (
    MIDDLE_SLICES,
    PLANNED_CODES,
    RESULT_FILES,
    SAMPLE,
    assert_refused,
    content_of,
    edit_points,
    files_in,
    landmark,
    landmark_names,
    write_points,
)
from dicom_localizers import write_localizer

#: About the middle of the brain in the millimetres of the head that the sample scouts show.
BRAIN_MIDDLE_MM = (0.0, -18.0, 8.0)


def test_the_plan_is_made_and_printed(planned):
    assert planned.ran.code in PLANNED_CODES
    assert planned.ran.err == ""
    assert "AxialWholeBrain" in planned.ran.out
    assert str(planned.folder) in planned.ran.out


def test_the_exit_code_follows_the_checks(planned):
    has_errors = any(check["level"] == "error" for check in content_of(planned.folder)["checks"])
    assert planned.ran.code == (5 if has_errors else 0)


def test_the_folder_holds_the_four_files_and_nothing_else(planned):
    assert set(files_in(planned.folder)) == RESULT_FILES


def test_calibration_json_fits_its_schema(planned):
    content = content_of(planned.folder)
    require_schema(content, "calibration", planned.folder, InputError, "")
    assert content["protocol"] == "BrainAcPc"
    assert content["model"]["device"] == "cpu"
    assert {"read", "detect", "fit", "total"} <= set(content["timings_s"])
    parts = [seconds for name, seconds in content["timings_s"].items() if name != "total"]
    assert min(parts) > 0
    assert content["timings_s"]["total"] >= sum(parts)


def test_the_markups_files_tell_what_calibration_json_tells(planned):
    content = content_of(planned.folder)
    points = {point.name: point for point in read_landmarks(planned.folder / "landmarks.mrk.json")}
    assert list(points) == [entry["name"] for entry in content["landmarks"]]
    for entry in content["landmarks"]:
        place = points[entry["name"]].position_mm
        assert (place is None) == (entry["status"] == "missing")
        if place is not None:
            assert place == pytest.approx(entry["position_mm"], abs=1e-6)
    box = read_scan_box(planned.folder / "scanbox.mrk.json")
    assert box.center_mm == pytest.approx(content["box"]["center_mm"], abs=1e-6)
    assert box.axes == pytest.approx(np.array(content["box"]["axes"]), abs=1e-6)
    assert box.size_mm == pytest.approx(content["box"]["size_mm"], abs=1e-6)


def test_the_overview_is_a_picture(planned):
    picture = (planned.folder / "overview.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")


def test_the_box_lies_about_the_brain(planned):
    pose = np.array(json.loads((SAMPLE / "truth.json").read_text())["pose"]["matrix"])
    middle = pose[:3, :3] @ BRAIN_MIDDLE_MM + pose[:3, 3]
    center = np.array(content_of(planned.folder)["box"]["center_mm"])
    assert np.linalg.norm(center - middle) < 30


def test_dicom_and_images_of_one_head_give_one_box(planned_dicom, planned_nrrd):
    one, other = (content_of(planned.folder)["box"] for planned in (planned_dicom, planned_nrrd))
    assert one["center_mm"] == pytest.approx(other["center_mm"], abs=1)
    assert np.array(one["axes"]) == pytest.approx(np.array(other["axes"]), abs=0.02)


@pytest.mark.usefixtures("no_picture")
def test_a_second_run_needs_overwrite(autovolume, results):
    before = files_in(results)
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", results)
    assert_refused(ran, 2, results)
    assert "--overwrite" in ran.err
    assert files_in(results) == before


@pytest.mark.usefixtures("no_picture")
def test_overwrite_replaces_the_results_and_leaves_other_files(autovolume, results):
    (results / "notes.txt").write_text("mine")
    before = files_in(results)
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", results, "--overwrite")
    assert ran.code in PLANNED_CODES
    after = files_in(results)
    assert set(after) == RESULT_FILES | {"notes.txt"}
    assert after["notes.txt"] == b"mine"
    assert all(after[name] != before[name] for name in RESULT_FILES)
    assert content_of(results)["sources"] == [str(path) for path in MIDDLE_SLICES]


def test_a_scene_counts_as_a_result_that_is_not_overwritten_unasked(autovolume, tmp_path):
    (tmp_path / "scene.mrb").write_bytes(b"a person's work")
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path, "--scene")
    assert_refused(ran, 2, "scene.mrb")


@pytest.mark.usefixtures("no_picture")
@pytest.mark.parametrize("flags", [["--protocol", "BrainSagittal3D"], ["--protocol", "BrainHippocampus"]])
def test_a_protocol_by_name_gives_its_own_box(autovolume, tmp_path, flags):
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path, *flags)
    assert ran.code in PLANNED_CODES
    content = content_of(tmp_path)
    assert content["protocol"] == flags[1]
    assert content["protocol_file"] is None
    assert content["box"]["name"] == load_protocol(flags[1]).boxes[0].name


@pytest.mark.usefixtures("no_picture")
def test_a_protocol_file_and_one_of_its_boxes(autovolume, tmp_path):
    data = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    data["boxes"].append({**data["boxes"][0], "name": "Tilted", "tilt_deg": {"about_right": 20}})
    (tmp_path / "Own.json").write_text(json.dumps(data), encoding="utf-8")
    flags = ["--protocol", tmp_path / "Own.json", "--box", "Tilted"]
    assert autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", *flags).code in PLANNED_CODES
    content = content_of(tmp_path / "out")
    assert content["protocol_file"] == str(tmp_path / "Own.json")
    assert content["box"]["name"] == "Tilted"
    turned = np.array(content["box"]["axes"]) @ np.array(content["frame"]["axes"]).T
    assert np.rad2deg(np.arccos(turned[2, 2])) == pytest.approx(20, abs=0.1)


@pytest.mark.usefixtures("no_picture")
def test_a_placed_point_holds_exactly(autovolume, tmp_path):
    place = [3.25, 4.5, -6.125]
    points = write_points(tmp_path / "placed.mrk.json", {"AC": place})
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", "--landmarks", points)
    assert ran.code in PLANNED_CODES
    assert ran.err == ""
    assert landmark(tmp_path / "out", "AC")["status"] == "corrected"
    assert landmark(tmp_path / "out", "AC")["position_mm"] == place
    statuses = [entry["status"] for entry in content_of(tmp_path / "out")["landmarks"]]
    assert statuses.count("corrected") == 1


@pytest.mark.usefixtures("no_picture")
def test_points_of_our_own_file_hold_only_where_a_person_locked_them(autovolume, results, tmp_path):
    points = edit_points(results / "landmarks.mrk.json", {"PC": {"locked": True}})
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", "--landmarks", points)
    assert ran.code in PLANNED_CODES
    corrected = [mark["name"] for mark in content_of(tmp_path / "out")["landmarks"] if mark["status"] == "corrected"]
    assert corrected == ["PC"]
    assert landmark(tmp_path / "out", "PC")["position_mm"] == pytest.approx(landmark(results, "PC")["position_mm"])
    assert ran.err.count("\n") == 1
    assert "points are predictions" in ran.err


@pytest.mark.usefixtures("no_picture")
def test_points_that_the_protocol_does_not_know_are_noted(autovolume, tmp_path):
    points = write_points(tmp_path / "placed.mrk.json", {"AC": [4, 5, -6], "Lesion": [0, 0, 0]})
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path / "out", "--landmarks", points)
    assert ran.code in PLANNED_CODES
    assert ran.err == (f"autovolume: note: {points}: points ignored, not in protocol BrainAcPc: Lesion\n")


@pytest.mark.usefixtures("no_picture")
def test_a_plan_with_an_error_in_its_checks_is_written_and_told_by_the_exit_code(autovolume, tmp_path, monkeypatch):
    monkeypatch.setattr(
        checked_plan, "run_checks", lambda evidence: (Check("size", ERROR, "Not what the model knows."),)
    )
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", tmp_path)
    assert ran.code == 5
    assert "STOP  size: Not what the model knows." in ran.out
    assert set(files_in(tmp_path)) == RESULT_FILES


def test_no_patient_data_reach_the_results_or_the_terminal(autovolume, tmp_path):
    def name_the_patient(dataset, index):
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = SECRET_NAME, SECRET_ID, "19000102"

    stacks = read_scouts(MIDDLE_SLICES)
    write_localizer(stacks, tmp_path / "scouts", edit=name_the_patient)
    assert SECRET_NAME.encode() in (tmp_path / "scouts" / "0001.dcm").read_bytes()
    ran = autovolume("calibrate", tmp_path / "scouts", "--output", tmp_path / "out")
    assert ran.code in PLANNED_CODES
    everything = b"".join(files_in(tmp_path / "out").values()) + (ran.out + ran.err).encode()
    for secret in (SECRET_NAME, SECRET_ID, "19000102", *SECRET_NAME.split("^")):
        assert secret.encode() not in everything


def test_check_says_what_it_thinks_and_writes_nothing(autovolume, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = autovolume("check", *MIDDLE_SLICES)
    assert ran.code in PLANNED_CODES
    assert "total" in ran.out
    assert files_in(tmp_path) == {}


@pytest.mark.usefixtures("no_picture")
def test_a_scene_is_written_where_it_is_wanted_and_kept_up_to_date(autovolume, results, monkeypatch):
    monkeypatch.setattr(scene_file, "save_scene", lambda plan, path: path.write_text(plan.landmarks[0].status))
    arguments = ["calibrate", *MIDDLE_SLICES, "--output", results, "--overwrite"]
    assert autovolume(*arguments, "--scene").code in PLANNED_CODES
    assert set(files_in(results)) == RESULT_FILES | {"scene.mrb"}
    assert files_in(results)["scene.mrb"] == b"predicted"
    points = edit_points(results / "landmarks.mrk.json", {landmark_names(results)[0]: {"locked": True}})
    assert autovolume("refit", results, "--landmarks", points).code in PLANNED_CODES
    assert files_in(results)["scene.mrb"] == b"corrected"
    assert autovolume(*arguments).code in PLANNED_CODES
    assert files_in(results)["scene.mrb"] == b"predicted"


def test_check_lists_the_series_and_why_each_is_used(autovolume, tmp_path):
    for path in MIDDLE_SLICES:
        shutil.copy(path, tmp_path)
    (tmp_path / "mask.nrrd").write_bytes(b"")
    ran = autovolume("check", tmp_path)
    assert ran.code in PLANNED_CODES
    used, left_out = (line.strip() for line in ran.out.splitlines()[:2])
    what = 'series 1 "Three-plane localizer": localizer, 1 sagittal, 1 coronal, 1 axial'
    assert used == f"used  {what}; the latest complete localizer"
    assert left_out == "-  mask.nrrd: other object; lies beside DICOM files, which are used"


def test_check_lists_the_series_where_none_will_do(autovolume, tmp_path):
    shutil.copy(MIDDLE_SLICES[0], tmp_path)
    ran = autovolume("check", tmp_path)
    assert ran.code == 3
    assert "1 sagittal" in ran.out and "only sagittal slices" in ran.err


def test_a_series_can_be_chosen(autovolume, tmp_path):
    ran = autovolume("check", *MIDDLE_SLICES, "--series", "1")
    assert ran.code in PLANNED_CODES and "chosen by the user" in ran.out
    ran = autovolume("check", *MIDDLE_SLICES, "--series", "2")
    assert ran.code == 3 and "there is no series 2" in ran.err


@pytest.mark.usefixtures("no_picture")
def test_an_old_plan_does_not_survive_a_failed_overwrite_and_goes_with_a_new_one(autovolume, results, tmp_path):
    arguments = ["calibrate", "--output", results, "--overwrite"]
    assert autovolume(*arguments, tmp_path / "none").code == 3
    assert set(files_in(results)) == {f"previous/{name}" for name in RESULT_FILES}
    assert autovolume(*arguments, *MIDDLE_SLICES).code in PLANNED_CODES
    assert set(files_in(results)) == RESULT_FILES
