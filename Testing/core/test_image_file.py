"""Image files become scouts or volumes with every pixel at its place in the patient."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.image_file import read_image_scouts, read_volume
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from scout_files import tiny_stacks, write_image, write_nrrd


def write_array(
    path: Path,
    array_kji: np.ndarray,
    spacing: tuple = (1, 1, 1),
    origin: tuple = (0, 0, 0),
    direction: np.ndarray | None = None,
) -> Path:
    """A SimpleITK image: geometry in LPS, array order (k, j, i)."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array_kji)
    image.SetSpacing([float(s) for s in spacing])
    image.SetOrigin([float(o) for o in origin])
    image.SetDirection((np.eye(3) if direction is None else direction).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def bright_point_ras(stack: ScoutStack) -> np.ndarray:
    brightest = max(stack.slices, key=lambda s: s.pixels.max())
    row_column = np.array(np.unravel_index(brightest.pixels.argmax(), brightest.pixels.shape))
    return brightest.to_world(row_column)


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_stack_survives_every_format(tmp_path: Path, suffix: str, plane: int) -> None:
    original = tiny_stacks()[plane]
    (stack,) = read_image_scouts(write_image(original, tmp_path / f"scout{suffix}"))
    assert (stack.plane, len(stack.slices)) == (original.plane, 3)
    for a, b in zip(original.slices, stack.slices, strict=True):
        np.testing.assert_array_equal(b.pixels, a.pixels.round())
        np.testing.assert_allclose(b.to_world(np.array([3, 11])), a.to_world(np.array([3, 11])), atol=1e-4)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_slice_axis_is_found_wherever_it_is_stored(tmp_path: Path, slice_axis: int) -> None:
    shape = [12, 14, 16]
    shape[slice_axis] = 4
    spacing = [2.0, 2.5, 3.0]
    spacing[slice_axis] = 9.0
    array_ijk = np.random.default_rng(0).uniform(0, 0.5, shape).astype(np.float32)
    index = np.array([3, 2, 1])
    array_ijk[tuple(index)] = 1.0
    turned = Rotation.from_euler("xyz", [20, -10, 5], degrees=True).as_matrix()
    path = write_array(tmp_path / "a.nrrd", array_ijk.T.copy(), spacing, (5, -6, 7), turned)
    (stack,) = read_image_scouts(path)
    assert len(stack.slices) == 4
    assert stack.plane == ("sagittal", "coronal", "axial")[slice_axis]
    expected_lps = turned @ (index * spacing) + [5, -6, 7]
    np.testing.assert_allclose(bright_point_ras(stack), expected_lps * [-1, -1, 1], atol=1e-6)


def test_a_mirrored_image_keeps_its_sides(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 8, (2, 8, 10)).astype(np.int16)
    array[1, 2, 3] = 9
    path = write_array(tmp_path / "a.nii", array, (1, 1, 5), (4, 5, 6), np.diag([-1.0, 1.0, 1.0]))
    (stack,) = read_image_scouts(path)
    np.testing.assert_allclose(bright_point_ras(stack), [-(4 - 3), -(5 + 2), 6 + 5], atol=1e-5)


def test_a_single_slice_stored_in_3d_is_a_stack_of_one(tmp_path: Path) -> None:
    array = np.arange(20 * 30, dtype=np.int16).reshape(1, 20, 30)
    (stack,) = read_image_scouts(write_array(tmp_path / "a.nrrd", array, (1, 1, 1)))
    assert (stack.plane, len(stack.slices)) == ("axial", 1)
    assert stack.slices[0].pixels.shape == (20, 30)
    np.testing.assert_array_equal(stack.slices[0].pixels, array[0])
    assert stack.slices[0].thickness_mm is None


def test_slices_point_out_their_file(tmp_path: Path) -> None:
    path = write_image(tiny_stacks()[2], tmp_path / "axial.nrrd")
    (stack,) = read_image_scouts(path)
    assert stack.name == "axial.nrrd"
    assert stack.slices[1].source == f"{path} slice 2"


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
def test_both_nrrd_spaces_end_in_ras(tmp_path: Path, space: str) -> None:
    fields = (f"space: {space}", "space origin: (1,2,3)", "space directions: (2,0,0) (0,2,0) (0,0,9)")
    volume = read_volume(write_nrrd(tmp_path / "a.nrrd", fields))
    sign = -1 if space.startswith("left") else 1
    expected = np.diag([2.0 * sign, 2.0 * sign, 9.0, 1.0])
    expected[:3, 3] = [sign, 2 * sign, 3]
    np.testing.assert_allclose(volume.affine, expected)
    assert volume.array.shape == (4, 4, 2)
    assert volume.array[1, 2, 1] == 1 + 2 * 4 + 1 * 16


def test_a_gantry_tilt_is_kept(tmp_path: Path) -> None:
    fields = (
        "space: right-anterior-superior",
        "space origin: (0,0,0)",
        "space directions: (1,0,0) (0,1,0) (0,2,9)",
    )
    (stack,) = read_image_scouts(write_nrrd(tmp_path / "a.nrrd", fields))
    np.testing.assert_allclose(stack.slices[1].origin_mm, [0, 2, 9], atol=1e-9)
    np.testing.assert_allclose(stack.normal, [0, 0, 1], atol=1e-9)


def test_a_volume_is_float32_with_stray_nan_as_background(tmp_path: Path) -> None:
    array = np.full((3, 4, 5), 2.0, np.float64)
    array[0, 0, 0], array[1, 1, 1] = np.nan, 7.0
    volume = read_volume(write_array(tmp_path / "a.nrrd", array))
    assert volume.array.dtype == np.float32
    assert np.isfinite(volume.array).all()
    assert (volume.array[0, 0, 0], volume.array[1, 1, 1]) == (2.0, 7.0)


def test_a_volume_is_cut_into_three_planes_through_its_content(tmp_path: Path) -> None:
    center = np.array([30.0, 22.0, 20.0])
    distance = np.linalg.norm(np.indices((48, 48, 48)) - center[:, None, None, None], axis=0)
    ball = 500.0 * (distance < 14) + np.random.default_rng(0).uniform(0, 9, distance.shape)
    path = write_array(tmp_path / "a.nii.gz", ball.astype(np.float32).T.copy(), (4, 4, 4))
    stacks = read_image_scouts(path)
    assert [stack.plane for stack in stacks] == ["sagittal", "coronal", "axial"]
    center_ras = center * 4 * [-1, -1, 1]
    for stack in stacks:
        middle = stack.slices[len(stack.slices) // 2]
        assert abs(middle.origin_mm @ middle.normal - center_ras @ middle.normal) < 4
        assert np.linalg.norm(middle.center_mm - center_ras) < 4


@pytest.mark.parametrize(
    ("shape_kji", "spacing"), [((30, 64, 64), (1, 1, 1)), ((60, 64, 64), (1, 1, 2.5))], ids=["few", "thick"]
)
def test_few_or_thick_slices_are_no_volume(tmp_path: Path, shape_kji: tuple, spacing: tuple) -> None:
    (stack,) = read_image_scouts(write_array(tmp_path / "a.nrrd", np.zeros(shape_kji, np.uint8), spacing))
    assert (stack.plane, len(stack.slices)) == ("axial", shape_kji[0])


def test_the_terminal_gets_its_standard_error_back(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    read_volume(write_image(tiny_stacks()[0], tmp_path / "a.nrrd"))
    (tmp_path / "bad.nrrd").write_text("no image")
    with pytest.raises(InputError):
        read_volume(tmp_path / "bad.nrrd")
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_a_flat_image_is_told_why_it_cannot_be_used(tmp_path: Path) -> None:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 8), np.uint8)), str(tmp_path / "a.png"))
    with pytest.raises(InputError, match="a.png: this image has no position in space. Give the scouts as DICOM"):
        read_volume(tmp_path / "a.png")
