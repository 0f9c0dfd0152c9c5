from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.detection.derotation import standard_orientation
from AutoVolumeCalibrationLib.core.detection.detector import BATCH, detect
from AutoVolumeCalibrationLib.core.errors import Cancelled
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES
from fake_models import BrightestPlace, fake_model, spot_slice, spot_stack

POINT = np.array([13.3, -21.7, 31.9])
EIGHT_WAYS = list(product((False, True), repeat=3))
OBLIQUE = Rotation.from_euler("XYZ", [17, -12, 23], degrees=True).as_matrix()


@pytest.fixture(scope="module")
def model():
    return fake_model(BrightestPlace())


def in_plane_error(found, slice_number=0):
    """Distance in mm of a detection from the truth, in the plane."""
    return np.linalg.norm(found.points_mm[slice_number, 0] - found.axes[:2] @ POINT)


@pytest.mark.parametrize("orientation", EIGHT_WAYS)
@pytest.mark.parametrize("plane", PLANES)
def test_the_place_does_not_depend_on_how_the_pixels_are_stored(model, plane, orientation):
    options = {"orientation": orientation, "spacing_mm": (1.0, 1.3), "shape": (250, 200), "shift_mm": (5.0, -9.0)}
    found = detect([spot_stack(plane, POINT, **options)], model)[0]
    assert in_plane_error(found) < 0.3
    assert found.peak_values[0, 0] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("orientation", EIGHT_WAYS)
@pytest.mark.parametrize("plane", PLANES)
def test_an_oblique_slice_gives_the_place_in_the_world(model, plane, orientation):
    found = detect([spot_stack(plane, POINT, axes=OBLIQUE, orientation=orientation)], model)[0]
    assert in_plane_error(found) < 0.3
    normal = found.axes[2]
    assert abs(normal @ OBLIQUE[PLANES.index(plane)]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((180, 180), (1.0, 1.0)),
        ((340, 340), (1.0, 1.0)),
        ((512, 512), (0.5, 0.5)),
        ((64, 64), (4.0, 4.0)),
        ((128, 256), (1.9, 1.0)),
        ((300, 180), (1.0, 1.0)),
        ((201, 333), (1.17, 0.71)),
    ],
)
def test_field_of_view_and_pixels_do_not_matter(model, shape, spacing):
    found = detect([spot_stack("sagittal", POINT, shape=shape, spacing_mm=spacing)], model)[0]
    assert in_plane_error(found) < 0.3


def test_slices_of_different_sizes_are_seen_in_one_go(model):
    stacks = [
        spot_stack("sagittal", POINT, (-5, 5), shape=(180, 200)),
        spot_stack("coronal", POINT, shape=(340, 310), orientation=(True, False, True)),
        spot_stack("axial", POINT, (0, 8, 16), shape=(160, 256), spacing_mm=(1.6, 0.9), axes=OBLIQUE),
    ]
    found = detect(stacks, model)
    assert [f.plane for f in found] == list(PLANES)
    assert [len(f.peak_values) for f in found] == [2, 1, 3]
    assert max(in_plane_error(f, i) for f in found for i in range(len(f.peak_values))) < 0.3


def test_a_field_of_view_beyond_the_largest_size_is_seen_coarser(model):
    found = detect([spot_stack("axial", POINT, shape=(500, 500))], model)[0]
    assert in_plane_error(found) < 0.5


def test_positions_are_those_of_the_slices_along_the_normal(model):
    stack = spot_stack("coronal", POINT, (-20.0, -3.0, 11.5), axes=OBLIQUE)
    found = detect([stack], model)[0]
    assert found.positions_mm == pytest.approx(stack.positions_mm)
    assert (np.diff(found.positions_mm) > 0).all()


def test_two_stacks_of_one_plane_stay_apart(model):
    found = detect([spot_stack("axial", POINT), spot_stack("axial", POINT, (4.0, 9.0), axes=OBLIQUE)], model)
    assert [len(f.peak_values) for f in found] == [1, 2]
    assert max(in_plane_error(f) for f in found) < 0.3


def test_brightness_and_offset_of_the_image_do_not_matter(model):
    stack = spot_stack("sagittal", POINT)
    scaled = replace(stack, slices=tuple(replace(s, pixels=s.pixels * 40 - 7000) for s in stack.slices))
    plain, other = detect([stack], model)[0], detect([scaled], model)[0]
    assert other.points_mm == pytest.approx(plain.points_mm, abs=0.01)


def test_an_image_of_one_value_is_seen_without_a_landmark(model):
    stack = spot_stack("axial", POINT)
    stack.slices[0].pixels[:] = 7.0
    found = detect([stack], model)[0]
    assert found.peak_values[0, 0] == 0 and np.isfinite(found.points_mm).all() and np.isfinite(found.sd_mm).all()


@pytest.mark.parametrize("orientation", EIGHT_WAYS)
@pytest.mark.parametrize("plane", PLANES)
def test_standard_orientation_keeps_every_pixel_at_its_place(plane, orientation):
    stored = spot_slice(plane, POINT, axes=OBLIQUE, shape=(7, 5), spacing_mm=(2.0, 3.0), orientation=orientation)
    stored = replace(stored, pixels=np.arange(35.0).reshape(stored.pixels.shape))
    turned = standard_orientation(stored, plane)
    for value in range(35):
        before, after = (s.to_world(np.argwhere(s.pixels == value)[0]) for s in (stored, turned))
        assert after == pytest.approx(before)
    column, row = IN_PLANE_AXES[plane]
    assert turned.column_axis[column] > 0.8 and turned.row_axis[row] > 0.8
    assert turned.normal == pytest.approx(stored.normal)


def test_uncertainty_is_given_along_columns_then_rows(model):
    base = np.empty((3, 1, 2))
    base[:, 0] = [1.0, 9.0]
    uncertain = replace(model, uncertainty=replace(model.uncertainty, base_mm=base))
    found = detect([spot_stack("coronal", POINT)], uncertain)[0]
    assert found.sd_mm[0, 0, 1] == pytest.approx(9 * found.sd_mm[0, 0, 0], rel=0.05)


def test_progress_rises_to_one(model):
    steps = []
    detect([spot_stack("axial", POINT, np.arange(2 * BATCH + 1) * 5.0, shape=(64, 64))], model, progress=steps.append)
    assert steps[-1] == 1 and steps == sorted(steps) and len(steps) == 3


def test_a_cancel_stops_before_the_next_batch(model):
    answers, steps = iter([False, True]), []
    with pytest.raises(Cancelled):
        detect(
            [spot_stack("axial", POINT, np.arange(3 * BATCH) * 5.0, shape=(64, 64))],
            model,
            progress=steps.append,
            cancelled=lambda: next(answers),
        )
    assert len(steps) == 1


class Streak(BrightestPlace):
    """Answers with a heatmap that is drawn out along the columns."""

    def forward(self, batch):
        heatmaps = super().forward(batch)
        return sum(heatmaps.roll(shift, dims=3) for shift in (-2, -1, 0, 1, 2)) / 5


def test_a_heatmap_drawn_out_along_one_axis_is_less_certain_there(model):
    found = detect([spot_stack("coronal", POINT)], replace(model, network=Streak()))[0]
    along_columns, along_rows = found.sd_mm[0, 0]
    assert along_columns > 1.15 * along_rows
