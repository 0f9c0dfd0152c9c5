"""The outline of the anatomy in the scouts: what would fold into the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.outline import visible_outline
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes

RIGHT, ANTERIOR, SUPERIOR = 0, 1, 2

#: Half axes of the head, mm, and of its brain: the skin lies 12 mm outside.
HEAD_MM = np.array([80.0, 100.0, 90.0])


def scouts(fov_mm: float = 280.0, noise: float = 0.0, ghost: float = 0.0, shift_mm=(0.0, 0.0, 0.0), planes=None):
    """Three planes through an ellipsoid head, 5 slices each, 2 mm pixels."""
    steps = np.arange(-75, 76) * 2.0
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1) - np.array(shift_mm)
    pixels = 200.0 * ((grid / HEAD_MM) ** 2).sum(axis=-1).__lt__(1)
    if ghost:
        moved = ((grid - [0, 0, 0]) / HEAD_MM / 1.3) ** 2
        pixels = np.maximum(pixels, ghost * (moved.sum(axis=-1) < 1))
    rng = np.random.default_rng(0)
    if noise:
        pixels = np.hypot(pixels + rng.normal(0, noise, pixels.shape), rng.normal(0, noise, pixels.shape))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -150.0
    geometry = ScoutGeometry(slices=5, slice_spacing_mm=12.0, thickness_mm=5.0, pixel_mm=2.0, matrix=round(fov_mm / 2))
    volume = Volume(pixels.astype(np.float32), affine, "head")
    return cut_three_planes(volume, geometry, np.zeros(3), np.eye(3), planes or ("sagittal", "coronal", "axial"))


def box(size_mm=(150.0, 190.0, 160.0), axes=None) -> OrientedBox:
    return OrientedBox("box", np.zeros(3), np.eye(3) if axes is None else axes, np.array(size_mm))


@pytest.mark.parametrize("noise", [0.0, 4.0, 10.0])
@pytest.mark.parametrize(("axis", "read"), [(RIGHT, ANTERIOR), (ANTERIOR, RIGHT), (RIGHT, SUPERIOR)])
def test_the_outline_is_that_of_the_skin(axis, read, noise):
    outline = visible_outline(scouts(noise=noise), box(), axis, read)
    assert outline.high_mm == pytest.approx(HEAD_MM[axis], abs=3)
    assert outline.low_mm == pytest.approx(-HEAD_MM[axis], abs=3)
    assert not outline.cut_off


def test_ghosts_and_a_bright_floor_do_not_widen_it():
    outline = visible_outline(scouts(noise=3.0, ghost=20.0), box(), RIGHT, ANTERIOR)
    assert outline.high_mm == pytest.approx(HEAD_MM[RIGHT], abs=3)


def test_a_head_off_the_middle_of_the_box_reaches_further_on_one_side():
    outline = visible_outline(scouts(shift_mm=(10.0, 0.0, 0.0)), box(), RIGHT, ANTERIOR)
    assert outline.high_mm == pytest.approx(HEAD_MM[RIGHT] + 10, abs=3)
    assert outline.low_mm == pytest.approx(-HEAD_MM[RIGHT] + 10, abs=3)


def test_a_turned_box_sees_the_head_along_its_own_axis():
    axes = Rotation.from_euler("z", 30, degrees=True).as_matrix().T
    outline = visible_outline(scouts(), box(axes=axes), RIGHT, ANTERIOR)
    expected = np.sqrt((axes[0] ** 2 * HEAD_MM**2).sum())
    assert outline.high_mm == pytest.approx(expected, abs=3)


def test_skin_cut_off_by_the_scouts_is_said():
    outline = visible_outline(scouts(fov_mm=150.0), box(), RIGHT, ANTERIOR)
    assert outline.cut_off
    assert outline.high_mm == pytest.approx(75, abs=3)


def test_anatomy_outside_the_slab_does_not_count():
    thin = visible_outline(
        scouts(),
        replace(box(), size_mm=np.array([150.0, 190.0, 8.0]), center_mm=np.array([0, 0, 80.0])),
        RIGHT,
        ANTERIOR,
    )
    whole = visible_outline(scouts(), box(), RIGHT, ANTERIOR)
    assert thin.high_mm < whole.high_mm - 15


def test_scouts_that_do_not_show_the_direction_give_no_outline():
    assert visible_outline(scouts(planes=("sagittal",)), box(), RIGHT, ANTERIOR) is None
    empty = [replace(s, slices=tuple(replace(i, pixels=np.zeros_like(i.pixels)) for i in s.slices)) for s in scouts()]
    assert visible_outline(empty, box(), RIGHT, ANTERIOR) is None
