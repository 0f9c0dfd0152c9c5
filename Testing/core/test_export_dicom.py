"""DICOM objects of a plan: valid, in the study of the scouts, the same every time, and back again without a loss."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from AutoVolumeCalibrationLib.api import (
    Calibration,
    calibrate,
    export_plan,
    import_plan,
    load_model,
    load_protocol,
    read_scouts,
    refit,
    reopen,
)
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError, UsageError
from AutoVolumeCalibrationLib.core.exports.dicom.report_import import read_structured_report
from AutoVolumeCalibrationLib.core.exports.dicom.uids import uid_of
from AutoVolumeCalibrationLib.core.exports.scan_geometry import scan_geometry
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.storage.results import read_results
from calibrations import calibration, scout_stacks
from command_line import MIDDLE_SLICES, NRRD_SCOUTS, content_of
from dicom_localizers import write_localizer

hd = pytest.importorskip("highdicom")

#: What a report leaves out on purpose: this computer's paths, the study's name, the times of the run.
NOT_IN_REPORT = {"sources", "study", "protocol_file", "timings_s"}


@pytest.fixture(scope="module")
def plan() -> Calibration:
    """The sample, planned on its middle slices, with one correction."""
    planned = calibrate(read_scouts(MIDDLE_SLICES), load_protocol("BrainAcPc"), load_model(device="cpu"))
    point = planned.landmarks[0]
    return refit(planned, [point.corrected(point.position_mm + [0.0, 1.5, -0.5])])


@pytest.fixture(scope="module")
def folder(plan: Calibration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, saved."""
    path = tmp_path_factory.mktemp("saved") / "plan"
    plan.save(path, sources=MIDDLE_SLICES)
    return path


