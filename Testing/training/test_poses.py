import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.reference_heads.poses import (
    HEAD_CENTER_MM,
    STRAIGHT,
    Pose,
    head_to_scanner,
    move_points,
    posed_volume,
    random_pose,
)

AXES = Rotation.from_euler("xyz", [20, -10, 35], degrees=True).as_matrix()
ORIGIN = np.array([10.0, -4.0, 30.0])


def head_point(right, anterior, superior):
    """A point given in the AC-PC frame, in the head's world."""
    return ORIGIN + np.array([right, anterior, superior]) @ AXES


def test_a_straight_pose_puts_the_head_centre_at_the_isocentre_and_its_axes_on_the_scanners():
    transform = head_to_scanner(STRAIGHT, ORIGIN, AXES)
    assert move_points(transform, head_point(*HEAD_CENTER_MM)) == pytest.approx(np.zeros(3), abs=1e-9)
    assert move_points(transform, head_point(50, -18, 5)) == pytest.approx([50, 0, 0], abs=1e-9)
    assert move_points(transform, head_point(0, -18, 45)) == pytest.approx([0, 0, 40], abs=1e-9)


def test_a_pose_turns_the_head_about_its_centre_and_then_shifts_it():
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    transform = head_to_scanner(Pose(turn, np.array([1.0, 2.0, 3.0])), ORIGIN, AXES)
    assert move_points(transform, head_point(*HEAD_CENTER_MM)) == pytest.approx([1, 2, 3])
    assert move_points(transform, head_point(10, -18, 5)) == pytest.approx([1, 12, 3])


def test_a_posed_volume_shows_the_same_tissue_at_the_moved_point():
    rng = np.random.default_rng(0)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = AXES.T * [1.0, 2.0, 1.5], ORIGIN
    volume = Volume(rng.random((8, 9, 10)).astype(np.float32), affine)
    transform = head_to_scanner(random_pose(rng), ORIGIN, AXES)
    point = volume.center_mm + [[0.3, 0.1, -0.2], [1.0, 2.0, 0.4]]
    moved = posed_volume(volume, transform)
    assert moved.sample(move_points(transform, point)) == pytest.approx(volume.sample(point), rel=1e-4)
    assert moved.array is volume.array


def test_random_poses_stay_in_their_limits_and_repeat_with_the_seed():
    poses = [random_pose(np.random.default_rng(seed), 15.0, 10.0) for seed in range(200)]
    angles = np.array([Rotation.from_matrix(pose.rotation).as_euler("xyz", degrees=True) for pose in poses])
    shifts = np.array([pose.shift_mm for pose in poses])
    assert np.abs(angles).max() <= 15.0 + 1e-9 and np.abs(angles).max(axis=0).min() > 13
    assert (np.abs(shifts).max(axis=0) <= [6, 10, 10]).all() and np.abs(shifts[:, 2]).max() > 9
    again = random_pose(np.random.default_rng(7), 15.0, 10.0)
    assert np.array_equal(again.rotation, poses[7].rotation) and np.array_equal(again.shift_mm, poses[7].shift_mm)
