"""Slices sorted into stacks: what shares a stack, in which order, how thick, and what an image shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.stack import (
    ScoutSlice,
    ScoutStack,
    group_into_stacks,
    is_even,
    plane_of,
    require_usable,
)
from fake_models import spot_slice

PLANES = ("sagittal", "coronal", "axial")


def blank(plane: str, offset_mm: float = 0.0, **changes) -> ScoutSlice:
    return replace(spot_slice(plane, np.zeros(3), offset_mm=offset_mm, shape=(6, 8)), **changes)


def turned(scout_slice: ScoutSlice, cosine: float) -> ScoutSlice:
    """The slice turned in its plane until its direction cosines differ by ``cosine``."""
    turn = Rotation.from_rotvec(scout_slice.normal * cosine).as_matrix()
    return replace(
        scout_slice,
        column_axis=turn @ scout_slice.column_axis,
        row_axis=turn @ scout_slice.row_axis,
        origin_mm=[0, 0, 9],
    )


@pytest.mark.parametrize(("cosine", "stacks"), [(5e-4, 1), (9e-4, 1), (1.1e-3, 2), (5e-3, 2), (2e-2, 2)])
def test_slices_share_a_stack_up_to_a_thousandth_of_their_direction(cosine, stacks):
    axial = blank("axial")
    assert len(group_into_stacks([axial, turned(axial, cosine)])) == stacks


@pytest.mark.parametrize("axis", ["column_axis", "row_axis"])
def test_either_axis_keeps_slices_apart(axis):
    axial = blank("axial")
    pitched = replace(axial, origin_mm=np.array([0.0, 0.0, 9.0]), **{axis: getattr(axial, axis) + [0.0, 0.0, 0.05]})
    assert len(group_into_stacks([axial, pitched])) == 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_stacks_come_as_sagittal_coronal_axial(order):
    slices = [blank(PLANES[index]) for index in order]
    assert [stack.plane for stack in group_into_stacks(slices)] == list(PLANES)


def test_of_one_plane_the_stack_with_more_slices_comes_first():
    few = [turned(blank("axial"), 0.1)]
    many = [blank("axial", offset) for offset in (0.0, 10.0, 20.0)]
    for slices in ([*few, *many], [*many, *few]):
        stacks = group_into_stacks([*slices, blank("sagittal")])
        assert [(s.plane, len(s.slices)) for s in stacks] == [("sagittal", 1), ("axial", 3), ("axial", 1)]


def test_slices_are_sorted_along_the_normal_and_repeats_are_left_out():
    slices = [blank("coronal", offset) for offset in (10.0, -20.0, 10.0, 0.0, 10.0005)]
    (stack,) = group_into_stacks(slices, "1.2.3", "series 4")
    assert stack.positions_mm == pytest.approx([-20, 0, 10])
    assert (stack.plane, stack.frame_of_reference, stack.name) == ("coronal", "1.2.3", "series 4")


def test_slices_more_than_a_thousandth_of_a_millimetre_apart_are_both_kept():
    (stack,) = group_into_stacks([blank("coronal", offset) for offset in (0.0, 0.002)])
    assert len(stack.slices) == 2


def test_the_thickness_is_the_smallest_gap_where_none_is_stated():
    """Slices that touch are as thick as they are apart; where one is missing, the gap there is larger."""
    slices = tuple(blank("axial", offset, thickness_mm=None) for offset in (-20.0, -8.0, 0.0, 24.0))
    assert ScoutStack("axial", slices).thickness_mm == pytest.approx(8)


def test_the_thickness_is_the_middle_one_of_those_stated():
    stated = (None, 4.0, 6.0, 9.0)
    slices = tuple(blank("axial", 20.0 * i, thickness_mm=mm) for i, mm in enumerate(stated))
    assert ScoutStack("axial", slices).thickness_mm == 6


def test_a_single_slice_of_unknown_thickness_counts_as_five_millimetres():
    assert ScoutStack("axial", (blank("axial", thickness_mm=None),)).thickness_mm == 5


@pytest.mark.parametrize("axis", [0, 1])
def test_an_image_shows_its_pixels_to_their_outer_edges(axis):
    """A pixel index is the pixel's centre, so the image reaches half a pixel beyond the first and the last."""
    scout_slice = replace(blank("sagittal"), spacing_mm=(2.0, 3.0))
    last = scout_slice.pixels.shape[axis] - 1
    for index, shown in [(-0.51, False), (-0.49, True), (0, True), (last + 0.49, True), (last + 0.51, False)]:
        place = np.array([2.0, 2.0])
        place[axis] = index
        # Any distance from the slice: the projection counts.
        point = scout_slice.to_world(place) + 7 * scout_slice.normal
        assert scout_slice.shows(point) == shown
    assert not scout_slice.shows(np.full(3, np.nan))
    assert scout_slice.shows(np.array([scout_slice.center_mm, np.full(3, 1e4)])).tolist() == [True, False]