@pytest.fixture(scope="module")
def report(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its structured report."""
    path = tmp_path_factory.mktemp("report") / "plan.dcm"
    export_plan(folder, "dicom-sr", path)
    return path


def test_a_plan_comes_back_exactly(folder: Path, report: Path, tmp_path: Path) -> None:
    import_plan(report, tmp_path / "back", scouts=MIDDLE_SLICES)
    before, after = content_of(folder), content_of(tmp_path / "back")
    assert {key for key in before if before[key] != after[key]} <= {"timings_s"}
    saved, restored = read_results(folder), read_results(tmp_path / "back")
    np.testing.assert_array_equal(restored.box.axes, saved.box.axes)
    np.testing.assert_array_equal(restored.box.center_mm, saved.box.center_mm)
    assert restored.prescription == saved.prescription
    assert restored.model is not None and saved.model is not None
    assert restored.model.sha256 == saved.model.sha256
    assert [one.status for one in restored.landmarks] == [one.status for one in saved.landmarks]
    for name in ("landmarks.mrk.json", "scanbox.mrk.json"):
        assert (tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes()


def test_a_plan_that_came_back_is_opened_and_exported_again(report: Path, plan: Calibration, tmp_path: Path) -> None:
    import_plan(report, tmp_path / "back", scouts=MIDDLE_SLICES)
    np.testing.assert_allclose(reopen(tmp_path / "back").box.center_mm, plan.box.center_mm, atol=1e-6)
    export_plan(tmp_path / "back", "dicom-sr", tmp_path / "again.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == report.read_bytes()


def test_the_same_plan_gives_the_same_object_and_another_plan_another(
    plan: Calibration, report: Path, tmp_path: Path
) -> None:
    later = replace(plan, timings_s={"total": 99.0})
    export_plan(later, "dicom-sr", tmp_path / "same.dcm")
    assert (tmp_path / "same.dcm").read_bytes() == report.read_bytes()
    export_plan(refit(plan, []), "dicom-sr", tmp_path / "other.dcm")
    first, other = pydicom.dcmread(report), pydicom.dcmread(tmp_path / "other.dcm")
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID == other.SeriesInstanceUID


def test_it_lies_in_the_study_of_the_scouts(report: Path) -> None:
    found, scout = pydicom.dcmread(report), pydicom.dcmread(MIDDLE_SLICES[0], stop_before_pixels=True)
    assert found.StudyInstanceUID == scout.StudyInstanceUID
    assert found.SeriesInstanceUID != scout.SeriesInstanceUID
    assert (found.PatientID, found.PatientName) == (scout.PatientID, scout.PatientName)
    evidence = found.CurrentRequestedProcedureEvidenceSequence if "CurrentRequestedProcedureEvidenceSequence" in found \
        else found.PertinentOtherEvidenceSequence  # fmt: skip
    named = {i.ReferencedSOPInstanceUID for s in evidence for r in s.ReferencedSeriesSequence
             for i in r.ReferencedSOPSequence}  # fmt: skip
    assert named == {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in MIDDLE_SLICES}


def test_others_read_points_deviations_and_polygons(report: Path, plan: Calibration) -> None:
    content = hd.sr.srread(report).content
    points = {
        group.tracking_identifier: group
        for group in content.get_planar_roi_measurement_groups(graphic_type=hd.sr.GraphicTypeValues3D.POINT)
    }
    placed = [one for one in plan.landmarks if one.position_mm is not None]
    assert len(points) == len(placed) > 20
    for landmark in placed:
        group = points[f"landmark {landmark.name}"]
        np.testing.assert_allclose(group.roi.value[0], landmark.position_mm * [-1, -1, 1], atol=1e-4)
        deviation = group.get_measurements(hd.sr.CodedConcept("POSITION_SD", "99AVC", "x"))[0]
        assert deviation.value == pytest.approx(landmark.sd_mm)
        assert deviation.unit.value == "mm"
    polygons = content.get_planar_roi_measurement_groups(graphic_type=hd.sr.GraphicTypeValues3D.POLYGON)
    assert [group.tracking_identifier for group in polygons] == [f"face {face}" for face in FACES]
    corners = {tuple(np.round(c, 2)) for group in polygons for c in group.roi.value}
    expected = {tuple(np.round(c * [-1, -1, 1], 2)) for c in plan.box.corners_mm()}
    assert len(corners) == 8
    assert np.abs(np.array(sorted(corners)) - np.array(sorted(expected))).max() < 0.02


def test_texts_name_prescription_checks_model_and_what_is_missing(tmp_path: Path) -> None:
    write_localizer(scout_stacks(), tmp_path / "scouts")
    made = calibration(stacks=read_scouts([tmp_path / "scouts"]))
    export_plan(made, "dicom-sr", tmp_path / "plan.dcm")
    found = pydicom.dcmread(tmp_path / "plan.dcm")
    text = "\n".join(str(element.value) for element in found.iterall() if element.keyword == "TextValue")
    for expected in ("T > C", "GENU is 5 mm off", "TestModel, SHA-256 0000", "TOP"):
        assert expected in text


def test_no_path_and_no_name_of_a_study_travels(folder: Path, report: Path) -> None:
    data = report.read_bytes()
    assert str(folder).encode() not in data
    assert str(MIDDLE_SLICES[0].parent).encode() not in data
    record = read_structured_report(report)
    assert {key: record[key] for key in NOT_IN_REPORT} == {
        "sources": [],
        "study": "",
        "protocol_file": None,
        "timings_s": {},
    }


def test_names_in_other_alphabets_are_kept(tmp_path: Path) -> None:
    def name(dataset: pydicom.Dataset, _index: int) -> None:
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "Müller^Jörg"
        dataset.StudyDate, dataset.StudyTime, dataset.AcquisitionDate = "20260102", "101500", "20260103"
        dataset.AcquisitionTime = "112233.5"

    write_localizer(scout_stacks(), tmp_path / "scouts", edit=name)
    made = calibration(stacks=read_scouts([tmp_path / "scouts"]))
    for form in ("dicom-sr", "dicom-sc"):
        export_plan(made, form, tmp_path / "plan.dcm", overwrite=True)
        found = pydicom.dcmread(tmp_path / "plan.dcm")
        assert found.PatientName == "Müller^Jörg"
        # Dated like the scouts that it follows from: the clock would make every export another object.
        assert (found.StudyDate, found.ContentDate, found.ContentTime) == ("20260102", "20260103", "112233.5")


@pytest.mark.parametrize("multiframe", [False, True])
@pytest.mark.parametrize("form", ["dicom-sr", "dicom-sc", "gsps"])
def test_dciodvfy_finds_no_error(tmp_path: Path, form: str, multiframe: bool) -> None:
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("needs dciodvfy: apt-get install dicom3tools")
    write_localizer(scout_stacks(), tmp_path / "scouts", multiframe=multiframe)
    export_plan(calibration(stacks=read_scouts([tmp_path / "scouts"])), form, tmp_path / "plan.dcm")
    ran = subprocess.run([validator, str(tmp_path / "plan.dcm")], capture_output=True, text=True, timeout=60)
    said = ran.stdout + ran.stderr
    kinds = {"dicom-sr": "Comprehensive3DSR", "dicom-sc": "SCImage", "gsps": "GrayscaleSoftcopyPresentationState"}
    assert kinds[form] in said
    assert [line for line in said.splitlines() if line.startswith(("Error", "Abort"))] == []


@pytest.mark.parametrize("multiframe", [False, True])
def test_lines_are_drawn_where_the_box_cuts_the_scouts(tmp_path: Path, multiframe: bool) -> None:
    write_localizer(scout_stacks(rotation_deg=(3.0, -4.0, 5.0)), tmp_path / "scouts", multiframe=multiframe)
    made = calibration(stacks=read_scouts([tmp_path / "scouts"]))
    for name in ("a.dcm", "b.dcm"):
        export_plan(made, "gsps", tmp_path / name)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    state = pydicom.dcmread(tmp_path / "a.dcm")
    slices = {(s.source if not multiframe else s.source.rpartition(" ")[2]): s for k in made.stacks for s in k.slices}
    files = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): str(p) for p in
             sorted((tmp_path / "scouts").iterdir())}  # fmt: skip
    lines = 0
    for annotation in state.GraphicAnnotationSequence:
        (image,) = annotation.ReferencedImageSequence
        key = str(image.ReferencedFrameNumber) if multiframe else files[image.ReferencedSOPInstanceUID]
        scout = slices[key]
        for drawn in annotation.GraphicObjectSequence:
            points = np.reshape(drawn.GraphicData, (-1, 2))
            assert (points >= 0).all()
            assert (points <= np.array(scout.pixels.shape)[::-1]).all()
            if drawn.GraphicType == "POLYLINE":
                lines += 1
                # On the surface of the box: along one axis of it at the face, along the others inside.
                local = (scout.to_world(points.mean(axis=0)[::-1] - 0.5) - made.box.center_mm) @ made.box.axes.T
                assert np.abs(np.abs(local) / (made.box.size_mm / 2)).max() == pytest.approx(1, abs=1e-4)
    assert lines > 12


def test_the_picture_is_the_one_of_the_plan(folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a.dcm", "b.dcm"):
        export_plan(folder, "dicom-sc", tmp_path / name)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    found = pydicom.dcmread(tmp_path / "a.dcm")
    with Image.open(folder / "overview.png") as picture:
        np.testing.assert_array_equal(found.pixel_array, np.asarray(picture.convert("RGB")))


def test_a_plan_without_its_picture_says_so(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "plan")
    (copy / "overview.png").unlink()
    with pytest.raises(InputError, match="picture of the plan is missing"):
        export_plan(copy, "dicom-sc", tmp_path / "sc.dcm")


def test_scouts_that_are_not_dicom_have_no_study(tmp_path: Path) -> None:
    made = calibration(stacks=read_scouts(NRRD_SCOUTS))
    with pytest.raises(InputError, match="not DICOM images, so the object has no study"):
        export_plan(made, "dicom-sr", tmp_path / "plan.dcm")
    assert list(tmp_path.iterdir()) == []


def moved(report: Path, target: Path, nudge_mm: float) -> Path:
    """The report with the first point moved, as another program would."""
    dataset = pydicom.dcmread(report)

    def walk(node: pydicom.Dataset) -> bool:
        for item in node.get("ContentSequence", None) or ():
            if item.ValueType == "SCOORD3D":
                x, *others = item.GraphicData
                item.GraphicData = [x + nudge_mm, *others]
                return True
            if walk(item):
                return True
        return False

    assert walk(dataset)
    dataset.save_as(target)
    return target


def test_a_report_that_another_program_changed_is_refused(report: Path, plan: Calibration, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"coordinates of landmark {plan.landmarks[0].name} are not"):
        read_structured_report(moved(report, tmp_path / "moved.dcm", 0.5))
    read_structured_report(moved(report, tmp_path / "same.dcm", 0.0))


def test_a_report_leads_to_no_file_of_this_computer(report: Path, tmp_path: Path) -> None:
    """A crafted record names paths: none is taken over, none is opened."""
    dataset = pydicom.dcmread(report)
    texts = [element for element in dataset.iterall() if element.keyword == "TextValue"]
    (record,) = [element for element in texts if str(element.value).startswith("{")]
    own = {**json.loads(record.value), "sources": ["/secret"], "protocol_file": "/secret.json", "study": "x"}
    record.value = json.dumps(own)
    dataset.save_as(tmp_path / "crafted.dcm")
    saved = import_plan(tmp_path / "crafted.dcm", tmp_path / "back")
    assert (saved.sources, saved.study, saved.protocol) == ((), "", "BrainAcPc")
    record.value = json.dumps({**own, "protocol": "/secret.json"})
    dataset.save_as(tmp_path / "crafted.dcm")
    with pytest.raises(ProtocolError, match="not a shipped one"):
        import_plan(tmp_path / "crafted.dcm", tmp_path / "again")


def test_what_is_not_such_a_report_is_named(report: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a Comprehensive 3D SR"):
        read_structured_report(MIDDLE_SLICES[0])
    (tmp_path / "text.dcm").write_text("no DICOM", encoding="utf-8")
    with pytest.raises(InputError):
        read_structured_report(tmp_path / "text.dcm")
    dataset = pydicom.dcmread(report)
    del dataset.ContentSequence
    dataset.save_as(tmp_path / "empty.dcm")
    with pytest.raises(InputError, match="does not hold a plan"):
        read_structured_report(tmp_path / "empty.dcm")
    (tmp_path / "cut.dcm").write_bytes(report.read_bytes()[:20_000])
    with pytest.raises(InputError):
        read_structured_report(tmp_path / "cut.dcm")


def test_a_report_goes_with_its_scouts_only(report: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the scouts of this plan"):
        import_plan(report, tmp_path / "back", scouts=MIDDLE_SLICES[:2])
    assert not (tmp_path / "back").exists()


def test_a_report_goes_with_its_protocol_only(plan: Calibration, tmp_path: Path) -> None:
    shipped = plan.protocol.source
    own = tmp_path / "Own.json"
    data = json.loads(shipped.read_text(encoding="utf-8"))
    own.write_text(json.dumps({**data, "name": "Own"}), encoding="utf-8")
    made = replace(plan, protocol=load_protocol(own))
    export_plan(made, "dicom-sr", tmp_path / "plan.dcm")
    with pytest.raises(ProtocolError, match="Own of this plan is not a shipped one.*--protocol"):
        import_plan(tmp_path / "plan.dcm", tmp_path / "back")
    import_plan(tmp_path / "plan.dcm", tmp_path / "back", protocol=own)
    assert read_results(tmp_path / "back").protocol == str(own)
    own.write_text(json.dumps({**data, "name": "Own", "title": "Changed"}), encoding="utf-8")
    with pytest.raises(ProtocolError, match="another version of protocol Own"):
        import_plan(tmp_path / "plan.dcm", tmp_path / "again", protocol=own)


def test_an_import_overwrites_nothing_unasked(report: Path, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "plan")
    with pytest.raises(UsageError, match="already holds"):
        import_plan(report, copy)
    import_plan(report, copy, overwrite=True)
    assert not (copy / "overview.png").exists()  # it showed the plan that was there


def test_uids_are_valid_and_follow_from_their_parts() -> None:
    first = uid_of("a", "b")
    assert pydicom.uid.UID(first).is_valid
    assert first == uid_of("a", "b") != uid_of("ab", "")


def test_the_geometry_of_the_plan_is_that_of_its_box(plan: Calibration) -> None:
    np.testing.assert_allclose(scan_geometry(plan.prescription).center_mm, plan.box.center_mm * [-1, -1, 1])
