"""Landmarks of a knee by rules, the bones' neutral pose, and the anatomy file that is measured from them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError
from AutoVolumeCalibrationLib.core.files.json_files import require_schema
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.reference_knees.articulation import articulated
from LandmarkTrainingLib.core.reference_knees.bones import BoneLabels, bones_of, read_bones
from LandmarkTrainingLib.core.reference_knees.constellation import describes_knee, update_knee
from LandmarkTrainingLib.core.reference_knees.landmarks import find_landmarks
from LandmarkTrainingLib.core.reference_knees.people import KEPT_BACK, read_people
from LandmarkTrainingLib.core.reference_knees.surface_points import shaft_center
from toy_knee import LABELS, PLACES, toy_knee

KNEE = resource_path("Anatomies", "knee.json")


@pytest.fixture(scope="module")
def anatomy():
    return json.loads(KNEE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found():
    return find_landmarks(bones_of(toy_knee(), LABELS, "toy"))


def errors_mm(points):
    return {name: float(np.linalg.norm(points[name] - place)) for name, place in PLACES.items()}


def test_the_rules_find_the_landmarks_of_simple_bodies(found):
    # A robust extreme lies a fraction of a voxel inside; across a flat end it is the middle of the cap.
    assert max(errors_mm(found.points_mm).values()) < 2.0


def test_the_landmarks_turn_with_the_knee(found):
    turn = Rotation.from_euler("XYZ", [9, -8, 10], degrees=True).as_matrix()
    turned = find_landmarks(bones_of(toy_knee(turn), LABELS, "toy"))
    back = {name: place @ turn for name, place in turned.points_mm.items()}
    assert np.degrees(Rotation.from_matrix(turned.axes @ turn @ found.axes.T).magnitude()) < 1.5
    assert max(np.linalg.norm(back[name] - place) for name, place in found.points_mm.items()) < 2.0


def test_a_left_knee_is_mirrored(found):
    knee = toy_knee()
    left = Volume(knee.array[::-1], knee.affine, "left")
    again = find_landmarks(bones_of(left, BoneLabels(1, 3, 5, left=True), "left"))
    # Mirrored about the middle of the label map, half a voxel beside the origin, and then about the origin.
    shifted = {name: place - [1, 0, 0] for name, place in again.points_mm.items()}
    assert max(np.linalg.norm(shifted[name] - place) for name, place in found.points_mm.items()) < 1.5


def test_a_label_map_without_a_patella_is_refused():
    knee = toy_knee()
    with pytest.raises(InputError, match="no patella"):
        bones_of(Volume(np.where(knee.array == 5, 0, knee.array), knee.affine, "x"), LABELS, "x")


def test_a_shaft_goes_on_beyond_the_end_of_the_label_map():
    heights = np.repeat(np.arange(0.0, 60.0), 400)
    rng = np.random.default_rng(0)
    points = np.c_[0.1 * heights + rng.uniform(-8, 8, len(heights)), rng.uniform(-8, 8, len(heights)), heights]
    assert shaft_center(points, 70.0, 20.0) == pytest.approx([7.0, 0.0, 70.0], abs=0.7)


PARTS = {"femur": [0, 1, 2, 3], "tibia": [4, 5, 6, 7], "patella": [8, 9, 10]}
BODY = np.array(
    [[25, -28, 14], [-24, -28, 14], [28, -6, -5], [2, 6, 50], [23, 0, -10], [-20, -1, -10], [0, 0, 0], [3, 9, -40.0]]
    + [[8, 34, 52], [6, 44, 13], [4, 52, 33]]
)


def bent(angle_deg, scale=1.0):
    shape = BODY.copy()
    hinge = np.array([0, -8, 14.0])
    for bone, part in (("tibia", 1.0), ("patella", 0.6)):
        turn = Rotation.from_rotvec([np.deg2rad(angle_deg) * part, 0, 0])
        shape[PARTS[bone]] = turn.apply(shape[PARTS[bone]] - hinge) + hinge
    return shape * scale


def test_knees_that_differ_in_flexion_and_size_alone_have_one_shape():
    angles, scales = np.array([-12.0, -4.0, 6.0, 10.0]), np.array([0.9, 1.0, 1.05, 1.1])
    knees = articulated(np.array([bent(*both) for both in zip(angles, scales, strict=True)]), PARTS)
    assert np.abs(knees.shapes_mm - knees.mean_mm).max() < 0.01
    assert knees.scales / knees.scales[1] == pytest.approx(scales, abs=1e-3)
    flexion = knees.rotations_deg["tibia"][:, 0]
    assert flexion - flexion.mean() == pytest.approx(angles - angles.mean(), abs=0.05)
    assert np.abs(knees.rotations_deg["tibia"].mean(axis=0)).max() < 0.05


def test_the_shipped_knee_fits_the_schema_and_names_every_landmark_in_one_part(anatomy):
    require_schema(anatomy, "anatomy", KNEE, ProtocolError, "")
    names = [entry["name"] for entry in anatomy["landmarks"]]
    assert sorted(sum(anatomy["parts"].values(), [])) == sorted(names)
    assert [hinge["part"] for hinge in anatomy["hinges"]] == ["tibia", "patella"]
    own = anatomy["articulated"]
    assert all(len(shape) == len(names) for shape in (own["reference_mm"], own["sd_mm"], *own["modes_mm"]))


def test_the_shipped_knee_is_symmetric_as_one_body_and_not_as_a_right_knee(anatomy):
    constellation = constellation_from_dict(anatomy, KNEE)
    mirrored = (constellation.reference_mm * [-1, 1, 1])[constellation.mirror_indices]
    assert mirrored == pytest.approx(constellation.reference_mm, abs=0.015)
    assert np.linalg.eigvalsh(constellation.covariance_mm2)[0] > 0
    right = dict(zip(constellation.names, anatomy["articulated"]["reference_mm"], strict=True))
    # The patella and the upper shaft of a right knee lie on its right, the lateral side.
    assert right["PATELLA_TOP"][0] > 5 and right["FEMUR_SHAFT_HIGH"][0] > right["FEMUR_SHAFT_LOW"][0] + 2
    assert right["COND_POST_R"][1] == pytest.approx(right["COND_POST_L"][1], abs=0.05)


@pytest.fixture
def people_folder(tmp_path):
    """Five people, one of them kept back; the label maps of some are stretched."""
    folder = tmp_path / "people"
    folder.mkdir()
    knee = toy_knee()
    for number, stretch in ((1, 0.95), (2, 1.0), (3, 1.06), (KEPT_BACK[0], 1.2), (5, 1.02)):
        image = SimpleITK.GetImageFromArray(knee.array.transpose(2, 1, 0).astype(np.uint8))
        image.SetSpacing([1.0, 1.0, stretch])
        image.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
        SimpleITK.WriteImage(image, str(folder / f"toy_{number:02d}a.nii.gz"))
    return folder


def test_people_kept_back_are_not_measured(people_folder):
    assert sorted(read_people(people_folder)) == [1, 2, 3, 5]
    assert sorted(read_people(people_folder, kept_back=True)) == [KEPT_BACK[0]]


def test_measuring_replaces_the_numbers_and_keeps_the_words(people_folder, tmp_path, anatomy):
    copy = tmp_path / "knee.json"
    shutil.copy(KNEE, copy)
    assert describes_knee(copy) and not describes_knee(resource_path("Anatomies", "brain.json"))
    update_knee(copy, people_folder)
    again = json.loads(copy.read_text(encoding="utf-8"))
    require_schema(again, "anatomy", copy, ProtocolError, "")
    assert [e["definition"] for e in again["landmarks"]] == [e["definition"] for e in anatomy["landmarks"]]
    assert again["articulated"]["reference_mm"] != anatomy["articulated"]["reference_mm"]


def test_a_folder_without_knees_is_refused(tmp_path):
    with pytest.raises(InputError, match="NNv"):
        read_people(tmp_path)


def test_bones_are_read_from_a_file(people_folder, found):
    again = find_landmarks(read_bones(people_folder / "toy_02a.nii.gz", LABELS))
    # The envelope's cells of 1 mm lie elsewhere in the bone.
    start = again.points_mm["EMINENCE"] - found.points_mm["EMINENCE"]
    assert max(np.linalg.norm(again.points_mm[n] - p - start) for n, p in found.points_mm.items()) < 1.5
