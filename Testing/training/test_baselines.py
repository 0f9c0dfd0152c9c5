import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes
from head_phantom import phantom_head, phantom_volume
from LandmarkTrainingLib.core.evaluation.baselines import (
    Template,
    mean_constellation,
    register_template,
    scouts_center_mm,
)
from LandmarkTrainingLib.core.reference_heads.brain_extremes import acpc_axes
from LandmarkTrainingLib.core.reference_heads.poses import (
    HEAD_CENTER_MM,
    Pose,
    head_to_scanner,
    move_named,
    posed_volume,
)

GEOMETRY = ScoutGeometry(slices=3, slice_spacing_mm=30.0, thickness_mm=6.0, pixel_mm=2.5, matrix=96)
CENTER = np.array([3.0, -5.0, 12.0])


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


@pytest.fixture(scope="module")
def posed(protocol):
    """Scouts of the phantom at a known pose, and its true points there."""
    head = phantom_head(protocol)
    pose = Pose(Rotation.from_euler("xyz", [9, -7, 8], degrees=True).as_matrix(), np.array([6.0, -9.0, 8.0]))
    transform = head_to_scanner(pose, head.origin_mm, head.axes)
    stacks = cut_three_planes(posed_volume(phantom_volume(), transform), GEOMETRY, np.zeros(3))
    return stacks, move_named(transform, head.points)


def test_registration_finds_a_known_pose(protocol, posed):
    stacks, true = posed
    found = {
        mark.name: mark for mark in register_template(stacks, Template(phantom_volume(), phantom_head(protocol).points))
    }
    places = {name: mark.position_mm for name, mark in found.items()}
    assert np.abs(rotation_angles_deg(acpc_axes(true), acpc_axes(places))).max() < 3.0
    errors = [np.linalg.norm(places[name] - true[name]) for name in true]
    assert np.median(errors) < 2.5 and max(errors) < 6.0
    assert found["AC"].status == "predicted" and found["AC"].planes == ("sagittal", "coronal", "axial")


def test_registration_does_not_mind_another_contrast(protocol, posed):
    stacks, true = posed
    volume = phantom_volume(4.0)
    inverted = Volume(np.where(volume.array > 0, 125 - volume.array, 0).astype(np.float32), volume.affine)
    template = Template(
        inverted, {name: phantom_head(protocol).points[name] for name in ("AC", "PC", "RLVAC", "LLVAC")}
    )
    commissure = register_template(stacks, template)[0]
    assert commissure.name == "AC" and np.linalg.norm(commissure.position_mm - true["AC"]) < 6.0


def test_empty_scouts_are_refused_with_one_line(protocol, posed):
    empty = Volume(np.zeros((20, 20, 20), np.float32), np.diag([10.0, 10, 10, 1]))
    with pytest.raises(InputError, match="no head"):
        register_template(
            cut_three_planes(empty, GEOMETRY, CENTER), Template(phantom_volume(), phantom_head(protocol).points)
        )


def test_the_scouts_cross_where_their_stacks_do():
    volume = Volume(np.ones((4, 4, 4), np.float32), np.eye(4))
    axes = Rotation.from_euler("xyz", [8, 3, -6], degrees=True).as_matrix()
    stacks = cut_three_planes(volume, GEOMETRY, CENTER, axes)
    assert scouts_center_mm(stacks) == pytest.approx(CENTER)
    assert scouts_center_mm(stacks[1:]) == pytest.approx(CENTER)


def test_the_mean_constellation_is_straight_and_centred_whatever_the_image_shows(protocol):
    stacks = cut_three_planes(Volume(np.zeros((4, 4, 4), np.float32), np.eye(4)), GEOMETRY, CENTER)
    places = {mark.name: mark.position_mm for mark in mean_constellation(stacks, protocol)}
    assert set(places) == set(protocol.constellation.names)
    reference = dict(zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True))
    for name, place in places.items():
        assert place - places["AC"] == pytest.approx(reference[name] - reference["AC"])
    assert places["AC"] == pytest.approx(CENTER - HEAD_CENTER_MM + reference["AC"])
