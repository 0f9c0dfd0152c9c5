"""Boxes cut by planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.geometry.cross_sections import box_section_mm, chord, grown
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox


def a_box(rotation_vector=(0.0, 0.0, 0.0), size=(100.0, 120.0, 80.0), center=(3.0, -4.0, 5.0), sd=None):
    axes = Rotation.from_rotvec(rotation_vector).as_matrix().T
    return OrientedBox("box", np.array(center), axes, np.array(size), sd or {})


def area(polygon: np.ndarray) -> float:
    offsets = polygon - polygon.mean(axis=0)
    return float(np.linalg.norm(np.cross(offsets, np.roll(offsets, -1, axis=0)).sum(axis=0)) / 2)


angles = st.floats(-3.0, 3.0)
vectors = st.tuples(angles, angles, angles)


@given(vectors, vectors, st.floats(-90.0, 90.0))
def test_a_section_lies_on_the_plane_and_on_the_faces(rotation, direction, offset):
    assume(np.linalg.norm(direction) > 0.1)
    box, normal = a_box(rotation), np.array(direction) / np.linalg.norm(direction)
    polygon = box_section_mm(box, box.center_mm + offset * normal, normal)
    local = (polygon - box.center_mm) @ box.axes.T
    assert np.abs((polygon - box.center_mm) @ normal - offset).max(initial=0.0) < 1e-6
    assert (np.abs(local) <= box.size_mm / 2 + 1e-6).all()
    assert (np.abs(np.abs(local) - box.size_mm / 2).min(axis=1) < 1e-6).all()


@given(vectors, vectors)
def test_a_section_is_convex_and_contains_what_both_contain(rotation, direction):
    assume(np.linalg.norm(direction) > 0.1)
    box, normal = a_box(rotation), np.array(direction) / np.linalg.norm(direction)
    polygon = box_section_mm(box, box.center_mm, normal)
    assert 3 <= len(polygon) <= 6
    edges = np.roll(polygon, -1, axis=0) - polygon
    turns = np.cross(edges, np.roll(edges, -1, axis=0)) @ normal
    assert (turns > -1e-6).all() or (turns < 1e-6).all()
    # The middle of the box is on the plane, so it is inside.
    toward_middle = np.cross(edges, box.center_mm - polygon) @ normal
    assert (toward_middle > -1e-6).all() or (toward_middle < 1e-6).all()


@pytest.mark.parametrize(("axis", "expected"), [(0, 120 * 80), (1, 100 * 80), (2, 100 * 120)])
def test_a_section_along_the_faces_has_their_area(axis, expected):
    box = a_box(rotation_vector=(0.3, -0.2, 0.4))
    normal = box.axes[axis]
    polygon = box_section_mm(box, box.center_mm + 7 * normal, normal)
    assert len(polygon) == 4
    assert area(polygon) == pytest.approx(expected)


def test_a_section_across_the_diagonal_of_a_cube_is_a_hexagon():
    box = a_box(size=(2.0, 2.0, 2.0), center=(0.0, 0.0, 0.0))
    polygon = box_section_mm(box, np.zeros(3), np.ones(3) / np.sqrt(3))
    assert len(polygon) == 6
    assert area(polygon) == pytest.approx(3 * np.sqrt(3))


def test_a_plane_through_opposite_edges_gives_four_corners():
    box = a_box(size=(2.0, 2.0, 2.0), center=(0.0, 0.0, 0.0))
    polygon = box_section_mm(box, np.zeros(3), np.array([1.0, 1.0, 0.0]) / np.sqrt(2))
    assert len(polygon) == 4
    assert area(polygon) == pytest.approx(4 * np.sqrt(2))


def test_a_plane_beside_the_box_gives_nothing():
    box = a_box()
    assert box_section_mm(box, np.array([0.0, 0.0, 46.0]), np.array([0.0, 0.0, 1.0])).shape == (0, 3)


def test_growing_moves_each_face_by_its_own_deviation():
    box = a_box(rotation_vector=(0.1, 0.2, -0.3), sd={"left": 1.0, "right": 2.0, "superior": 3.0})
    larger = grown(box, 2.0)
    low, high = -box.size_mm / 2, box.size_mm / 2
    shift = (larger.center_mm - box.center_mm) @ box.axes.T
    np.testing.assert_allclose(shift - larger.size_mm / 2, low - [2.0, 0.0, 0.0])
    np.testing.assert_allclose(shift + larger.size_mm / 2, high + [4.0, 0.0, 6.0])


def test_shrinking_below_nothing_stops_at_nothing():
    assert grown(a_box(size=(1.0, 50.0, 50.0), sd={"left": 5.0}), -2.0).size_mm[0] == 0.0


def test_a_chord_ends_on_the_outline():
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]])
    line = chord(square, np.array([1.0, 0.0]), 3.0)
    np.testing.assert_allclose(sorted(map(tuple, line)), [(3.0, 0.0), (3.0, 2.0)])
    assert chord(square, np.array([1.0, 0.0]), 5.0) is None
