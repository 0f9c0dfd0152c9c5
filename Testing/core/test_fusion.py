from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING, PREDICTED
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.detection.fusion import LARGEST_SD_MM, fuse
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANE_NORMAL_AXIS, PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES

NAMES = ("AC", "LEFT", "RIGHT", "TOP")
MIRROR = np.array([0, 2, 1, 3])
POINTS = np.array([[1.2, 3.4, -2.6], [-30.3, -8.1, 4.2], [29.1, -9.4, 6.3], [2.2, -20.5, 61.7]])
TAU, SD, THROUGH = 12.0, 1.5, 4.0
FIVE, MANY = np.arange(-2, 3) * 12.0, np.arange(-12, 13) * 12.0


def stack_seeing(plane, points=POINTS, offsets=FIVE, axes=None, height=1.0, sd=SD, origin=(0, 0, 0)):
    """What perfect heatmaps tell: a pair's middle in sagittal slices, heights that fall with the distance."""
    axes = np.eye(3) if axes is None else axes
    column, row = IN_PLANE_AXES[plane]
    basis = axes[[column, row, PLANE_NORMAL_AXIS[plane]]]
    seen = (points + points[MIRROR]) / 2 if plane == "sagittal" else points
    local = seen @ basis.T
    positions = np.asarray(offsets, dtype=float) + np.asarray(origin, dtype=float) @ basis[2]
    count = (len(positions), len(points))
    return StackDetections(
        plane=plane,
        axes=basis,
        positions_mm=positions,
        points_mm=np.broadcast_to(local[:, :2], (*count, 2)).copy(),
        peak_values=height * np.exp(-((positions[:, None] - local[:, 2]) ** 2) / (2 * TAU**2)),
        sd_mm=np.full((*count, 2), sd),
    )


def three_planes(**options):
    return [stack_seeing(plane, **options) for plane in PLANES]


def fused(stacks, threshold=0.2):
    return fuse(stacks, NAMES, MIRROR, threshold, TAU, THROUGH)


def positions(fusion):
    return np.array([mark.position_mm for mark in fusion.landmarks])


def test_perfect_detections_give_the_points_back():
    fusion = fused(three_planes(offsets=MANY))
    assert positions(fusion) == pytest.approx(POINTS, abs=0.1)
    assert fusion.disagreeing == ()
    assert [mark.name for mark in fusion.landmarks] == list(NAMES)
    assert all(mark.status == PREDICTED and mark.planes == PLANES for mark in fusion.landmarks)


