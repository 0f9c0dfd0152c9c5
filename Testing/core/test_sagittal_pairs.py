"""Sagittal slices that show the nearer landmark of a pair: which one that is, the other planes say."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.detection.fusion import fuse
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE, NEAREST, shown_of_pair
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice
from core.test_fusion import FIVE, MIRROR, NAMES, POINTS, TAU, THROUGH, positions, stack_seeing

SEEN = np.eye(3)


def sagittal_stack(points=POINTS, offsets=FIVE, axes=SEEN, sd=1.5):
    """Perfect heatmaps of the nearer landmark of a pair on each slice."""
    basis = axes[[1, 2, 0]]
    local, partner = points @ basis.T, points[MIRROR] @ basis.T
    offsets = np.asarray(offsets, float)[:, None]
    own_is_nearer = np.abs(local[:, 2] - offsets) <= np.abs(partner[:, 2] - offsets)
    shown = np.where(own_is_nearer[..., None], local, partner)
    heights = np.exp(-((offsets - shown[..., 2]) ** 2) / (2 * TAU**2))
    spread = np.full((*heights.shape, 2), sd)
    return StackDetections("sagittal", basis, offsets[:, 0], shown[..., :2], heights, spread, NEAREST)


def fused(*stacks):
    return fuse(stacks, NAMES, MIRROR, 0.2, TAU, THROUGH)


def others(**options):
    return [stack_seeing(plane, **options) for plane in ("coronal", "axial")]


@pytest.mark.parametrize("seed", range(4))
def test_perfect_detections_give_both_points_of_a_pair_back(seed):
    axes = Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.1, 3)).as_matrix()
    fine = np.arange(-60.0, 61.0, 6.0)
    fusion = fused(sagittal_stack(axes=axes, offsets=fine), *others(axes=axes, offsets=fine))
    # Where a half's highest peak is in its last slice, its depth is coarse, and weighs little.
    assert positions(fusion) == pytest.approx(POINTS, abs=0.5)
    assert fusion.disagreeing == ()
    assert all(landmark.planes[0] in PLANES and "sagittal" in landmark.planes for landmark in fusion.landmarks)


def test_a_pair_is_more_certain_with_the_slices_through_its_halves_than_with_its_middle():
    """In a slice through it each point is measured itself, so that the direction from one to the other is, too."""
    offsets = [-30.0, 0.0, 30.0]
    nearest = fused(sagittal_stack(offsets=offsets), *others())
    middle = fused(stack_seeing("sagittal", offsets=offsets), *others())
    for name in ("LEFT", "RIGHT"):
        index = NAMES.index(name)
        along = [fusion.landmarks[index].covariance_mm2[1, 1] for fusion in (nearest, middle)]
        assert along[0] < 0.8 * along[1]


def test_without_the_other_planes_a_sagittal_slice_places_neither():
    found = {landmark.name: landmark for landmark in fused(sagittal_stack(offsets=[-30, 0, 30])).landmarks}
    assert found["LEFT"].position_mm is None and found["RIGHT"].position_mm is None
    assert found["AC"].position_mm is not None


def test_one_side_without_a_slice_keeps_what_the_other_planes_show():
    fusion = fused(sagittal_stack(offsets=[24.0, 36.0]), *others(offsets=np.arange(-60.0, 61.0, 6.0)))
    left, right = (fusion.landmarks[NAMES.index(name)] for name in ("LEFT", "RIGHT"))
    assert "sagittal" in right.planes and "sagittal" not in left.planes
    assert left.position_mm == pytest.approx(POINTS[1], abs=0.5)


def test_what_a_slice_shows_of_a_pair():
    at_left = ScoutSlice(np.zeros((9, 9), np.float32), np.array([-20.0, 0, 0]), *np.eye(3)[1:], (1.0, 1.0))
    own, partner = np.array([[-24.0, 1, 2], [24.0, 3, 4]]), np.array([[24.0, 3, 4], [-24.0, 1, 2]])
    assert shown_of_pair(own, partner, at_left, NEAREST) == pytest.approx(np.array([[-24.0, 1, 2]] * 2))
    assert shown_of_pair(own, partner, at_left, MIDDLE) == pytest.approx(np.array([[0.0, 2, 3]] * 2))
    unknown = shown_of_pair(own, np.full((2, 3), np.nan), at_left, NEAREST)
    assert np.isnan(unknown).all()
