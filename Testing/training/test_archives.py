"""Examinations from an archive: the localizer and the box that was planned on it, and the site's rule in them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol import FaceRule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.scouts.series_geometry import box_of_stack
from AutoVolumeCalibrationLib.core.scouts.stack import group_into_stacks
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from AutoVolumeCalibrationLib.core.storage.results import box_from_dict, box_to_dict
from calibrations import ellipsoid_head
from data_sets import PROTOCOL
from dicom_localizers import write_localizer
from LandmarkTrainingLib.core.datasets.building import Skipped, build_dataset
from LandmarkTrainingLib.core.datasets.from_archive import archive_candidates
from LandmarkTrainingLib.core.datasets.reading import read_dataset, subject_of
from LandmarkTrainingLib.core.datasets.site_protocol import site_protocol
from LandmarkTrainingLib.core.reference_heads.truth import true_frame
from posed_landmarks import landmarks_at, random_placement
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


def site_studies(count=7, spoil=0):
    """Posed heads, each with the box of a site that tilts by 8 deg and leaves other margins; some are spoilt."""
    margins = dict(zip(FACES, (9.0, 11.0, 14.0, 6.0, 3.0, 12.0), strict=True))
    rule = PROTOCOL.boxes[0]
    faces = {face: FaceRule(rule.faces[face].landmarks, margins[face]) for face in FACES}
    site = replace(rule, faces=faces, tilt_deg=(8.0, 0.0, 0.0), round_up_to_slices=False)
    studies = []
    for number in range(count):
        landmarks = tuple(landmarks_at(PROTOCOL, placement=random_placement(number, angle_deg=15)))
        box = plan_box(true_frame(landmarks, PROTOCOL), PROTOCOL, site)
        if number < spoil:
            box = replace(box, center_mm=box.center_mm + 60.0, size_mm=box.size_mm * 0.6)
        studies.append(LabelledStudy(f"s{number}", (), landmarks, {"reference_box": box_to_dict(box)}))
    return studies, margins


@pytest.mark.parametrize("spoil", [0, 2])
def test_the_sites_rule_comes_back_from_its_boxes_even_with_a_few_odd_ones(tmp_path, spoil):
    studies, margins = site_studies(spoil=spoil)
    site = site_protocol(studies, PROTOCOL, name="Site", title="Site")
    path = tmp_path / "Site.json"
    path.write_text(site.text, encoding="utf-8")
    (rule,) = load_protocol(path).boxes
    assert {face: rule.faces[face].margin_mm for face in FACES} == pytest.approx(margins, abs=0.05)
    assert rule.tilt_deg == pytest.approx((8.0, 0.0, 0.0), abs=0.05)
    assert max(site.margin_sd_mm.values()) < 0.1 and max(site.tilt_sd_deg.values()) < 0.1
    assert len(site.studies) == 7 and site.skipped == ()


def test_studies_without_landmarks_or_box_are_left_out_with_the_reason():
    studies, _ = site_studies(3)
    bare = [replace(studies[0], name="a", provenance={}), replace(studies[1], name="b", landmarks=())]
    damaged = replace(studies[2], name="c", provenance={"reference_box": {"center_mm": [0, 0, 0]}})
    site = site_protocol([studies[2], *bare, damaged], PROTOCOL, name="Site", title="Site")
    assert site.studies == ("s2",)
    assert {one.source: one.reason for one in site.skipped}["a"] == "has no reference box"
    assert [one.source for one in site.skipped] == ["a", "b", "c"]
    assert json.loads(site.text)["definition"].startswith("Median of 1 volumes")
    with pytest.raises(InputError, match="no study has both"):
        site_protocol(bare, PROTOCOL, name="Site", title="Site")


@pytest.mark.parametrize(("options", "error"), [({"name": "a b"}, UsageError), ({"box": "None"}, ProtocolError)])
def test_a_name_or_box_that_cannot_be_is_an_error(options, error):
    studies, _ = site_studies(1)
    with pytest.raises(error):
        site_protocol(studies, PROTOCOL, **{"name": "Site", "title": "Site", **options})
