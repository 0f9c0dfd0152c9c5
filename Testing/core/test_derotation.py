"""Slices turned within their plane: the content keeps its place in space, and the head stands upright in them."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.detection.derotation import in_plane_angle, rotated_in_plane
from AutoVolumeCalibrationLib.core.detection.detector import detect
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from fake_models import BrightestPlace, fake_model, spot_slice, spot_stack

POINT = np.array([12.0, -20.0, 31.0])


def brightest_mm(scout_slice):
    weights = np.clip(scout_slice.pixels - 60, 0, None).astype(float)
    rows, columns = np.indices(weights.shape)
    center = np.array([(weights * rows).sum(), (weights * columns).sum()]) / weights.sum()
    return scout_slice.to_world(center)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("angle", [-0.6, 0.2, 1.2])
def test_what_is_in_a_turned_slice_stays_where_it_is_in_space(plane, angle):
    original = spot_slice(plane, POINT, shape=(200, 240), spacing_mm=(1.1, 0.9))
    slice_turned = rotated_in_plane(original, angle, 0.5)
    assert brightest_mm(slice_turned) == pytest.approx(brightest_mm(original), abs=0.1)
    assert slice_turned.normal == pytest.approx(original.normal)
    assert slice_turned.center_mm == pytest.approx(original.center_mm)


@pytest.mark.parametrize("plane", PLANES)
def test_a_head_turned_with_the_slice_needs_no_turning(plane):
    head = Rotation.from_euler("xyz", [12, -9, 17], degrees=True).as_matrix()
    aligned = spot_slice(plane, POINT, axes=head)
    assert in_plane_angle(aligned, plane, head) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("plane", "axis"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
def test_after_turning_the_head_is_upright(plane, axis):
    head = Rotation.from_rotvec(np.deg2rad(25) * np.eye(3)[axis]).as_matrix().T
    original = spot_slice(plane, POINT)
    upright = rotated_in_plane(original, in_plane_angle(original, plane, head), 1.0)
    assert abs(in_plane_angle(original, plane, head)) == pytest.approx(np.deg2rad(25))
    assert in_plane_angle(upright, plane, head) == pytest.approx(0, abs=1e-9)


def test_detections_of_turned_slices_give_the_same_point_in_space():
    head = Rotation.from_euler("xyz", [20, 15, -25], degrees=True).as_matrix()
    stacks = [spot_stack(plane, POINT, offsets_mm=(-6.0, 6.0)) for plane in PLANES]
    for plain, upright in zip(
        detect(stacks, fake_model(BrightestPlace())),
        detect(stacks, fake_model(BrightestPlace()), head_axes=head),
        strict=True,
    ):
        assert not np.allclose(plain.axes[:2], upright.axes[:2])
        before, after = (seen.points_mm[0, 0] @ seen.axes[:2] for seen in (plain, upright))
        assert after == pytest.approx(before, abs=0.4)


@pytest.mark.parametrize(("spacing", "smallest"), [((1.1, 0.9), 0.5), ((0.4, 0.6), 1.0)])
def test_every_pixel_of_a_turned_slice_is_what_the_slice_shows_there(spacing, smallest):
    """Against a look at each pixel's own place in space."""
    original = spot_slice("coronal", POINT, shape=(60, 90), spacing_mm=spacing)
    result = rotated_in_plane(original, 0.4, smallest)
    index = np.moveaxis(np.indices(result.pixels.shape), 0, -1)
    places = np.moveaxis(original.to_pixel(result.to_world(index)), -1, 0)
    assert result.pixels == pytest.approx(map_coordinates(original.pixels.astype(float), places, order=1), abs=1e-3)
