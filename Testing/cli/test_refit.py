"""``refit``: the user corrects landmarks, and the box follows without the network."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from command_line import (
    NOWHERE,
    PLANNED_CODES,
    RESULT_FILES,
    ROOT,
    SAMPLE,
    assert_refused,
    at,
    content_of,
    edit_points,
    files_in,
    landmark,
    landmark_names,
    write_points,
)

pytestmark = pytest.mark.usefixtures("no_picture")


@pytest.fixture
def points(results):
    """The landmark file of a result folder, to be edited where it lies."""
    return results / "landmarks.mrk.json"


def place_of(folder, name):
    return np.array(landmark(folder, name)["position_mm"])


def test_a_moved_point_is_a_correction_and_the_box_follows(autovolume, results, points, planned_dicom):
    moved = place_of(results, "AC") + [0, 0, 8]
    edit_points(points, {"AC": at(moved)})
    ran = autovolume("refit", results, "--landmarks", points)
    assert ran.code in PLANNED_CODES
    assert ran.err == ""
    assert set(files_in(results)) == RESULT_FILES
    assert landmark(results, "AC")["status"] == "corrected"
    assert place_of(results, "AC") == pytest.approx(moved, abs=1e-6)
    before, after = (content_of(folder)["box"] for folder in (planned_dicom.folder, results))
    pitch = np.rad2deg(np.arccos(np.clip(np.dot(before["axes"][1], after["axes"][1]), -1, 1)))
    assert pitch > 1
    assert np.linalg.norm(np.subtract(before["center_mm"], after["center_mm"])) > 0.5


def test_points_that_were_not_moved_stay_predictions(autovolume, results, points, planned_dicom):
    edit_points(points, {"AC": at(place_of(results, "AC") + [0, 0, 8])})
    autovolume("refit", results, "--landmarks", points)
    before = content_of(planned_dicom.folder)
    after = content_of(results)
    assert after["predicted"] == before["predicted"]
    assert [m for m in after["landmarks"] if m["name"] != "AC"] == [m for m in before["landmarks"] if m["name"] != "AC"]
    assert after["model"] == before["model"]


def test_the_file_as_it_was_written_changes_nothing(autovolume, results, points, planned_dicom):
    ran = autovolume("refit", results, "--landmarks", points)
    assert ran.code == planned_dicom.ran.code
    before, after = content_of(planned_dicom.folder), content_of(results)
    assert after["landmarks"] == before["landmarks"]
    assert after["box"]["center_mm"] == pytest.approx(before["box"]["center_mm"], abs=1e-6)
    assert after["box"]["size_mm"] == before["box"]["size_mm"]


def test_a_locked_point_is_a_correction_where_it_lies(autovolume, results, points):
    name = landmark_names(results)[0]
    before = place_of(results, name)
    edit_points(points, {name: {"locked": True}})
    autovolume("refit", results, "--landmarks", points)
    assert landmark_names(results, "corrected") == [name]
    assert place_of(results, name) == pytest.approx(before, abs=1e-6)


def test_a_correction_within_a_slice_keeps_its_covariance_through_a_file_and_a_second_refit(
    autovolume, results, points, tmp_path
):
    ac = place_of(results, "AC") + [0, 2, 3]
    within = "[corrected in-plane, depth sd 2.500 mm along RAS 1.000000 0.000000 0.000000]"
    edit_points(points, {"AC": {**at(ac), "locked": True, "description": within}})
    autovolume("refit", results, "--landmarks", points)
    first = landmark(results, "AC")
    assert np.sqrt(np.diag(first["covariance_mm2"])) == pytest.approx([2.5, 0.02, 0.02], abs=1e-3)
    plain = write_points(tmp_path / "plain.mrk.json", {"AC": ac})
    autovolume("refit", results, "--landmarks", plain)
    assert landmark(results, "AC")["covariance_mm2"] == first["covariance_mm2"]


def test_a_point_without_a_place_becomes_missing_and_stays_so(autovolume, results, points):
    edit_points(points, {"SPLE": NOWHERE})
    for _ in range(2):  # the second time from the file that the first one wrote
        assert autovolume("refit", results, "--landmarks", points).code in PLANNED_CODES
        assert landmark(results, "SPLE")["status"] == "missing"
        assert landmark(results, "SPLE")["position_mm"] is None


def test_a_missing_point_can_be_placed(autovolume, results, points):
    edit_points(points, {"SPLE": NOWHERE})
    autovolume("refit", results, "--landmarks", points)
    edit_points(points, {"SPLE": at([1, -40, 5])})
    autovolume("refit", results, "--landmarks", points)
    assert landmark(results, "SPLE")["status"] == "corrected"
    assert place_of(results, "SPLE") == pytest.approx([1, -40, 5])


def test_corrections_hold_until_the_point_goes_back_to_its_prediction(autovolume, results, points, planned_dicom):
    predicted = place_of(results, "AC")
    edit_points(points, {"AC": at(predicted + [0, 0, 8])})
    autovolume("refit", results, "--landmarks", points)
    autovolume("refit", results, "--landmarks", points)
    assert landmark_names(results, "corrected") == ["AC"]
    edit_points(points, {"AC": {**at(predicted), "locked": False}})
    autovolume("refit", results, "--landmarks", points)
    assert content_of(results)["landmarks"] == content_of(planned_dicom.folder)["landmarks"]


def test_landmarks_that_a_file_does_not_list_stay_as_they_were(autovolume, results, points, tmp_path):
    moved = place_of(results, "AC") + [0, 0, 8]
    edit_points(points, {"AC": at(moved), "SPLE": NOWHERE})
    autovolume("refit", results, "--landmarks", points)
    others = len(landmark_names(results))
    only = write_points(tmp_path / "only.mrk.json", {"PC": place_of(results, "PC") + [0, 2, 0]})
    autovolume("refit", results, "--landmarks", only)
    assert set(landmark_names(results, "corrected")) == {"AC", "PC"}
    assert landmark(results, "SPLE")["status"] == "missing"
    assert len(landmark_names(results)) == others - 1


def test_unknown_points_are_noted_and_left_out(autovolume, results, points):
    edit_points(points, {"SPLE": {"label": "Lesion"}})
    ran = autovolume("refit", results, "--landmarks", points)
    assert ran.code in PLANNED_CODES
    assert ran.err.startswith("autovolume: note: ")
    assert ran.err.count("\n") == 1
    assert "Lesion" in ran.err
    assert landmark(results, "SPLE")["status"] == "predicted"


def test_the_times_are_those_of_the_refit(autovolume, results, points):
    before = content_of(results)["timings_s"]
    autovolume("refit", results, "--landmarks", points)
    after = content_of(results)["timings_s"]
    assert after["detect"] == before["detect"]
    assert after["total"] >= after["read"] + after["fit"]
    assert after["read"] != before["read"]


def test_the_study_name_is_kept(autovolume, results, points):
    path = results / "calibration.json"
    path.write_text(json.dumps({**content_of(results), "study": "Study 7"}), encoding="utf-8")
    autovolume("refit", results, "--landmarks", points)
    assert content_of(results)["study"] == "Study 7"


def test_no_network_is_loaded(results, points):
    script = (
        "import sys; from AutoVolumeCalibrationLib.cli.main import main; code = main(sys.argv[1:]);"
        "print(code, sorted({'torch', 'monai'} & set(sys.modules)))"
    )
    arguments = [sys.executable, "-c", script, "refit", results, "--landmarks", points]
    environment = {"PYTHONPATH": str(ROOT / "AutoVolumeCalibration"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment, check=True)
    assert done.stdout.splitlines()[-1] in ("0 []", "5 []")


@pytest.mark.parametrize("damage", ["absent", "not json", "other content"])
def test_a_folder_that_calibrate_did_not_write_is_refused(autovolume, results, points, damage):
    saved = results / "calibration.json"
    points = points.rename(results.parent / "points.mrk.json")
    {
        "absent": saved.unlink,
        "not json": lambda: saved.write_text("{"),
        "other content": lambda: saved.write_text("{}"),
    }[damage]()
    assert_refused(autovolume("refit", results, "--landmarks", points), 3, saved)


def test_scouts_that_have_gone_are_named_and_the_old_results_stay(autovolume, results, points):
    content = content_of(results)
    gone = results.parent / "gone"
    (results / "calibration.json").write_text(json.dumps({**content, "sources": [str(gone)]}), encoding="utf-8")
    before = files_in(results)
    assert_refused(autovolume("refit", results, "--landmarks", points), 3, gone)
    assert files_in(results) == before


def test_results_without_scouts_cannot_be_fitted_again(autovolume, results, points):
    (results / "calibration.json").write_text(json.dumps({**content_of(results), "sources": []}), encoding="utf-8")
    assert_refused(autovolume("refit", results, "--landmarks", points), 3, results)


def test_too_few_points_left_are_told_with_the_file_that_left_them(autovolume, results, points):
    edit_points(points, dict.fromkeys(landmark_names(results)[2:], NOWHERE))
    before = files_in(results)
    ran = autovolume("refit", results, "--landmarks", points)
    assert_refused(ran, 3, points)
    assert "at least 3" in ran.err
    assert files_in(results) == before


# ---- the scouts of a plan ----


def study_at(folder, edit=lambda dataset, index: None):
    """A copy of the sample's scouts, each file changed by ``edit``."""
    import pydicom

    folder.mkdir()
    for index, path in enumerate(sorted((SAMPLE / "dicom").iterdir())):
        dataset = pydicom.dcmread(path)
        edit(dataset, index)
        dataset.save_as(folder / path.name)
    return folder


