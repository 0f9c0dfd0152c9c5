"""Rotations by numpy are scipy's."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.geometry.rotations import (
    best_rotation,
    rotation_about,
    rotation_of_tilts,
    rotation_vector,
    tilts_of_rotation,
)

RNG = np.random.default_rng(0)
AXES = np.vstack([np.eye(3), -np.eye(3), RNG.normal(size=(20, 3))])
ANGLES = (0.0, 1e-12, 1e-6, 1e-3, 0.5, 1.5, np.pi / 2, 3.0, np.pi - 1e-4, np.pi - 1e-8)


@pytest.mark.parametrize("angle", ANGLES)
def test_a_rotation_and_its_vector_are_inverse(angle):
    for axis in AXES:
        vector = angle * axis / np.linalg.norm(axis)
        rotation = rotation_about(vector)
        assert rotation == pytest.approx(Rotation.from_rotvec(vector).as_matrix(), abs=1e-12)
        assert rotation_vector(rotation) == pytest.approx(vector, abs=1e-7 if angle > 3.1 else 1e-11)


def test_the_vector_of_a_half_turn_is_one_of_the_two():
    for axis in AXES:
        axis = axis / np.linalg.norm(axis)
        found = rotation_vector(2 * np.outer(axis, axis) - np.eye(3))
        assert np.linalg.norm(found) == pytest.approx(np.pi)
        assert abs(found @ axis) == pytest.approx(np.pi)


def test_tilts_follow_one_another_about_the_turned_axes():
    for tilts in RNG.uniform([-3, -1.5, -3], [3, 1.5, 3], (50, 3)):
        rotation = rotation_of_tilts(tilts)
        assert rotation == pytest.approx(Rotation.from_euler("XYZ", tilts).as_matrix(), abs=1e-12)
        assert tilts_of_rotation(rotation) == pytest.approx(tilts, abs=1e-9)


@pytest.mark.parametrize("second", [-np.pi / 2, np.pi / 2])
def test_where_first_and_third_tilt_act_alike_the_third_is_zero(second):
    rotation = rotation_of_tilts([0.3, second, 0.4])
    tilts = tilts_of_rotation(np.where(np.abs(rotation) < 1e-12, 0.0, rotation))
    assert tilts[2] == 0
    assert rotation_of_tilts(tilts) == pytest.approx(rotation, abs=1e-9)


def test_the_best_rotation_is_that_of_weighted_squares_and_never_a_mirror_image():
    for _ in range(20):
        points, weights = RNG.normal(size=(9, 3)), RNG.uniform(0.1, 2, 9)
        turned = points @ Rotation.random(random_state=1).as_matrix().T + RNG.normal(0, 0.5, (9, 3))
        expected = Rotation.align_vectors(turned, points, weights=weights)[0].as_matrix()
        assert best_rotation(points, turned, weights) == pytest.approx(expected, abs=1e-9)
        assert np.linalg.det(best_rotation(points, points * [1, 1, -1], weights)) == pytest.approx(1)
