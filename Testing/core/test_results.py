"""The result folder: what is in it, that it is whole, and that a refit finds everything again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib import __version__
from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.json_files import require_schema
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.planning.checks.check import WARNING, Check
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.planning.prescription import prescribe
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks, read_scan_box
from AutoVolumeCalibrationLib.core.storage.results import calibration_to_dict, read_results, write_results
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration

FILES = {"landmarks.mrk.json", "scanbox.mrk.json", "calibration.json"}


A_MODEL = ModelInfo("brain", "ab" * 32, "cpu")


def a_calibration(protocol="BrainAcPc", model: ModelInfo | None = A_MODEL) -> Calibration:
    plan = load_protocol(protocol)
    found = Landmark("AC", np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0]), 0.8, PREDICTED, ("axial", "sagittal"))
    box = OrientedBox("AxialWholeBrain", np.zeros(3), np.eye(3), np.array([140.0, 180, 141]), dict.fromkeys(FACES, 1.5))
    return Calibration(
        stacks=(),
        protocol=plan,
        landmarks=(found.corrected(np.array([1.5, 2.0, 3.0])), Landmark("PC")),
        predicted=(found, Landmark("PC")),
        frame=AnatomicalFrame(np.zeros(3), np.eye(3), 1.02, np.eye(6)),
        box=box,
        prescription=prescribe(box, plan.boxes[0]),
        checks=(Check("coverage", WARNING, "One plane is missing."),),
        model=model,
        timings_s={"read": 0.1, "detect": 0.2, "fit": 0.01, "total": 0.31},
    )


def test_the_dictionary_is_what_the_contract_says():
    data = calibration_to_dict(a_calibration(), ["scouts"], "Study 1")
    require_schema(data, "calibration", "x", InputError, "")
    assert data["software"] == {"name": "AutoVolumeCalibration", "version": __version__}
    assert data["protocol"] == "BrainAcPc"
    assert data["protocol_file"] is None
    assert data["coordinate_system"] == "RAS"
    assert data["landmarks"][0]["status"] == "corrected"
    assert data["landmarks"][1] == {
        "name": "PC",
        "position_mm": None,
        "covariance_mm2": None,
        "confidence": 0.0,
        "status": "missing",
        "planes": [],
    }
    assert data["predicted"][0]["position_mm"] == [1.0, 2.0, 3.0]
    assert list(data["box"]["face_sd_mm"]) == list(FACES)
    assert np.shape(data["frame"]["covariance"]) == (6, 6)
    assert data["checks"] == [{"name": "coverage", "level": "warning", "message": "One plane is missing."}]


def test_a_threshold_that_a_person_chose_is_read_back_and_none_is_none(tmp_path):
    for threshold in (0.35, None):
        model = replace(A_MODEL, threshold=threshold)
        write_results(a_calibration(model=model), tmp_path, overwrite=True)
        assert read_results(tmp_path).model.threshold == threshold


def test_a_result_of_an_earlier_version_without_a_threshold_is_read(tmp_path):
    write_results(a_calibration(), tmp_path, overwrite=False)
    path = tmp_path / "calibration.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["model"]["threshold"]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert read_results(tmp_path).model.threshold is None


def test_a_result_folder_is_read_back(tmp_path):
    calibration = a_calibration()
    files = write_results(calibration, tmp_path / "new" / "out", overwrite=False, sources=["a.nii"], study="S")
    assert {path.name for path in files} == FILES == {path.name for path in (tmp_path / "new" / "out").iterdir()}
    saved = read_results(tmp_path / "new" / "out")
    assert saved.protocol == "BrainAcPc"
    assert vars(saved.model) == vars(calibration.model)
    assert saved.prescription == calibration.prescription
    assert saved.checks == calibration.checks
    assert saved.study == "S"
    assert saved.sources[0].endswith("a.nii")
    assert saved.box.face_sd_mm == calibration.box.face_sd_mm
    assert saved.predicted[0].covariance_mm2 == pytest.approx(np.diag([1, 2, 3]))
    assert saved.predicted[0].planes == ("axial", "sagittal")
    assert saved.landmarks[0].position_mm == pytest.approx([1.5, 2, 3])
    assert saved.landmarks[1].position_mm is None
    assert [point.locked for point in read_landmarks(files[1])] == [True, False]
    assert read_scan_box(files[2]).size_mm == pytest.approx([140, 180, 141])


def test_a_calibration_without_a_model_is_kept(tmp_path):
    write_results(a_calibration(model=None), tmp_path, overwrite=False)
    assert read_results(tmp_path).model is None


def test_a_protocol_of_the_user_is_found_again_by_its_file(tmp_path):
    own = tmp_path / "mine.json"
    own.write_text(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"), encoding="utf-8")
    write_results(a_calibration(own), tmp_path / "out", overwrite=False)
    assert load_protocol(read_results(tmp_path / "out").protocol).source == own


def test_results_are_not_overwritten_unasked(tmp_path):
    (tmp_path / "scanbox.mrk.json").write_text("mine")
    with pytest.raises(UsageError, match=r"already holds .*scanbox\.mrk\.json.*allow overwriting"):
        write_results(a_calibration(), tmp_path, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["scanbox.mrk.json"]
    write_results(a_calibration(), tmp_path, overwrite=True)
    assert read_scan_box(tmp_path / "scanbox.mrk.json").name == "AxialWholeBrain"


def test_a_picture_that_cannot_be_drawn_leaves_the_old_results(tmp_path):
    write_results(a_calibration(), tmp_path, overwrite=False, study="old")

    def draw(calibration, path):
        path.write_bytes(b"half a picture")
        raise RuntimeError("no display")

    with pytest.raises(RuntimeError):
        write_results(a_calibration(), tmp_path, overwrite=True, study="new", drawings={"overview.png": draw})
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert read_results(tmp_path).study == "old"


def test_the_picture_is_written_with_the_rest(tmp_path):
    files = write_results(
        a_calibration(),
        tmp_path,
        overwrite=False,
        drawings={"overview.png": lambda calibration, path: path.write_bytes(b"picture")},
    )
    assert files[-1].read_bytes() == b"picture"
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"overview.png"}


def test_an_output_folder_that_is_a_file_is_a_usage_error(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match="out"):
        write_results(a_calibration(), tmp_path / "out", overwrite=False)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"calibration\.json"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "else"}, "format"),
        ({"landmarks": [{"name": "AC"}]}, "landmarks"),
        ({"predicted": None}, "predicted"),
        ({"coordinate_system": "LPS"}, "coordinate_system"),
    ],
)
def test_a_damaged_calibration_names_the_place(tmp_path, change, said):
    write_results(a_calibration(), tmp_path, overwrite=False)
    data = json.loads((tmp_path / "calibration.json").read_text())
    (tmp_path / "calibration.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(InputError) as caught:
        read_results(tmp_path)
    assert said in str(caught.value)


def test_a_placed_landmark_needs_a_place(tmp_path):
    write_results(a_calibration(), tmp_path, overwrite=False)
    data = json.loads((tmp_path / "calibration.json").read_text())
    data["landmarks"][0]["position_mm"] = None
    (tmp_path / "calibration.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"landmarks\[0\]\.position_mm"):
        read_results(tmp_path)


def test_what_the_uncertainty_promises_is_written_and_the_factors_are_read_back(tmp_path):
    rule = load_protocol("BrainAcPc").boxes[0]
    measured = replace(coverage_of(rule, ()), joint_factor=3.0, heads=15, cases=90)
    calibration = a_calibration(model=replace(A_MODEL, coverage=(measured,)))
    data = calibration_to_dict(calibration)
    require_schema(data, "calibration", "x", InputError, "")
    assert data["coverage"]["measured"] and data["coverage"]["safe_margins_mm"]["left"] == pytest.approx(3 * 1.5)
    write_results(calibration, tmp_path / "out", overwrite=False)
    (read,) = read_results(tmp_path / "out").model.coverage
    assert read.to_dict() == measured.to_dict()
