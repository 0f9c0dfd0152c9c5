"""Which way up a slice is shown."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.report.views import content_mm, nearest_slice, side_letter, view_slice, window
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack
from calibrations import scout_stacks

RIGHT, ANTERIOR, SUPERIOR = np.eye(3)


def a_stack(plane, column_axis, row_axis, shape=(40, 30), spacing=(2.0, 1.5)):
    pixels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return ScoutStack(plane, (ScoutSlice(pixels, np.array([1.0, 2.0, 3.0]), column_axis, row_axis, spacing, 5.0),))


@pytest.mark.parametrize(("plane", "letters"), [("sagittal", "APIS"), ("coronal", "RLIS"), ("axial", "RLPA")])
def test_slices_are_shown_as_radiologists_see_them(plane, letters):
    (stack,) = [stack for stack in scout_stacks(slices=1) if stack.plane == plane]
    assert "".join(view_slice(stack, 0).letters) == letters


@pytest.mark.parametrize("column_axis", [ANTERIOR, -ANTERIOR, SUPERIOR, -SUPERIOR])
@pytest.mark.parametrize("flip", [1, -1])
def test_every_storage_order_shows_each_pixel_at_its_place(column_axis, flip):
    row_axis = flip * (SUPERIOR if abs(column_axis @ ANTERIOR) > 0.5 else ANTERIOR)
    stack = a_stack("sagittal", column_axis, row_axis)
    view = view_slice(stack, 0)
    assert view.letters == ("A", "P", "I", "S")
    left, right, bottom, top = view.extent_mm
    rows, columns = view.image.shape
    for row, column in ((0, 0), (7, 21), (39, 29)):
        u, v = view.to_picture(stack.slices[0].to_world(np.array([row, column])))
        shown = view.image[int((top - v) / (top - bottom) * rows), int((u - left) / (right - left) * columns)]
        assert shown == stack.slices[0].pixels[row, column]


def test_pixels_that_are_not_square_keep_their_size():
    view = view_slice(a_stack("axial", RIGHT, ANTERIOR, shape=(40, 30), spacing=(2.0, 1.5)), 0)
    left, right, bottom, top = view.extent_mm
    assert (right - left, top - bottom) == (pytest.approx(45.0), pytest.approx(80.0))


def test_an_oblique_direction_names_two_sides():
    assert side_letter(np.array([0.0, -np.cos(0.5), np.sin(0.5)])) == "PS"
    assert side_letter(np.array([0.0, -np.cos(0.2), np.sin(0.2)])) == "P"


def test_the_nearest_slice_of_a_plane_is_shown():
    stacks = scout_stacks(slices=3)
    stack, index = nearest_slice(stacks, "coronal", np.array([50.0, 17.0, 0.0]))
    assert (stack.plane, index) == ("coronal", 2)
    assert nearest_slice(stacks[:1], "axial", np.zeros(3)) is None


def test_the_region_of_interest_is_the_head_without_the_air():
    (stack,) = scout_stacks(slices=1, planes=("axial",))
    view = view_slice(stack, 0)
    left, right, bottom, top = content_mm(view, window([view.image]))
    np.testing.assert_allclose([left, right, bottom, top], [-70, 70, -90, 90], atol=8)


def test_an_empty_slice_is_shown_whole():
    stack = a_stack("axial", RIGHT, ANTERIOR)
    empty = ScoutStack("axial", (ScoutSlice(np.zeros((40, 30), np.float32), np.zeros(3), RIGHT, ANTERIOR, (1, 1)),))
    view = view_slice(empty, 0)
    assert content_mm(view, window([view.image])) == view.extent_mm
    assert window([stack.slices[0].pixels])[0] < window([stack.slices[0].pixels])[1]
