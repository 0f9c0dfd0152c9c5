"""How the pose of a joint differs from the true one: of the part that carries the others, however far it is bent."""

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame, pose_difference, rotation_variances
from joint_landmarks import joint_landmarks
from posed_landmarks import Placement, landmarks_at, random_placement, with_errors

PLACEMENT = random_placement(4, angle_deg=12)
SMALL_RAD = np.deg2rad([2.0, -1.0, 1.5])
SHIFT_MM = np.array([3.0, -2.0, 1.0])


@pytest.fixture(scope="module", params=["KneeSagittal", "KneeAxial"])
def knee(request):
    """The frame of the first follows the femur, which carries the others, that of the second the tibia."""
    return load_protocol(request.param)


def exact(knee, angle_deg, placement=PLACEMENT, side="right"):
    return fit_frame(joint_landmarks(knee, side, angle_deg, placement, sd_mm=0.05), knee)


def further(rotation_rad, shift_mm):
    """PLACEMENT moved by a small rotation about the knee's own axes and a shift along them."""
    from scipy.spatial.transform import Rotation

    turn = PLACEMENT.turn @ Rotation.from_rotvec(rotation_rad).as_matrix()
    return Placement(turn, PLACEMENT.shift + PLACEMENT.turn @ shift_mm)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("angle_deg", [0.0, 15.0])
def test_a_knee_that_moves_as_a_whole_differs_by_that_motion(knee, side, angle_deg):
    true = exact(knee, angle_deg, side=side)
    found = exact(knee, angle_deg, further(SMALL_RAD, SHIFT_MM), side)
    difference = pose_difference(knee, found, true)
    assert np.rad2deg(difference[:3] - SMALL_RAD) == pytest.approx(np.zeros(3), abs=0.15)
    assert difference[3] == pytest.approx(0, abs=0.003)
    assert difference[4:] == pytest.approx(SHIFT_MM, abs=0.3)


def test_a_knee_that_is_bent_further_lies_where_it_lay(knee):
    """As one rigid body it would be turned: bent by 4 degrees more, by more than a degree of pitch."""
    difference = pose_difference(knee, exact(knee, 14.0), exact(knee, 10.0))
    assert np.rad2deg(difference[:3]) == pytest.approx(np.zeros(3), abs=0.2)
    assert difference[4:] == pytest.approx(np.zeros(3), abs=0.3)


def test_the_variances_that_a_fit_states_hold_for_the_differences(knee):
    rng, true, errors, stated = np.random.default_rng(2), exact(knee, 8.0), [], []
    marks = joint_landmarks(knee, "right", 8.0, PLACEMENT, sd_mm=1.5)
    for _ in range(60):
        frame = fit_frame(with_errors(marks, rng), knee)
        errors.append(pose_difference(knee, frame, true)[:3])
        stated.append(rotation_variances(knee, frame))
    # The knee has the typical shape, so its scatter lies below what is stated for any shape, but not far below.
    share = np.mean(np.square(errors), axis=0) / np.mean(stated, axis=0)
    assert (share < 1.3).all() and (share > 0.03).all()


def test_of_one_rigid_part_they_are_those_of_the_frame():
    brain = load_protocol("BrainAcPc")
    frame = fit_frame(landmarks_at(brain), brain)
    assert rotation_variances(brain, frame) == pytest.approx(np.diagonal(frame.covariance)[:3])
