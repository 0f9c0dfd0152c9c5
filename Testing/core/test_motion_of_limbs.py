"""Motion of a limb, whose slices along it and across it have quite different surroundings; one slice per plane."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about
from AutoVolumeCalibrationLib.core.motion.crossings import Crossings
from AutoVolumeCalibrationLib.core.motion.motion import FOUND
from AutoVolumeCalibrationLib.core.motion.search import find_motion
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes

ONE = ScoutGeometry(slices=1, slice_spacing_mm=0.0, thickness_mm=6.0, pixel_mm=2.0, matrix=112)
FIVE = replace(ONE, slices=5, slice_spacing_mm=12.0)


@pytest.fixture(scope="module")
def limb() -> np.ndarray:
    """Two bones that flare towards a joint, muscle, a layer of fat; 3 mm voxels, the joint in the middle."""
    from scipy.ndimage import gaussian_filter

    axis = np.arange(-105.0, 106.0, 3.0)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    skin = (x / 48) ** 2 + (y / 55) ** 2 < 1
    image = np.where(skin, 60.0, 0.0)
    radius = 14 + 18 * np.exp(-((np.abs(z) - 8) ** 2) / 500)
    image[(x**2 + (y + 5) ** 2 < radius**2) & (np.abs(z) > 3)] = 120.0
    image[skin & ((x / 40) ** 2 + (y / 47) ** 2 > 1)] = 150.0
    tissue = gaussian_filter(np.random.default_rng(0).standard_normal(x.shape), 2.0)
    return gaussian_filter(image * (1 + 0.05 * skin * tissue / tissue.std()), 0.5).astype(np.float32)


def scouts(limb, seed, geometry=ONE, moved=None, shift_mm=(0.0, 0.0, 0.0), shading=0.3, contrast=0.25, noise=0.05):
    """Stacks of a limb in a random pose, each with its own coil shading, contrast and noise."""
    rng = np.random.default_rng(seed)
    affine, pose = np.diag([3.0, 3.0, 3.0, 1.0]), np.eye(4)
    affine[:3, 3] = -105.0
    pose[:3, :3], pose[:3, 3] = rotation_about(np.deg2rad(rng.normal(0, 12, 3))), rng.normal(0, 8, 3)
    stacks = []
    for number, plane in enumerate(PLANES):
        motion = np.eye(4)
        motion[:3, 3] = shift_mm if number == moved else 0.0
        volume = Volume(limb, motion @ pose @ affine, "limb")
        (stack,) = cut_three_planes(volume, geometry, np.zeros(3), planes=[plane])
        gain, power, sd = rng.normal(0, shading, 5), np.exp(rng.normal(0, contrast)), rng.uniform(0, noise)
        slices = (replace(one, pixels=_as_scanned(one.pixels, gain, power, sd, rng)) for one in stack.slices)
        stacks.append(replace(stack, slices=tuple(slices)))
    return stacks


def _as_scanned(pixels, gain, power, sd, rng):
    u, v = np.meshgrid(*(np.linspace(-1, 1, count) for count in pixels.shape), indexing="ij")
    shaded = pixels / pixels.max() * np.exp(np.tensordot(gain, np.stack([u, v, u * v, u * u, v * v]), 1))
    real, imaginary = rng.normal(0, sd * shaded.max(), (2, *pixels.shape))
    return (np.hypot(shaded + real, imaginary) ** power).astype(np.float32)


@pytest.mark.parametrize("as_scanned", [{"shading": 0.0, "contrast": 0.0, "noise": 0.02}, {}])
def test_a_limb_at_rest_is_not_called_moving(limb, as_scanned):
    """With surroundings in the plane of the slices, 13 (without effects) and 11 of these 30 were called moving."""
    called = [seed for seed in range(30) if find_motion(scouts(limb, seed, **as_scanned)).state == FOUND]
    assert len(called) <= 1, called


def test_slices_along_and_across_a_limb_show_the_same_where_they_cross(limb):
    stacks = scouts(limb, 1, shading=0.0, contrast=0.0, noise=0.0)
    for profiles in Crossings(stacks, range(3), 2.0).profiles(np.zeros((3, 6))):
        assert profiles.correlation.min() > 0.99


@pytest.mark.parametrize("moved", range(3))
def test_a_limb_that_moved_is_found_and_its_stack_moved_back_against_the_others(limb, moved):
    shift = np.roll([0.0, 4.0, 2.5], moved)
    motion = find_motion(scouts(limb, 3, FIVE, moved, shift))
    assert motion.state == FOUND
    offsets = {offset.stack: offset.shift_mm for offset in motion.offsets}
    rest = np.mean([offsets.get(other, np.zeros(3)) for other in range(3) if other != moved], axis=0)
    assert offsets.get(moved, np.zeros(3)) - rest == pytest.approx(-shift, abs=1.2)