def test_a_point_that_is_seen_across_twice_is_as_certain_as_two_views():
    covariance = fused(three_planes(offsets=MANY)).landmarks[0].covariance_mm2
    expected = 1 / (2 / SD**2 + 1 / THROUGH**2)
    assert covariance == pytest.approx(np.eye(3) * expected, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_turning_and_moving_the_world_turns_and_moves_everything(seed):
    turn = Rotation.random(random_state=seed).as_matrix()
    shift = np.array([900.0, -1500.0, 400.0])
    plain = fused(three_planes(offsets=[-15, -2, 9]))
    moved = fused(
        [
            replace(
                stack,
                axes=stack.axes @ turn.T,
                positions_mm=stack.positions_mm + stack.axes[2] @ turn.T @ shift,
                points_mm=stack.points_mm + stack.axes[:2] @ turn.T @ shift,
            )
            for stack in three_planes(offsets=[-15, -2, 9])
        ]
    )
    assert positions(moved) == pytest.approx(positions(plain) @ turn.T + shift, abs=1e-6)
    for one, other in zip(plain.landmarks, moved.landmarks, strict=True):
        assert other.covariance_mm2 == pytest.approx(turn @ one.covariance_mm2 @ turn.T, abs=1e-6)


def test_oblique_stacks_give_the_same_points():
    axes = Rotation.from_euler("XYZ", [14, -9, 20], degrees=True).as_matrix()
    assert positions(fused(three_planes(axes=axes, offsets=MANY))) == pytest.approx(POINTS, abs=0.1)


def test_left_and_right_come_from_one_plane_and_the_middle_from_sagittal_slices():
    fusion = fused([stack_seeing("sagittal"), stack_seeing("coronal", offsets=[0])])
    assert positions(fusion)[1:3, [0, 2]] == pytest.approx(POINTS[1:3][:, [0, 2]], abs=0.05)
    middle = positions(fusion)[1:3].mean(axis=0)
    assert middle[1] == pytest.approx(POINTS[1:3, 1].mean(), abs=1.0)
    assert fusion.landmarks[1].planes == ("sagittal", "coronal")


def test_a_pairs_middle_ties_both_points():
    """Only the right one is seen across: the left one follows from the middle, less certain."""
    coronal, axial = stack_seeing("coronal"), stack_seeing("axial")
    coronal.peak_values[:, 1] = axial.peak_values[:, 1] = 0
    fusion = fused([stack_seeing("sagittal"), coronal, axial])
    assert positions(fusion)[1] == pytest.approx(POINTS[1], abs=0.5)
    left, right = fusion.landmarks[1:3]
    assert left.planes == ("sagittal",) and left.sd_mm > 1.5 * right.sd_mm


def test_a_pair_seen_in_sagittal_slices_alone_is_missing():
    fusion = fused([stack_seeing("sagittal")])
    assert [mark.status for mark in fusion.landmarks] == [PREDICTED, MISSING, MISSING, PREDICTED]
    assert fusion.landmarks[1].position_mm is None and fusion.landmarks[1].planes == ()


def test_a_single_coronal_or_axial_stack_tells_left_from_right():
    fusion = fused([stack_seeing("axial", offsets=MANY)])
    assert positions(fusion)[1:3] == pytest.approx(POINTS[1:3], abs=0.5)


@pytest.mark.parametrize("depth", [-11.0, -4.3, 0.0, 2.6, 8.8])
def test_the_heights_of_a_stack_tell_the_depth(depth):
    points = POINTS + [0, 0, depth]
    found = fused([stack_seeing("axial", points=points, offsets=MANY)]).landmarks[0]
    assert found.position_mm[2] == pytest.approx(points[0, 2], abs=0.3)
    assert found.covariance_mm2[2, 2] == pytest.approx(THROUGH**2, rel=1e-3)


def test_heights_that_are_all_too_low_shift_the_depth_little():
    """Networks answer flatter than their targets."""
    found = fused([stack_seeing("axial", offsets=np.arange(-12, 13) * 10.0 + 3.3, height=0.7)]).landmarks[0]
    assert found.position_mm[2] == pytest.approx(POINTS[0, 2], abs=1.0)


def test_beyond_the_last_slice_the_depth_is_open():
    points = POINTS + [0, 0, 40.0 - POINTS[0, 2]]
    found = fused([stack_seeing("axial", points=points, offsets=[0, 15, 30])]).landmarks[0]
    assert found.position_mm[2] == pytest.approx(30, abs=0.01)
    assert np.sqrt(found.covariance_mm2[2, 2]) == pytest.approx(np.hypot(THROUGH, 10), rel=0.02)


def test_one_slice_per_plane_still_pins_a_point_on_all_axes():
    found = fused(three_planes(offsets=[0])).landmarks[0]
    assert found.position_mm == pytest.approx(POINTS[0], abs=0.6)
    assert found.sd_mm < 2


def test_a_low_peak_everywhere_is_missing_and_never_invented():
    stacks = three_planes()
    for stack in stacks:
        stack.peak_values[:, 3] = 0.19
    found = fused(stacks).landmarks[3]
    assert (found.status, found.position_mm, found.covariance_mm2, found.confidence) == (MISSING, None, None, 0.0)
    assert fused(stacks, threshold=0.18).landmarks[3].status == PREDICTED


def test_a_plane_that_does_not_see_a_point_is_not_among_its_planes():
    stacks = three_planes()
    stacks[1].peak_values[:, 0] = 0.05
    assert fused(stacks).landmarks[0].planes == ("sagittal", "axial")


def test_a_point_that_is_too_uncertain_is_missing():
    stacks = three_planes(sd=3 * LARGEST_SD_MM)
    assert {mark.status for mark in fused(stacks[:1]).landmarks} == {MISSING}


def test_the_confidence_is_the_highest_peak():
    stacks = three_planes(height=0.5)
    stacks[2].peak_values[2, 0] = 0.83
    assert fused(stacks).landmarks[0].confidence == pytest.approx(0.83)
    stacks[2].peak_values[2, 0] = 1.4
    assert fused(stacks).landmarks[0].confidence == 1


def test_slices_with_higher_peaks_count_more_within_a_stack():
    stack = stack_seeing("axial", offsets=[-12, 0, 12])
    stack.peak_values[:, 0] = [0.5, 1.0, 0.3]
    stack.points_mm[0, 0] += 8.0
    found = fused([stack]).landmarks[0].position_mm
    weights = np.array([0.5, 1.0, 0.3]) ** 3
    assert found[:2] - POINTS[0, :2] == pytest.approx([8 * weights[0] / weights.sum()] * 2, abs=0.01)


def test_a_more_certain_plane_counts_more():
    coronal, axial = stack_seeing("coronal", sd=1.0), stack_seeing("axial", sd=3.0)
    axial.points_mm[:, 0, 0] += 1.0
    found = fused([coronal, axial]).landmarks[0].position_mm
    assert found[0] - POINTS[0, 0] == pytest.approx(0.1, abs=0.01)


def test_planes_that_disagree_are_named_worst_first_and_their_covariance_grows():
    stacks = three_planes(offsets=MANY)
    stacks[2].points_mm[:, 0] += 20.0
    stacks[2].points_mm[:, 3] += 40.0
    fusion, plain = fused(stacks), fused(three_planes(offsets=MANY))
    assert fusion.disagreeing == ("TOP", "AC")
    for index in (0, 3):
        assert fusion.landmarks[index].sd_mm > 3 * plain.landmarks[index].sd_mm
        errors = fusion.landmarks[index].position_mm - POINTS[index]
        assert np.abs(errors).max() < 3 * fusion.landmarks[index].sd_mm


def test_planes_that_agree_within_their_errors_are_not_named_and_no_more_certain_than_stated():
    rng = np.random.default_rng(0)
    named, normalised = 0, []
    for _ in range(200):
        stacks = three_planes(offsets=MANY)
        for stack in stacks:
            stack.points_mm[:] += rng.normal(0, SD, (1, len(NAMES), 2))
        fusion = fused(stacks)
        named += len(fusion.disagreeing)
        for mark, truth in zip(fusion.landmarks, POINTS, strict=True):
            error = mark.position_mm - truth
            normalised.append(error @ np.linalg.solve(mark.covariance_mm2, error) / 3)
    assert named == 0
    assert 0.5 < np.mean(normalised) < 1.1


def test_the_middle_of_a_pair_counts_once_though_both_channels_see_it():
    """The left point is placed by the middle and a right one that is known well: what is left is the middle's error."""
    sagittal, axial = stack_seeing("sagittal", offsets=MANY), stack_seeing("axial", offsets=MANY, sd=0.01)
    axial.peak_values[:, 1] = 0
    left = fused([sagittal, axial]).landmarks[1]
    assert np.sqrt(left.covariance_mm2[1, 1]) == pytest.approx(2 * SD, rel=0.01)


def test_a_middle_that_one_of_the_pair_shows_places_both():
    """Sagittal slices that show one condyle: of the two names of the middle only one reaches the threshold there.

    The coronal slices show the right point alone. The left one follows: it lies as far on the other side of the middle.
    """
    coronal, sagittal = stack_seeing("coronal", offsets=MANY), stack_seeing("sagittal", offsets=MANY)
    left = NAMES.index("LEFT")
    for stack in (coronal, sagittal):
        stack.peak_values[:, left] = 0.1
    both = stack_seeing("sagittal", offsets=MANY)
    half, whole = fused([sagittal, coronal]).landmarks[left], fused([both, coronal]).landmarks[left]
    assert half.status == PREDICTED and half.position_mm == pytest.approx(POINTS[left], abs=0.3)
    assert half.planes == whole.planes == ("sagittal",)
    # One name of the middle counts half of what both count.
    assert np.trace(half.covariance_mm2) > np.trace(whole.covariance_mm2)


def test_a_pair_that_only_its_middle_shows_is_missing():
    """Nothing says how far apart the two lie."""
    fusion = fused([stack_seeing("sagittal", offsets=MANY)])
    assert {mark.name for mark in fusion.landmarks if mark.status == MISSING} >= {"LEFT", "RIGHT"}
