"""Examinations from an archive: the localizer, and the box and slices that were planned on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.scouts.series_geometry import box_of_stack
from AutoVolumeCalibrationLib.core.scouts.stack import group_into_stacks
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.storage.results import box_from_dict
from calibrations import ellipsoid_head
from data_sets import PROTOCOL
from dicom_localizers import write_localizer
from LandmarkTrainingLib.core.datasets.building import Skipped, build_dataset
from LandmarkTrainingLib.core.datasets.from_archive import archive_candidates
from LandmarkTrainingLib.core.datasets.reading import read_dataset, subject_of
from made_up_archive import FORMS, Technologist, write_exam
from scout_files import tiny_stacks

CENTER = np.array([4.0, -12.0, 9.0])
AXES = Rotation.from_euler("XYZ", [14, -6, 9], degrees=True).as_matrix().T
SLAB = ScoutGeometry(slices=12, slice_spacing_mm=5.0, thickness_mm=4.0, pixel_mm=6.0, matrix=24)


def series(number, description, **values):
    """Gives every file of a series its number and description."""

    def edit(dataset, _index):
        dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID[:50]}.{number}"
        dataset.SeriesNumber, dataset.SeriesDescription = number, description
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def slab(plane="axial", axes=AXES, center=CENTER):
    (stack,) = cut_three_planes(ellipsoid_head(), SLAB, center, axes, (plane,))
    return group_into_stacks(stack.slices)[0]  # sorted along its own normal


def write_examination(folder, study, *, patient="Doe^Jane", multiframe=False, localizer=1, planned=2, **values):
    """A localizer and an oblique axial series after it."""
    who = {"PatientID": patient, "PatientName": patient, **values}
    write_localizer(
        tiny_stacks(), folder / "loc", study=study, multiframe=multiframe, edit=series(localizer, "survey", **who)
    )
    diagnostic = series(planned, "t2_tse_tra", **who)
    write_localizer([slab()], folder / "t2", study=study, multiframe=multiframe, edit=diagnostic)
    return folder


def build(folder, candidates):
    return build_dataset(folder, candidates, PROTOCOL.constellation)


def reference_of(study):
    return box_from_dict(study.provenance["reference_box"])


@pytest.mark.parametrize("multiframe", [False, True])
def test_a_study_holds_the_localizer_and_the_box_of_the_series_after_it(tmp_path, multiframe):
    write_examination(tmp_path / "in" / "e1", "one", multiframe=multiframe)
    built = build(tmp_path / "set", archive_candidates(tmp_path / "in"))
    assert built.skipped == ()
    (study,) = read_dataset(tmp_path / "set")
    assert {stack.plane for stack in study.stacks} == set(PLANES) and study.landmarks == ()
    box = reference_of(study)
    assert box.center_mm == pytest.approx(CENTER, abs=1e-4)
    assert box.axes == pytest.approx(AXES, abs=1e-5)
    assert box.size_mm == pytest.approx([24 * 6.0, 24 * 6.0, 11 * 5.0 + 4.0], abs=1e-4)
    slices = {"slices": 12, "slice_thickness_mm": 4.0, "gap_mm": 1.0, "slice_axis": "superior", "phase_axis": ""}
    assert study.provenance["reference_series"] == slices


def phase_encoded(multiframe, direction, percent):
    """Gives a series its phase encoding, where its form has it."""

    def edit(dataset, index):
        series(2, "t2_tse_tra")(dataset, index)
        holder = Dataset() if multiframe else dataset
        holder.InPlanePhaseEncodingDirection, holder.PercentPhaseFieldOfView = direction, percent
        if multiframe:
            dataset.SharedFunctionalGroupsSequence[0].MRFOVGeometrySequence = [holder]

    return edit


@pytest.mark.parametrize(
    ("multiframe", "direction", "axis", "size"),
    [
        (False, "ROW", "right", (108, 144)),
        (False, "COL", "anterior", (144, 108)),
        (True, "ROW", "right", (108, 144)),
        (True, "COLUMN", "anterior", (144, 108)),
        (True, "OTHER", "", (144, 144)),
    ],
)
def test_the_phase_encoding_and_its_field_of_view_come_from_either_form(tmp_path, multiframe, direction, axis, size):
    folder = tmp_path / "in"
    write_localizer(tiny_stacks(), folder / "loc", study="one", multiframe=multiframe, edit=series(1, "survey"))
    edit = phase_encoded(multiframe, direction, 75.0)
    write_localizer([slab()], folder / "t2", study="one", multiframe=multiframe, edit=edit)
    build(tmp_path / "set", archive_candidates(folder))
    (study,) = read_dataset(tmp_path / "set")
    assert study.provenance["reference_series"]["phase_axis"] == axis
    assert reference_of(study).size_mm[:2] == pytest.approx(size)


@pytest.mark.parametrize("otherwise", ["", "phase"])
@pytest.mark.parametrize("number", range(len(FORMS)))
def test_the_planned_box_comes_back_from_every_vendors_form(tmp_path, number, otherwise):
    # Siemens crops the images to the field of view, GE pads them to squares, Philips and Siemens XA are enhanced.
    technologist = Technologist(thickness_mm=3.0, gap_mm=0.3)
    size = (230.0, 200.0) if otherwise else (200.0, 230.0)
    box = OrientedBox("planned", CENTER, AXES, np.array([*size, 30 * 3.3 - 0.3]))
    write_exam(tmp_path / "in", number, tiny_stacks(), box, technologist, otherwise=otherwise)
    build(tmp_path / "set", archive_candidates(tmp_path / "in"))
    (study,) = read_dataset(tmp_path / "set")
    found, slices = reference_of(study), study.provenance["reference_series"]
    assert found.center_mm == pytest.approx(CENTER, abs=1e-3) and found.axes == pytest.approx(AXES, abs=1e-5)
    assert found.size_mm == pytest.approx(box.size_mm, abs=0.01)
    assert slices == {
        "slices": 30,
        "slice_thickness_mm": 3.0,
        "gap_mm": 0.3,
        "slice_axis": "superior",
        "phase_axis": "anterior" if otherwise else "right",
    }


def test_of_magnitude_and_phase_in_one_series_the_magnitude_is_the_plan(tmp_path):
    def edit(dataset, index):
        series(2, "swi")(dataset, index)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "P" if index % 2 == 0 else "M", "NONE"]

    twice = slab()
    pairs = replace(twice, slices=tuple(one for one in twice.slices for _ in range(2)))
    write_localizer(tiny_stacks(), tmp_path / "in" / "loc", study="one", edit=series(1, "survey"))
    write_localizer([pairs], tmp_path / "in" / "swi", study="one", edit=edit)
    build(tmp_path / "set", archive_candidates(tmp_path / "in"))
    (study,) = read_dataset(tmp_path / "set")
    assert study.provenance["reference_series"]["slices"] == 12


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic of many slices"),
        ({"SliceThickness": None}, "thickness is missing"),
    ],
)
def test_a_diagnostic_series_that_is_no_box_is_left_out_with_the_reason_and_a_remedy(tmp_path, values, reason):
    folder = tmp_path / "in"
    write_localizer(tiny_stacks(), folder / "loc", study="one", edit=series(1, "localizer"))
    write_localizer([slab()], folder / "ep2d", study="one", edit=series(2, "ep2d", **values))
    built = build(tmp_path / "set", archive_candidates(folder))
    assert built.added == ()
    (skipped,) = built.skipped
    assert reason in skipped.reason and "Choose another diagnostic series" in skipped.reason
    write_localizer([slab()], folder / "t2", study="one", edit=series(3, "t2_tse"))
    assert len(build(tmp_path / "set", archive_candidates(folder, "t2")).added) == 1  # the remedy


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("seed", range(6))
def test_the_axes_of_a_box_are_a_rotation_named_by_the_nearest_world_axes(plane, seed):
    axes = Rotation.random(random_state=seed).as_matrix()
    box = box_of_stack(slab(plane, axes), "reference")
    assert box.axes @ box.axes.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(box.axes) == pytest.approx(1)
    assert (np.diag(box.axes) > 0).all()
    corners = {tuple(corner.round(3)) for corner in box.corners_mm()}
    thin = PLANES.index(plane)
    half = np.array([59.0 if i == thin else 144.0 for i in range(3)]) / 2
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    assert corners == {tuple(corner.round(3)) for corner in CENTER + signs * half @ axes}


def test_no_name_of_a_patient_gets_into_the_set_but_their_examinations_share_a_subject(tmp_path):
    for name, patient in (("e1", "Doe^Jane"), ("e2", "Doe^Jane"), ("e3", "Roe^Rick")):
        write_examination(tmp_path / "in" / name, name, patient=patient)
    build(tmp_path / "set", archive_candidates(tmp_path / "in"))
    subjects = [subject_of(study) for study in read_dataset(tmp_path / "set")]
    assert subjects[0] == subjects[1] != subjects[2]
    for path in (tmp_path / "set").rglob("*"):
        assert path.is_dir() or not {b"Doe", b"Roe"} & set(path.read_bytes().replace(b"^", b" ").split())


def test_another_frame_of_reference_or_a_series_before_the_localizer_is_no_plan(tmp_path):
    write_examination(tmp_path / "in" / "early", "early", localizer=5, planned=2)
    folder = tmp_path / "in" / "moved"
    write_localizer(tiny_stacks(), folder / "loc", study="moved", edit=series(1, "survey"))
    elsewhere = series(2, "t2", FrameOfReferenceUID="1.2.3.4")
    write_localizer([slab()], folder / "t2", study="moved", edit=elsewhere)
    found = list(archive_candidates(tmp_path / "in"))
    assert all(isinstance(one, Skipped) for one in found)
    reasons = sorted(one.reason.split(".")[0] for one in found)
    assert len(found) == 3 and sum("no diagnostic series" in reason for reason in reasons) == 2
    assert sum("no localizer" in reason for reason in reasons) == 1


@pytest.mark.parametrize("description", ["ASSET calibration", "B1 map", "coil survey", "AAHead_Scout"])
def test_what_prepares_the_scanner_is_not_taken_for_a_plan(tmp_path, description):
    folder = write_examination(tmp_path / "in" / "e1", "one", planned=7)
    other = slab(axes=np.eye(3), center=np.zeros(3))
    write_localizer([other], folder / "prep", study="one", edit=series(3, description))
    build(tmp_path / "set", archive_candidates(tmp_path / "in"))
    (study,) = read_dataset(tmp_path / "set")
    assert reference_of(study).center_mm == pytest.approx(CENTER, abs=1e-4)


def test_the_series_can_be_chosen_by_its_description(tmp_path):
    folder = write_examination(tmp_path / "in" / "e1", "one")
    other = slab("sagittal", np.eye(3), np.zeros(3))
    write_localizer([other], folder / "t1", study="one", edit=series(9, "MPRAGE_sag"))
    for pattern, center in (("mprage", np.zeros(3)), ("t2*tra", CENTER)):
        build(tmp_path / pattern[:2], archive_candidates(tmp_path / "in", pattern))
        (study,) = read_dataset(tmp_path / pattern[:2])
        assert reference_of(study).center_mm == pytest.approx(center, abs=1e-4)
    assert [type(one) for one in archive_candidates(tmp_path / "in", "flair")] == [Skipped]


def test_files_that_are_no_scans_are_passed_over_and_damaged_ones_are_told(tmp_path, caplog):
    folder = write_examination(tmp_path / "in" / "e1", "one")
    (folder / "notes.txt").write_text("notes", encoding="utf-8")
    whole = (folder / "t2" / "0001.dcm").read_bytes()
    place = whole.index(b"\x20\x00\x37\x00DS") + 8  # where the image orientation's numbers begin
    (folder / "odd.dcm").write_bytes(whole[:place] + b"no" + whole[place + 2 :])
    (folder / "cut.dcm").write_bytes(whole[:400])
    assert len(build(tmp_path / "set", archive_candidates(tmp_path / "in")).added) == 1
    assert "odd.dcm is damaged" in caplog.text and "Doe" not in caplog.text


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_mr_images_is_an_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        list(archive_candidates(tmp_path / name))
