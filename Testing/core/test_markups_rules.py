"""What a Markups file leaves unsaid, and which of its points have a place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.storage.markups import (
    MarkupPoint,
    landmarks_to_markups,
    named_like,
    read_landmarks,
    read_scan_box,
    scan_box_to_markups,
)

ROW = "1,1.5,2,3,0,0,0,1,1,1,{lock},AC,{more}\n"


def fcsv(folder, rows: str, *header: str):
    path = folder / "points.FCSV"
    path.write_text("".join(f"# {line}\n" for line in header) + rows, encoding="utf-8")
    return path


def point_list(folder, *points: dict, **markup):
    path = folder / "points.mrk.json"
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "controlPoints": points, **markup}]}))
    return path


def roi(folder, **changes):
    path = folder / "box.mrk.json"
    path.write_text(json.dumps({"markups": [{"type": "ROI", "center": [1, 2, 3], "size": [4, 5, 6], **changes}]}))
    return path


def test_an_old_point_list_that_names_no_system_is_in_ras(tmp_path):
    """Slicer wrote RAS before it wrote the line."""
    (point,) = read_landmarks(fcsv(tmp_path, ROW.format(lock=0, more=""), "Markups fiducial file version = 4.0"))
    assert point.position_mm == pytest.approx([1.5, 2, 3])


@pytest.mark.parametrize("status", ["undefined", "preview", "missing", "Preview"])
def test_a_point_that_is_only_shown_under_the_mouse_has_no_place(tmp_path, status):
    path = point_list(tmp_path, {"label": "AC", "position": [1, 2, 3], "positionStatus": status})
    assert read_landmarks(path)[0].position_mm is None


@pytest.mark.parametrize("status", ["defined", "Defined", None])
def test_a_point_with_a_place_has_it_by_name_or_by_default(tmp_path, status):
    more = {} if status is None else {"positionStatus": status}
    path = point_list(tmp_path, {"label": " AC ", "position": [1, 2, 3], **more}, coordinateSystem="ras")
    assert (read_landmarks(path)[0].name, *read_landmarks(path)[0].position_mm) == ("AC", 1, 2, 3)


@pytest.mark.parametrize(("status", "placed"), [("0", False), ("1", False), ("2", True), ("3", False), ("", True)])
def test_an_old_point_list_numbers_the_status(tmp_path, status, placed):
    """0 undefined, 1 preview, 2 defined, 3 missing: what Slicer 4.11 appends to the columns that it names."""
    path = fcsv(tmp_path, ROW.format(lock=0, more=f"note,,{status},0"), "CoordinateSystem = RAS")
    assert (read_landmarks(path)[0].position_mm is not None) == placed


def test_an_old_row_ends_where_the_writer_stopped(tmp_path):
    short = "1,1.5,2,3,0,0,0,1,1,1,1,AC\n"
    (point,) = read_landmarks(fcsv(tmp_path, "\n" + short + "  \n"))
    assert (point.name, point.locked, point.description) == ("AC", True, "")
    (point,) = read_landmarks(fcsv(tmp_path, ROW.format(lock=0, more="a note,")))
    assert (point.locked, point.description) == (False, "a note")


@pytest.mark.parametrize("row", ["7,1,2,3,0,0,0,1,1,1,1, ,x\n", "7,1,2,3,0,0,0,1,1,1,1\n"])
def test_an_old_row_without_a_name_is_refused_with_its_number(tmp_path, row):
    with pytest.raises(InputError, match="7.*label"):
        read_landmarks(fcsv(tmp_path, row))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'1,"2\n'])
def test_an_old_point_list_that_is_no_text_is_refused(tmp_path, content):
    (tmp_path / "x.fcsv").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.fcsv"):
        read_landmarks(tmp_path / "x.fcsv")
    with pytest.raises(InputError, match=r"y\.fcsv"):
        read_landmarks(tmp_path / "y.fcsv")


def test_the_second_of_two_points_without_a_name_is_counted_from_one(tmp_path):
    good = {"label": "AC", "position": [1, 2, 3]}
    with pytest.raises(InputError, match="point 2"):
        read_landmarks(point_list(tmp_path, good, {**good, "label": None}))


def test_the_first_list_of_points_among_other_markups_is_read(tmp_path):
    path = point_list(tmp_path, {"label": "AC", "position": [1, 2, 3], "locked": True, "description": "seen"})
    data = json.loads(path.read_text())
    data["markups"] = [{"type": "ROI"}, *data["markups"], {"type": "Fiducial", "controlPoints": []}]
    path.write_text(json.dumps(data))
    (point,) = read_landmarks(path)
    assert (point.name, point.locked, point.description) == ("AC", True, "seen")


@pytest.mark.parametrize(
    ("system", "sign"), [("RAS", 1), ("0", 1), (0, 1), ("LPS", -1), ("1", -1), (1, -1), ("lps", -1)]
)
def test_words_and_numbers_name_the_system_of_a_box_too(tmp_path, system, sign):
    box = read_scan_box(roi(tmp_path, coordinateSystem=system))
    assert box.center_mm == pytest.approx([sign, 2 * sign, 3])
    assert box.size_mm == pytest.approx([4, 5, 6])


def test_a_box_without_a_system_is_in_lps_and_without_a_name_is_called_like_its_file(tmp_path):
    box = read_scan_box(roi(tmp_path))
    assert box.center_mm == pytest.approx([-1, -2, 3]) and box.name == "box"
    assert read_scan_box(roi(tmp_path, controlPoints=[{"label": "Mine"}])).name == "Mine"
    assert read_scan_box(roi(tmp_path, controlPoints=[])).name == "box"
    assert read_scan_box(roi(tmp_path, controlPoints=[3])).name == "box"


@pytest.mark.parametrize(("stretch", "refused"), [(1.0005, False), (1.002, True), (0.998, True)])
def test_an_orientation_is_a_rotation_to_a_thousandth_and_made_exact(tmp_path, stretch, refused):
    turn = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    path = roi(tmp_path, coordinateSystem="RAS", orientation=(turn * stretch).ravel().tolist())
    if refused:
        with pytest.raises(InputError, match="rotation"):
            read_scan_box(path)
    else:
        # The file's columns are the axes.
        assert read_scan_box(path).axes == pytest.approx(turn.T, abs=1e-12)


def test_coordinates_must_be_in_millimetres(tmp_path):
    assert read_scan_box(roi(tmp_path, coordinateUnits="mm")).size_mm[0] == 4
    with pytest.raises(InputError, match="cm"):
        read_scan_box(roi(tmp_path, coordinateUnits="cm"))


def test_the_content_of_a_file_is_what_slicer_expects():
    brain = load_protocol("BrainAcPc").constellation
    seen = Landmark("AC", np.array([1.0, 2.0, 3.0]), np.eye(3) * 4, 0.8, PREDICTED)
    content = landmarks_to_markups([seen, seen.corrected(seen.position_mm), Landmark("PC")], brain)
    (markup,) = content["markups"]
    assert (markup["type"], markup["coordinateUnits"], markup["locked"]) == ("Fiducial", "mm", False)
    points = markup["controlPoints"]
    assert [point["id"] for point in points] == ["1", "2", "3"]
    assert [point["locked"] for point in points] == [False, True, False]
    assert [point["positionStatus"] for point in points] == ["defined", "defined", "missing"]
    assert all(point["selected"] is point["visibility"] is True for point in points)
    turn = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    (box,) = scan_box_to_markups(OrientedBox("A", np.array([1.0, 2.0, 3.0]), turn, np.array([4.0, 5.0, 6.0])))[
        "markups"
    ]
    assert (box["roiType"], box["insideOut"], box["size"]) == ("Box", False, [4, 5, 6])
    assert box["center"] == box["controlPoints"][0]["position"] == [-1, -2, 3]
    columns = np.reshape(box["orientation"], (3, 3)).T
    assert columns == pytest.approx(turn * [-1, -1, 1], abs=1e-8)


def points_in(path, *lists):
    """A Markups file with these point lists, each of name -> position."""
    markups = [
        {
            "type": "Fiducial",
            "coordinateSystem": "RAS",
            "controlPoints": [{"label": name, "position": position} for name, position in points.items()],
        }
        for points in lists
    ]
    path.write_text(json.dumps({"markups": markups}), encoding="utf-8")
    return path


def test_all_lists_of_a_file_are_read_empty_ones_too(tmp_path):
    path = points_in(tmp_path / "p.mrk.json", {}, {"AC": [1, 2, 3]}, {"PC": [4, 5, 6]})
    assert [point.name for point in read_landmarks(path)] == ["AC", "PC"]


def test_a_name_in_two_lists_is_refused(tmp_path):
    with pytest.raises(InputError, match="more than one point named AC"):
        read_landmarks(points_in(tmp_path / "p.mrk.json", {"AC": [1, 2, 3]}, {"AC": [1, 2, 3]}))


def test_coded_units_are_understood(tmp_path):
    path = points_in(tmp_path / "p.mrk.json", {"AC": [1, 2, 3]})
    for unit, fine in (("mm", True), ("cm", False)):
        data = json.loads(path.read_text())
        data["markups"][0]["coordinateUnits"] = [unit, "UCUM", "millimeter"]
        path.write_text(json.dumps(data))
        if fine:
            assert len(read_landmarks(path)) == 1
        else:
            with pytest.raises(InputError, match="not in mm"):
                read_landmarks(path)


def test_points_named_by_number_go_by_their_description(tmp_path):
    row = "id_{0},1,2,{0},0,0,0,1,1,1,0,{0},{1},"
    (tmp_path / "a.fcsv").write_text("\n".join(["# CoordinateSystem = 0", row.format(1, "AC"), row.format(2, "PC")]))
    assert [point.name for point in read_landmarks(tmp_path / "a.fcsv")] == ["AC", "PC"]


def test_names_are_matched_whatever_their_case():
    points = [MarkupPoint(name, None) for name in ("ac", "Pc", "lesion")]
    assert [point.name for point in named_like(points, ["AC", "PC"])] == ["AC", "PC", "lesion"]
    assert [point.name for point in named_like(points[:1], ["AC", "Ac"])] == ["ac"]


def test_afids_are_known_by_their_numbers(tmp_path):
    row = "id_{0},1,2,{0},0,0,0,1,1,1,0,{0},{1},"
    names = ["AC", "PC", "infracollicular sulcus", "PMJ", "superior interpeduncular fossa"]
    rows = [row.format(number, name) for number, name in enumerate(names, start=1)]
    (tmp_path / "a.fcsv").write_text("\n".join(["# CoordinateSystem = 0", *rows]))
    assert [point.name for point in read_landmarks(tmp_path / "a.fcsv")] == ["AC", "PC", "ICS", "PMJ", "SIPF"]


@pytest.mark.parametrize("value", ["2147483648", "1e15", "-2001", "1" * 400, "1e400"])
@pytest.mark.parametrize("suffix", [".mrk.json", ".fcsv"])
def test_a_position_that_no_patient_has_is_refused(tmp_path, value, suffix):
    path = tmp_path / f"points{suffix}"
    point = f'{{"label": "AC", "position": [1, {value}, 3]}}'
    json_text = f'{{"markups": [{{"type": "Fiducial", "controlPoints": [{point}]}}]}}'
    path.write_text(json_text if suffix == ".mrk.json" else f"1,1,{value},3,0,0,0,1,1,1,0,AC,,\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_landmarks(path)
    assert len(str(caught.value)) < 400
