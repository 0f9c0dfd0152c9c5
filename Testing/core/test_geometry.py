"""Points, directions and boxes in space, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.geometry.coordinates import (
    NEGATIVE_SIDES,
    PLANE_NORMAL_AXIS,
    PLANES,
    POSITIVE_SIDES,
    rotation_angles_deg,
    swap_ras_lps,
    unit,
)
from AutoVolumeCalibrationLib.core.geometry.cross_sections import box_section_mm, chord, grown
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox, face_center_mm, outward_axis

TURN = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
BOX = OrientedBox("box", np.array([3.0, -4.0, 5.0]), TURN, np.array([10.0, 20.0, 30.0]))


def in_box(right: float, anterior: float, superior: float) -> np.ndarray:
    """The world point with these coordinates along the box's axes from its middle."""
    return BOX.center_mm + right * TURN[0] + anterior * TURN[1] + superior * TURN[2]


def test_left_and_posterior_change_sign_between_the_conventions():
    points = np.array([[[1.0, 2.0, 3.0], [-4.0, 5.0, -6.0]]])
    assert swap_ras_lps(points).tolist() == [[[-1, -2, 3], [4, -5, -6]]]
    assert swap_ras_lps(swap_ras_lps(points)) == pytest.approx(points)


def test_sides_and_planes_are_in_the_order_of_the_axes():
    assert POSITIVE_SIDES == ("right", "anterior", "superior")
    assert NEGATIVE_SIDES == ("left", "posterior", "inferior")
    assert PLANES == ("sagittal", "coronal", "axial")
    assert [PLANE_NORMAL_AXIS[plane] for plane in PLANES] == [0, 1, 2]