def another_session(dataset, _index):
    dataset.FrameOfReferenceUID = "1.2.3"


def other_pixels(dataset, _index):
    dataset.PixelData = dataset.PixelData[:-2] + b"\x01\x00"


def moved(dataset, _index):
    dataset.ImagePositionPatient = [str(float(value) + 3) for value in dataset.ImagePositionPatient]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (another_session, "another patient or another session"),
        (other_pixels, "images differ"),
        (moved, "positions in space differ"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--repredict",)])
def test_other_scouts_at_the_same_path_are_refused(autovolume, results, points, tmp_path, edit, why, flags):
    folder = study_at(tmp_path / "scouts", edit)
    (results / "calibration.json").write_text(json.dumps({**content_of(results), "sources": [str(folder)]}))
    before = files_in(results)
    ran = autovolume("refit", results, "--landmarks", points, *flags)
    assert_refused(ran, 3, folder)
    assert why in ran.err
    assert files_in(results) == before


def test_a_scout_that_is_missing_is_noticed(autovolume, results, points, tmp_path):
    folder = study_at(tmp_path / "scouts")
    (folder / "0001.dcm").unlink()
    ran = autovolume("refit", results, "--landmarks", points, "--scouts", folder)
    assert_refused(ran, 3, folder)
    assert "14 slices, the plan was made on 15" in ran.err


def test_scouts_that_moved_are_named_and_kept(autovolume, results, points, tmp_path):
    folder = study_at(tmp_path / "scouts")
    content = content_of(results) | {"sources": [str(tmp_path / "before")]}
    (results / "calibration.json").write_text(json.dumps(content), encoding="utf-8")
    ran = autovolume("refit", results, "--landmarks", points)
    assert_refused(ran, 3, "before: the scouts of this plan are no longer there. Say where they are now")
    assert autovolume("refit", results, "--landmarks", points, "--scouts", folder).code in PLANNED_CODES
    assert content_of(results)["sources"] == [str(folder)]


def test_a_series_that_arrived_later_does_not_change_the_scouts_of_a_plan(autovolume, results, points, tmp_path):
    def later(dataset, _index):
        dataset.SeriesInstanceUID, dataset.SeriesNumber = "1.2.3", 9
        other_pixels(dataset, _index)

    folder = study_at(tmp_path / "scouts")
    for path in study_at(tmp_path / "later", later).iterdir():
        path.rename(folder / f"later{path.name}")
    assert autovolume("refit", results, "--landmarks", points, "--scouts", folder).code in PLANNED_CODES


def test_results_of_earlier_versions_are_fitted_again(autovolume, results, points):
    content = content_of(results)
    for key in ("scouts", "protocol_sha256"):
        del content[key]
    (results / "calibration.json").write_text(json.dumps(content), encoding="utf-8")
    assert autovolume("refit", results, "--landmarks", points).code in PLANNED_CODES
    assert len(content_of(results)["scouts"]) == 3


def test_results_keep_digests_and_no_identifier(results):
    import pydicom

    dataset = pydicom.dcmread(SAMPLE / "dicom" / "0001.dcm")
    text = (results / "calibration.json").read_text(encoding="utf-8")
    for uid in (dataset.FrameOfReferenceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID):
        assert uid not in text


def test_two_point_files_add_up_and_contradict_each_other_in_no_point(autovolume, results, points, tmp_path):
    one = write_points(tmp_path / "one.mrk.json", {"AC": place_of(results, "AC") + [0, 0, 8]})
    other = write_points(tmp_path / "other.mrk.json", {"PC": place_of(results, "PC") + [0, 0, 8]})
    assert_refused(autovolume("refit", results, "--landmarks", one, "--landmarks", one), 3, one)
    assert autovolume("refit", results, "--landmarks", one, "--landmarks", other).code in PLANNED_CODES
    assert set(landmark_names(results, "corrected")) == {"AC", "PC"}