def test_the_extent_counts_whole_pixels_and_the_centre_lies_in_the_middle():
    scout_slice = replace(blank("coronal"), spacing_mm=(2.0, 3.0))
    assert scout_slice.extent_mm == (12.0, 24.0)
    corners = scout_slice.to_world(np.array([[-0.5, -0.5], [5.5, 7.5]]))
    assert scout_slice.center_mm == pytest.approx(corners.mean(axis=0))
    sides = corners[1] - corners[0]
    assert (sides @ scout_slice.row_axis, sides @ scout_slice.column_axis) == pytest.approx((12, 24))


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("flip", [False, True])
def test_the_normal_points_to_the_positive_side_however_the_image_is_stored(plane, flip):
    scout_slice = blank(plane)
    if flip:
        scout_slice = replace(scout_slice, column_axis=scout_slice.row_axis, row_axis=scout_slice.column_axis)
    assert scout_slice.normal == pytest.approx(np.eye(3)[PLANES.index(plane)])
    assert plane_of(scout_slice.normal) == plane


def test_the_normal_of_an_oblique_slice_points_to_the_side_it_is_nearest_to():
    turn = Rotation.from_euler("x", -40, degrees=True).as_matrix()
    axial = blank("axial")
    oblique = replace(axial, column_axis=turn @ axial.column_axis, row_axis=turn @ axial.row_axis)
    assert np.linalg.norm(oblique.normal) == pytest.approx(1)
    assert oblique.normal == pytest.approx([0, np.sin(np.deg2rad(40)), np.cos(np.deg2rad(40))])


EVEN = [blank("axial", offset) for offset in (0.0, 10.0, 20.0)]


@pytest.mark.parametrize(
    ("changes", "even"),
    [
        ({}, True),
        ({"origin_mm": EVEN[1].origin_mm + [0, 0, 0.0009]}, True),
        ({"origin_mm": EVEN[1].origin_mm + [0, 0, 0.0011]}, False),
        ({"origin_mm": EVEN[1].origin_mm + [0.0011, 0, 0]}, False),
        ({"spacing_mm": (1.0, 1.5)}, False),
        ({"pixels": np.zeros((6, 7), np.float32)}, False),
        ({"column_axis": EVEN[1].column_axis + [0, 2e-6, 0]}, False),
        ({"row_axis": EVEN[1].row_axis + [2e-6, 0, 0]}, False),
        ({"row_axis": EVEN[1].row_axis + [5e-7, 0, 0]}, True),
    ],
)
def test_one_image_holds_a_stack_of_one_even_grid(changes, even):
    middle = replace(EVEN[1], **changes)
    assert is_even(ScoutStack("axial", (EVEN[0], middle, EVEN[2]))) == even


def test_slices_that_shift_sideways_make_no_image():
    sheared = [replace(s, origin_mm=s.origin_mm + [i, 0, 0]) for i, s in enumerate(EVEN)]
    assert not is_even(ScoutStack("axial", tuple(sheared)))


def test_two_planes_in_one_frame_of_reference_are_usable():
    def stack(plane: str, frame: str | None) -> ScoutStack:
        return ScoutStack(plane, (blank(plane),), frame, "series 7")

    require_usable([stack("axial", "1.2"), stack("coronal", None)])
    with pytest.raises(InputError, match="frames of reference") as apart:
        require_usable([stack("axial", "1.2"), stack("coronal", "1.3")])
    with pytest.raises(InputError, match="axial") as alone:
        require_usable([stack("axial", "1.2"), stack("axial", "1.2")])
    assert apart.value.source == alone.value.source == "series 7"
    with pytest.raises(InputError, match="no slices"):
        require_usable([])