def test_each_vector_is_scaled_to_length_one_by_itself():
    assert unit(np.array([[3.0, 0, 4.0], [0, 2.0, 0]])) == pytest.approx(np.array([[0.6, 0, 0.8], [0, 1, 0]]))
    assert unit(np.array([0.0, -5.0, 0.0])) == pytest.approx([0, -1, 0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_angle_is_counted_right_handed_about_the_frames_own_axis(axis):
    vector = np.zeros(3)
    vector[axis] = np.deg2rad(25)
    # In the frame's own axes the head is turned by the vector: its rows are the turned axes.
    turned = Rotation.from_rotvec(vector).as_matrix().T @ TURN
    assert rotation_angles_deg(TURN, turned) == pytest.approx(np.rad2deg(vector))
    assert rotation_angles_deg(turned, TURN) == pytest.approx(-np.rad2deg(vector))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_contains_what_lies_within_half_its_size_on_every_axis(axis):
    half = BOX.size_mm[axis] / 2
    for sign in (-1, 1):
        place = np.zeros(3)
        place[axis] = sign * (half - 0.01)
        outside = place.copy()
        outside[axis] = sign * (half + 0.01)
        assert BOX.contains(np.array([in_box(*place), in_box(*outside)])).tolist() == [True, False]


def test_what_lies_on_a_face_belongs_to_the_box():
    straight = OrientedBox("box", np.zeros(3), np.eye(3), np.array([10.0, 20.0, 30.0]))
    assert straight.contains(np.array([[5.0, 10.0, 15.0], [-5.0, -10.0, -15.0], [5.0, 10.0, 15.001]])).tolist() == [
        True,
        True,
        False,
    ]


def test_the_bits_of_a_corners_number_say_on_which_side_it_lies():
    corners = BOX.corners_mm()
    assert corners.shape == (8, 3)
    for number, corner in enumerate(corners):
        signs = [1 if number & bit else -1 for bit in (1, 2, 4)]
        assert corner == pytest.approx(in_box(5 * signs[0], 10 * signs[1], 15 * signs[2]))


@pytest.mark.parametrize(
    ("face", "place"),
    [
        ("left", (-5, 0, 0)),
        ("right", (5, 0, 0)),
        ("posterior", (0, -10, 0)),
        ("anterior", (0, 10, 0)),
        ("inferior", (0, 0, -15)),
        ("superior", (0, 0, 15)),
    ],
)
def test_a_face_lies_half_the_size_from_the_middle(face, place):
    assert face_center_mm(BOX, face) == pytest.approx(in_box(*place))
    assert outward_axis(TURN, face) == pytest.approx(unit(in_box(*place) - BOX.center_mm))


def test_a_section_through_the_middle_of_a_cube_across_its_diagonal_is_a_hexagon():
    cube = OrientedBox("cube", np.zeros(3), np.eye(3), np.full(3, 2.0))
    polygon = box_section_mm(cube, np.zeros(3), unit(np.ones(3)))
    assert len(polygon) == 6
    # The middles of six edges, each sqrt(2) from the middle and as far from its neighbours.
    assert np.linalg.norm(polygon, axis=1) == pytest.approx(np.full(6, np.sqrt(2)))
    assert np.linalg.norm(polygon - np.roll(polygon, 1, axis=0), axis=1) == pytest.approx(np.full(6, np.sqrt(2)))


def test_a_section_near_a_corner_is_a_triangle_and_beyond_it_nothing():
    cube = OrientedBox("cube", np.zeros(3), np.eye(3), np.full(3, 2.0))
    normal = unit(np.ones(3))
    corner = np.sqrt(3)
    # At distance d from the corner the plane cuts its three edges sqrt(3) d from it.
    polygon = box_section_mm(cube, (corner - 0.1) * normal, normal)
    assert sorted(map(tuple, polygon.round(6))) == sorted(
        tuple(np.round([1 - np.sqrt(3) * 0.1 if i == axis else 1 for i in range(3)], 6)) for axis in range(3)
    )
    assert box_section_mm(cube, (corner + 0.1) * normal, normal).shape == (0, 3)


@pytest.mark.parametrize(("height", "corners"), [(-1.0, 4), (0.0, 4), (1.0, 4), (1.001, 0), (-1.001, 0)])
def test_a_plane_along_a_face_cuts_up_to_the_face(height, corners):
    """A plane in the lower face touches the corners from above; the one in the upper face, from below."""
    cube = OrientedBox("cube", np.zeros(3), np.eye(3), np.full(3, 2.0))
    polygon = box_section_mm(cube, np.array([0.0, 0.0, height]), np.array([0.0, 0.0, 1.0]))
    assert len(polygon) in ({corners, 0} if height == -1.0 else {corners})


def test_a_box_grows_by_the_deviations_of_its_faces_and_keeps_the_others():
    sd = {"left": 1.0, "superior": 2.0}
    box = OrientedBox("box", BOX.center_mm, TURN, BOX.size_mm, sd)
    larger = grown(box, 3.0)
    for face in FACES:
        moved = (face_center_mm(larger, face) - face_center_mm(box, face)) @ outward_axis(TURN, face)
        assert moved == pytest.approx(3 * sd.get(face, 0.0))
    assert larger.face_sd_mm == sd and larger.name == "box"


def test_a_box_never_shrinks_below_nothing():
    box = OrientedBox("box", BOX.center_mm, TURN, BOX.size_mm, dict.fromkeys(FACES, 6.0))
    assert grown(box, -1.0).size_mm == pytest.approx([0, 8, 18])


SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("direction", "offset", "ends"),
    [
        ((1.0, 0.0), 3.0, [(3, 0), (3, 2)]),
        ((0.0, 1.0), 0.5, [(0, 0.5), (4, 0.5)]),
        ((0.6, 0.8), 2.0, [(2 / 3, 2), (10 / 3, 0)]),
        ((1.0, 0.0), 4.5, None),
        ((1.0, 0.0), -0.5, None),
    ],
)
def test_a_line_cuts_a_polygon_in_a_chord(direction, offset, ends):
    found = chord(SQUARE, np.array(direction), offset)
    if ends is None:
        assert found is None
    else:
        assert np.array(sorted(map(tuple, found))) == pytest.approx(np.array(sorted(ends), float))
