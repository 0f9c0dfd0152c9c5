"""Where planes disagree, and what is too uncertain: the borders of the fusion's rules."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING, PREDICTED
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.detection.fusion import depth_in_stack, fuse
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANE_NORMAL_AXIS
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES

TAU, THROUGH = 12.0, 4.0
MANY = np.arange(-10, 11) * 6.0


def stack(plane: str, points_mm, *, height=1.0, sd_mm=1.0, positions=MANY, turn=None) -> StackDetections:
    """Perfect answers to slices of a plane, as high as ``height`` at the points' own depth."""
    column, row = IN_PLANE_AXES[plane]
    axes = np.eye(3)[[column, row, PLANE_NORMAL_AXIS[plane]]] @ (np.eye(3) if turn is None else turn)
    local = np.asarray(points_mm, float) @ axes.T
    heights = height * np.exp(-((np.asarray(positions, float)[:, None] - local[:, 2]) ** 2) / (2 * TAU**2))
    count = heights.shape
    places = np.broadcast_to(local[:, :2], (*count, 2)).copy()
    return StackDetections(plane, axes, np.asarray(positions, float), places, heights, np.full((*count, 2), sd_mm))


def fused(stacks, names=("AC",), mirror=(0,), threshold=0.2):
    return fuse(stacks, names, np.asarray(mirror), threshold, TAU, THROUGH)


@pytest.mark.parametrize(("apart_mm", "disagree"), [(14.0, False), (22.0, True)])
def test_planes_disagree_beyond_three_standard_deviations(apart_mm, disagree):
    """Two stacks see left-right with 2 mm each; the rest of each view agrees: chi-square over 3 degrees of freedom.

    sqrt(apart^2 / (2 * 2^2) / 3) is 3 at 14.7 mm where nothing else counts.
    """
    point = np.array([[0.0, 0.0, 0.0]])
    stacks = [stack("coronal", point, sd_mm=2.0), stack("axial", point + [apart_mm, 0, 0], sd_mm=2.0)]
    found = fused(stacks)
    assert (found.disagreeing == ("AC",)) == disagree
    chi = np.sqrt(apart_mm**2 / 8 / 3)
    assert found.landmarks[0].covariance_mm2[0, 0] == pytest.approx(chi**2 * 2.0, rel=1e-3)


def test_the_place_of_two_views_is_their_mean_weighted_by_certainty():
    point = np.array([[3.0, -2.0, 0.0]])
    found = fused([stack("coronal", point, sd_mm=1.0), stack("axial", point + [1.0, 0, 0], sd_mm=2.0)]).landmarks[0]
    assert found.position_mm[0] == pytest.approx(3 + 1 / (1 + 4), abs=1e-3)


@pytest.mark.parametrize(("sd_mm", "status"), [(24.0, PREDICTED), (26.0, MISSING)])
def test_a_landmark_is_missing_beyond_twenty_five_millimetres(sd_mm, status):
    found = fused([stack("axial", [[0.0, 0.0, 0.0]], sd_mm=sd_mm)]).landmarks[0]
    assert found.status == status


@pytest.mark.parametrize(("height", "status"), [(0.19, MISSING), (0.2, PREDICTED)])
def test_a_peak_counts_from_the_threshold_on(height, status):
    assert fused([stack("axial", [[0.0, 0.0, 0.0]], height=height)]).landmarks[0].status == status


def test_an_open_depth_is_as_uncertain_as_the_height_tells():
    """exp(-d^2 / 2 tau^2) = h gives d = tau sqrt(-2 ln h); a height of 1 or more counts as 0.99."""
    for height, counted in ((0.5, 0.5), (0.03, 0.05), (1.0, 0.99)):
        seen = fused([stack("axial", [[0.0, 0.0, 0.0]], height=height, positions=[0.0])], threshold=0.01).landmarks[0]
        sd = np.hypot(THROUGH, TAU * np.sqrt(-2 * np.log(counted)))
        if sd < 25:
            assert np.sqrt(seen.covariance_mm2[2, 2]) == pytest.approx(sd, rel=2e-3)
        else:
            assert seen.status == MISSING


@pytest.mark.parametrize("depth_mm", [-5.5, -0.5, 0.0, 3.0, 5.5])
def test_the_depth_is_found_to_half_a_millimetre_from_the_heights(depth_mm):
    positions = np.array([-12.0, 0.0, 12.0])
    heights = np.exp(-((positions - depth_mm) ** 2) / (2 * TAU**2))
    assert depth_in_stack(positions, heights, TAU) == (pytest.approx(depth_mm, abs=1e-9), False)


def test_heights_above_one_count_as_one():
    positions = np.array([-12.0, 0.0, 12.0])
    heights = np.exp(-(positions**2) / (2 * TAU**2))
    assert depth_in_stack(positions, heights * [1, 1.7, 1], TAU)[0] == pytest.approx(0)


def test_a_pair_in_sagittal_slices_is_its_middle_with_the_certainty_of_one_view():
    """The right one is known almost exactly: twice the middle's error is left for the left one."""
    pair = np.array([[-30.0, 5.0, 6.0], [30.0, 5.0, 6.0]])
    sagittal, axial = (
        stack("sagittal", pair.mean(axis=0) + np.zeros((2, 3)), sd_mm=2.0),
        stack("axial", pair, sd_mm=0.01),
    )
    axial.peak_values[:, 0] = 0
    found = fused([sagittal, axial], ("LEFT", "RIGHT"), (1, 0))
    left, right = found.landmarks
    assert (left.name, right.name) == ("LEFT", "RIGHT") and found.disagreeing == ()
    assert left.position_mm == pytest.approx(pair[0], abs=0.1) and left.planes == ("sagittal",)
    assert np.sqrt(left.covariance_mm2[1, 1]) == pytest.approx(4.0, rel=0.01)
    assert right.planes == ("sagittal", "axial") and right.confidence == pytest.approx(1)


def test_a_stack_is_as_certain_as_its_clearest_slice():
    seen = stack("axial", [[0.0, 0.0, 0.0]])
    seen.sd_mm[:] = 9.0
    seen.sd_mm[10] = 1.5
    assert np.sqrt(fused([seen]).landmarks[0].covariance_mm2[0, 0]) == pytest.approx(1.5, rel=1e-3)
