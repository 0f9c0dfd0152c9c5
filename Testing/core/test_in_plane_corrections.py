"""A correction within a slice: what the user placed holds, the depth remains what it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AutoVolumeCalibrationLib.core.anatomy.landmark import (
    CORRECTED,
    CORRECTED_SD_MM,
    PLACED_DEPTH_SD_MM,
    PREDICTED,
    Landmark,
)
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg, unit
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks, refit
from calibrations import scout_stacks
from posed_landmarks import landmarks_at, named, random_shape, replaced, with_errors

SAGITTAL, CORONAL, AXIAL = np.eye(3)

coordinates = st.floats(-150, 150)
points = st.tuples(coordinates, coordinates, coordinates).map(np.array)
normals = points.filter(lambda vector: np.linalg.norm(vector) > 1).map(unit)


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


@pytest.fixture(scope="module")
def marks(protocol):
    rng = np.random.default_rng(4)
    return with_errors(landmarks_at(protocol, random_shape(protocol, rng), sd_mm=1.5), rng)


def seen(sd_mm=(2.0, 2.0, 2.0), position=(4.3, 20.0, 10.0)):
    return Landmark("AC", np.array(position), np.diag(np.square(sd_mm)), 0.8, PREDICTED, ("sagittal",))


def test_ac_at_r_4_3_dragged_in_the_sagittal_scout_at_r_0_keeps_r_4_3():
    dragged = seen((2.5, 1.0, 1.0)).corrected_in_plane(np.array([0.0, 17.0, 14.0]), SAGITTAL)
    assert dragged.position_mm == pytest.approx([4.3, 17.0, 14.0])
    assert dragged.status == CORRECTED
    assert np.sqrt(np.diag(dragged.covariance_mm2)) == pytest.approx([2.5, CORRECTED_SD_MM, CORRECTED_SD_MM])
    assert abs(dragged.free_direction @ SAGITTAL) == pytest.approx(1)


@given(points, points, normals)
@settings(deadline=None)
def test_the_depth_stays_and_the_rest_is_where_the_hand_put_it(start, end, normal):
    dragged = seen(position=start).corrected_in_plane(end, normal)
    assert dragged.position_mm @ normal == pytest.approx(start @ normal, abs=1e-6)
    moved = dragged.position_mm - end
    assert moved - (moved @ normal) * normal == pytest.approx(np.zeros(3), abs=1e-6)
    assert np.linalg.eigvalsh(dragged.covariance_mm2)[:2] == pytest.approx([CORRECTED_SD_MM**2] * 2, rel=1e-6)
    assert normal @ dragged.covariance_mm2 @ normal == pytest.approx(4.0)


def test_a_point_placed_in_two_planes_is_known_on_all_axes():
    once = seen().corrected_in_plane(np.array([0.0, 17.0, 14.0]), SAGITTAL)
    twice = once.corrected_in_plane(np.array([1.0, 17.5, 0.0]), AXIAL)
    assert twice.position_mm == pytest.approx([1.0, 17.5, 14.0])
    assert twice.covariance_mm2 == pytest.approx(np.eye(3) * CORRECTED_SD_MM**2)
    assert twice.free_direction is None


def test_a_second_drag_in_the_same_plane_leaves_the_depth_open():
    once = seen().corrected_in_plane(np.array([0.0, 17.0, 14.0]), SAGITTAL)
    twice = once.corrected_in_plane(np.array([-9.0, 18.0, 14.0]), SAGITTAL)
    assert twice.position_mm == pytest.approx([4.3, 18.0, 14.0])
    assert SAGITTAL @ twice.covariance_mm2 @ SAGITTAL == pytest.approx(4.0)


def test_a_missing_point_that_is_placed_in_a_slice_takes_its_depth_from_there():
    placed = Landmark("AC").corrected_in_plane(np.array([0.5, 17.0, 14.0]), SAGITTAL)
    assert placed.position_mm == pytest.approx([0.5, 17.0, 14.0])
    assert np.sqrt(placed.covariance_mm2[0, 0]) == pytest.approx(PLACED_DEPTH_SD_MM)


def test_a_correction_on_all_axes_and_a_prediction_have_no_free_direction():
    assert seen().free_direction is None
    assert seen().corrected(np.zeros(3)).free_direction is None
    assert Landmark("AC").free_direction is None


def turned_deg(protocol, marks, landmark):
    """How far the frame rotates when this landmark replaces its prediction."""
    before, after = (fit_frame(points, protocol) for points in (marks, replaced(marks, landmark)))
    return np.abs(rotation_angles_deg(before.axes, after.axes))


def test_a_drag_does_not_turn_the_box_by_the_distance_of_the_slice(protocol, marks):
    ac = named(marks, "AC")
    hand = ac.position_mm + [-4.3, 0.0, 0.0]  # what the application makes of a drag in the midsagittal slice
    still = ac.corrected_in_plane(hand, SAGITTAL)
    # The pitch follows the line from now on in both cases; roll and yaw show the displacement along the normal.
    assert turned_deg(protocol, marks, ac.corrected(hand))[1:].max() > 0.3
    assert turned_deg(protocol, marks, still)[1:].max() < 0.05


def test_what_was_placed_holds_and_the_depth_may_still_move(protocol, marks):
    ac = named(marks, "AC")
    placed = ac.corrected_in_plane(ac.position_mm + [0.0, 3.0, -4.0], SAGITTAL)
    frame = fit_frame(replaced(marks, placed), protocol)
    assert frame.expected_mm["AC"][1:] == pytest.approx(placed.position_mm[1:], abs=0.05)
    assert frame.line == protocol.frame.line


def test_a_wrong_depth_loses_its_weight_though_the_point_was_placed_in_a_slice(protocol, marks):
    """The model missed by 40 mm along the normal; the user corrects what the sagittal slice shows."""
    right = named(marks, "AC")
    wrong = right.position_mm + [40.0, 0.0, 0.0]
    placed = Landmark("AC", wrong, np.eye(3) * 4.0, 0.8, PREDICTED).corrected_in_plane(right.position_mm, SAGITTAL)
    frame = fit_frame(replaced(marks, placed), protocol)
    assert placed.position_mm[0] == pytest.approx(wrong[0])
    assert frame.expected_mm["AC"] == pytest.approx(right.position_mm, abs=4)
    assert frame.outliers == ("AC",)


def test_a_point_placed_in_an_axial_slice_does_not_draw_the_line(protocol, marks):
    ac = named(marks, "AC")
    for normal, line in ((AXIAL, None), (SAGITTAL, protocol.frame.line), (CORONAL, protocol.frame.line)):
        assert fit_frame(replaced(marks, ac.corrected_in_plane(ac.position_mm, normal)), protocol).line == line


def test_the_shared_error_counts_for_the_depth_only(protocol, marks):
    shared = np.diag([0.0, 0.0, 0.0, 0.0, 25.0, 25.0, 25.0])
    placed = [mark.corrected_in_plane(mark.position_mm, SAGITTAL) for mark in marks]
    frame = fit_frame(placed, protocol, shared)
    right, anterior, superior = np.sqrt(np.diag(frame.covariance))[3:]
    assert right > 4.5
    assert max(anterior, superior) < 0.5


def test_a_refit_honours_the_covariance(protocol, marks):
    plan = plan_from_landmarks(scout_stacks(), protocol, (), predicted=marks)
    ac = named(marks, "AC")
    placed = ac.corrected_in_plane(ac.position_mm + [-4.3, 0.0, 2.0], SAGITTAL)
    again = refit(plan, [placed])
    assert named(again.landmarks, "AC") is placed
    whole = refit(plan, [ac.corrected(ac.position_mm + [-4.3, 0.0, 2.0])])
    assert again.box.center_mm[0] == pytest.approx(plan.box.center_mm[0], abs=0.2)
    assert abs(whole.box.center_mm[0] - plan.box.center_mm[0]) > abs(again.box.center_mm[0] - plan.box.center_mm[0])
