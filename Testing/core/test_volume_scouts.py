"""Scouts of a 3D volume cross in the middle of the head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.volume import (
    ScoutGeometry,
    Volume,
    cut_if_volume,
    cut_three_planes,
    cut_volume,
    is_volume,
    scout_center_mm,
    stack_from_volume,
)

HEAD_CENTER = np.array([10.0, -5.0, 40.0])


def head_and_neck(neck_mm: float) -> Volume:
    """An ellipsoid head (150 x 190 x 220 mm) on a bright neck of the given length, 4 mm voxels, RAS."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-120.0, -140.0, -300.0]
    x, y, z = np.moveaxis(np.moveaxis(np.indices((64, 64, 120)), 0, -1) * 4.0 + affine[:3, 3] - HEAD_CENTER, -1, 0)
    head = (x / 75) ** 2 + (y / 95) ** 2 + (z / 110) ** 2 < 1
    neck = (x**2 + (y + 20) ** 2 < 60**2) & (z < -50) & (z > -110 - neck_mm)
    noise = np.random.default_rng(0).rayleigh(8, head.shape)
    return Volume((300.0 * head + 600.0 * (neck & ~head) + noise).astype(np.float32), affine)


@pytest.mark.parametrize("neck_mm", [60, 150])
def test_a_long_neck_does_not_pull_the_scouts_down(neck_mm: float) -> None:
    without = scout_center_mm(head_and_neck(0))
    np.testing.assert_allclose(without, HEAD_CENTER, atol=30)
    np.testing.assert_allclose(scout_center_mm(head_and_neck(neck_mm)), without, atol=4)


def test_a_tilted_volume_gives_the_same_center() -> None:
    volume = head_and_neck(60)
    flipped = replace(volume, array=volume.array[::-1, :, ::-1].copy(), affine=volume.affine @ _flips(volume))
    np.testing.assert_allclose(scout_center_mm(flipped), scout_center_mm(volume), atol=1e-6)


def _flips(volume: Volume) -> np.ndarray:
    flips = np.diag([-1.0, 1.0, -1.0, 1.0])
    flips[:3, 3] = [volume.array.shape[0] - 1, 0, volume.array.shape[2] - 1]
    return flips


def test_an_empty_volume_is_cut_through_its_middle() -> None:
    volume = Volume(np.zeros((40, 40, 40), np.float32), np.eye(4))
    np.testing.assert_allclose(scout_center_mm(volume), [19.5, 19.5, 19.5])


def test_scouts_of_a_volume_cover_the_middle_of_the_head() -> None:
    stacks = cut_volume(head_and_neck(100))
    assert [stack.plane for stack in stacks] == ["sagittal", "coronal", "axial"]
    for stack in stacks:
        assert np.ptp(stack.positions_mm) >= 80
        assert stack.slices[len(stack.slices) // 2].pixels.max() > 250


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((256, 256, 176), (1.0, 1.0, 1.0), True),
        ((160, 160, 128), (1.6, 1.6, 1.6), True),
        ((256, 256, 60), (1.0, 1.0, 2.0), False),
        ((256, 256, 30), (1.0, 1.0, 1.0), False),
    ],
)
def test_what_counts_as_a_volume(shape: tuple, spacing: tuple, expected: bool) -> None:
    assert is_volume(shape, spacing) is expected


def test_a_dense_even_stack_is_cut_and_keeps_its_frame_of_reference() -> None:
    dense = _dense_stack()
    stacks = cut_if_volume(dense)
    assert [stack.plane for stack in stacks] == ["sagittal", "coronal", "axial"]
    assert {stack.frame_of_reference for stack in stacks} == {"1.2.3"}


def test_an_uneven_stack_stays_as_it_is() -> None:
    dense = _dense_stack()
    gap = replace(dense, slices=dense.slices[:20] + dense.slices[22:])
    assert cut_if_volume(gap) == [gap]


def _dense_stack():
    geometry = ScoutGeometry(slices=40, slice_spacing_mm=4.0, thickness_mm=4.0, pixel_mm=4.0, matrix=48)
    return replace(cut_three_planes(head_and_neck(0), geometry, HEAD_CENTER)[1], frame_of_reference="1.2.3")


@pytest.mark.parametrize(
    ("direction", "length", "said"),
    [(0, 1e30, "the pixel spacing is invalid"), (1, 0.0, "the pixel spacing is invalid"), (2, 900.0, "farther than")],
)
def test_directions_that_no_image_has_are_refused(direction: int, length: float, said: str) -> None:
    """A damaged header's axis made slices of 1e31 mm, which no memory holds once they are resampled."""
    affine = np.diag([10.0, 10.0, 15.0, 1.0])
    affine[direction, direction] = length
    with pytest.raises(InputError, match=said):
        stack_from_volume(Volume(np.zeros((16, 16, 20), np.float32), affine, "damaged"), "damaged.mha")
