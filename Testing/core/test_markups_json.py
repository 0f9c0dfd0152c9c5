"""Markups files, read and written without Slicer (Testing/mrml compares them with the real classes)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks, read_scan_box, write_landmarks, write_scan_box


@pytest.fixture(scope="module")
def brain():
    return load_protocol("BrainAcPc").constellation


@pytest.fixture
def landmarks():
    found = Landmark("AC", np.array([1.0, 2.0, 3.0]), np.eye(3) * 4, 0.8, PREDICTED, ("axial",))
    return [found, Landmark("PC").corrected(np.array([4.0, 5.0, 6.0])), Landmark("GENU")]


def point_file(folder, points, name="points.mrk.json", **markup):
    path = folder / name
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "controlPoints": points, **markup}]}))
    return path


def test_landmarks_come_back_with_place_and_lock(tmp_path, brain, landmarks):
    write_landmarks(tmp_path / "l.mrk.json", landmarks, brain)
    ac, pc, genu = read_landmarks(tmp_path / "l.mrk.json")
    assert ac.position_mm == pytest.approx([1, 2, 3])
    assert not ac.locked
    assert pc.locked
    assert genu.position_mm is None
    assert "Centre of the anterior commissure" in ac.description
    assert "confidence 0.80, sd 2.0 mm" in ac.description
    assert "missing" in genu.description


def test_a_correction_within_a_slice_comes_back_with_what_it_left_open(tmp_path, brain, landmarks):
    normal = np.array([0.96, -0.28, 0.0])
    placed = landmarks[0].corrected_in_plane(np.array([0.0, 5.0, 6.0]), normal)
    write_landmarks(tmp_path / "l.mrk.json", [placed, landmarks[1]], brain)
    ac, pc = read_landmarks(tmp_path / "l.mrk.json")
    assert "corrected in-plane, depth sd 2.000 mm" in ac.description
    assert ac.covariance_mm2 == pytest.approx(placed.covariance_mm2, abs=1e-4)
    assert pc.covariance_mm2 is None


def test_a_description_that_states_no_direction_is_only_a_description(tmp_path):
    text = "[corrected in-plane, depth sd 2.000 mm along RAS 0.000000 0.000000 0.000000]"
    (point,) = read_landmarks(point_file(tmp_path, [{"label": "AC", "position": [1, 2, 3], "description": text}]))
    assert point.covariance_mm2 is None


def test_the_file_is_in_lps(tmp_path, brain, landmarks):
    write_landmarks(tmp_path / "l.mrk.json", landmarks, brain)
    markup = json.loads((tmp_path / "l.mrk.json").read_text())["markups"][0]
    assert markup["coordinateSystem"] == "LPS"
    assert markup["controlPoints"][0]["position"] == [-1.0, -2.0, 3.0]
    assert markup["controlPoints"][2]["position"] == ""
    assert markup["controlPoints"][2]["positionStatus"] == "missing"


def test_a_minimal_file_made_by_hand_is_lps(tmp_path):
    (point,) = read_landmarks(point_file(tmp_path, [{"label": "AC", "position": [1, 2, 3]}]))
    assert point.name == "AC"
    assert point.position_mm == pytest.approx([-1, -2, 3])
    assert not point.locked


def test_ras_files_are_read_as_ras(tmp_path):
    path = point_file(tmp_path, [{"label": "AC", "position": [1, 2, 3]}], coordinateSystem="RAS")
    assert read_landmarks(path)[0].position_mm == pytest.approx([1, 2, 3])


@pytest.mark.parametrize(
    ("points", "markup", "said"),
    [
        ([{"label": "AC", "position": [1, 2]}], {}, "position of AC"),
        ([{"label": "AC", "position": [1, 2, "x"]}], {}, "position of AC"),
        ([{"label": "AC", "position": [1, 2, float("inf")]}], {}, "Infinity is not a number"),
        ([{"label": "AC"}], {}, "position of AC"),
        ([{"label": "AC", "position": ""}], {}, "position of AC"),
        ([{"label": " ", "position": [1, 2, 3]}], {}, "point 1 has no label"),
        ([{"label": "AC", "position": [1, 2, 3]}] * 2, {}, "more than one point named AC"),
        ([{"label": "AC", "position": [1, 2, 3]}], {"coordinateSystem": "IJK"}, "IJK"),
        ([{"label": "AC", "position": [1, 2, 3]}], {"coordinateUnits": "um"}, "um"),
        ([{"label": "AC", "position": [1, 2, 3]}], {"type": "ROI"}, "without a point list"),
        (["AC"], {}, "controlPoints"),
        ({"AC": 1}, {}, "controlPoints"),
    ],
)
def test_a_broken_point_list_is_refused_in_one_line(tmp_path, points, markup, said):
    path = point_file(tmp_path, points, **markup)
    with pytest.raises(InputError) as caught:
        read_landmarks(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_beyond_all_bounds_is_refused(tmp_path):
    path = point_file(tmp_path, [{"label": "AC", "position": [1, 2, 3]}])
    path.write_text(path.read_text().replace("3]", "1e999]"))
    with pytest.raises(InputError, match="1e999 is out of range"):
        read_landmarks(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"markups": 3}', '{"markups": [4]}', "\x00"])
def test_a_file_that_is_no_markups_file_is_refused(tmp_path, content):
    (tmp_path / "x.mrk.json").write_text(content)
    for read in (read_landmarks, read_scan_box):
        with pytest.raises(InputError, match=r"x\.mrk\.json"):
            read(tmp_path / "x.mrk.json")


FCSV = """# Markups fiducial file version = 4.10
# CoordinateSystem = {system}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
1,1.5,2,3,0,0,0,1,1,1,1,AC,"centre, midline",
"""


@pytest.mark.parametrize(
    ("system", "position"), [("0", (1.5, 2, 3)), ("RAS", (1.5, 2, 3)), ("1", (-1.5, -2, 3)), ("LPS", (-1.5, -2, 3))]
)
def test_old_point_lists_are_read_in_their_coordinates(tmp_path, system, position):
    (tmp_path / "old.fcsv").write_text(FCSV.format(system=system))
    (point,) = read_landmarks(tmp_path / "old.fcsv")
    assert point.position_mm == pytest.approx(position)
    assert point.locked
    assert point.description == "centre, midline"


@pytest.mark.parametrize("rows", ["1,2,3\n", "1,a,2,3,0,0,0,1,1,1,1,AC,,\n", "1,nan,2,3,0,0,0,1,1,1,1,AC,,\n"])
def test_a_broken_old_point_list_is_refused(tmp_path, rows):
    (tmp_path / "old.fcsv").write_text(rows)
    with pytest.raises(InputError, match=r"old\.fcsv"):
        read_landmarks(tmp_path / "old.fcsv")


@pytest.mark.parametrize("seed", range(5))
def test_a_scan_box_comes_back(tmp_path, seed):
    axes = Rotation.random(random_state=seed).as_matrix()
    box = OrientedBox("Axial", np.array([1.0, -2.0, 3.0]), axes, np.array([140.0, 180.0, 141.0]))
    write_scan_box(tmp_path / "b.mrk.json", box)
    again = read_scan_box(tmp_path / "b.mrk.json")
    assert again.name == "Axial"
    assert again.center_mm == pytest.approx(box.center_mm)
    assert again.axes == pytest.approx(axes)
    assert again.size_mm == pytest.approx(box.size_mm)


def test_a_box_in_ras_is_read_as_ras(tmp_path):
    roi = {"type": "ROI", "coordinateSystem": "RAS", "center": [1, 2, 3], "size": [4, 5, 6]}
    (tmp_path / "b.mrk.json").write_text(json.dumps({"markups": [roi]}))
    box = read_scan_box(tmp_path / "b.mrk.json")
    assert box.name == "b"
    assert box.center_mm == pytest.approx([1, 2, 3])
    assert box.axes == pytest.approx(np.eye(3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": [1, 2, 0]}, "longer than 0"),
        ({"size": None}, "size"),
        ({"center": [1, 2]}, "center"),
        ({"orientation": [1, 0, 0, 0, 1, 0, 0, 0, -1]}, "not a rotation matrix"),
        ({"orientation": [2, 0, 0, 0, 1, 0, 0, 0, 1]}, "not a rotation matrix"),
    ],
)
def test_a_broken_box_is_refused(tmp_path, changes, said):
    roi = {"type": "ROI", "coordinateSystem": "RAS", "center": [1, 2, 3], "size": [4, 5, 6], **changes}
    (tmp_path / "b.mrk.json").write_text(json.dumps({"markups": [roi]}))
    with pytest.raises(InputError, match=said):
        read_scan_box(tmp_path / "b.mrk.json")
