"""DICOM frames keep their pixels and their place, whatever way they were stored."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from random import Random
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.geometry.coordinates import unit
from AutoVolumeCalibrationLib.core.scouts.dicom import (
    NotAScout,
    header,
    is_dicom,
    read_dicom_frames,
    reading,
    stacks_from_frames,
)
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes
from dicom_localizers import Edit, write_localizer
from scout_files import tiny_stacks


def read_stacks(folder: Path) -> list[ScoutStack]:
    frames = [frame for path in sorted(folder.iterdir()) for frame in read_dicom_frames(path)]
    return stacks_from_frames(frames, str(folder))


def assert_same(expected: list[ScoutStack], found: list[ScoutStack]) -> None:
    for a, b in zip(expected, found, strict=True):
        assert a.plane == b.plane
        for s, t in zip(a.slices, b.slices, strict=True):
            np.testing.assert_allclose(t.pixels, s.pixels, atol=0.51)
            np.testing.assert_allclose(t.origin_mm, s.origin_mm, atol=1e-6)
            np.testing.assert_allclose(t.column_axis, s.column_axis, atol=1e-6)
            np.testing.assert_allclose(t.row_axis, s.row_axis, atol=1e-6)
            np.testing.assert_allclose(t.spacing_mm, s.spacing_mm)
            assert t.thickness_mm == s.thickness_mm


def write_one(folder: Path, pixels: np.ndarray, edit: Edit | None = None, dtype: type = np.int16) -> Path:
    """One axial slice with these pixels."""
    stack = tiny_stacks(slices=1)[2]
    stack = replace(stack, slices=(replace(stack.slices[0], pixels=np.asarray(pixels, np.float32)),))
    return write_localizer([stack], folder, dtype=dtype, edit=edit)[0]


def pixels_of(path: Path) -> np.ndarray:
    return read_dicom_frames(path)[0].scout.pixels


def setting(**values: object) -> Edit:
    def edit(dataset: object, index: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


@pytest.mark.parametrize("one_series", [True, False])
@pytest.mark.parametrize("multiframe", [True, False])
def test_a_localizer_survives_the_round_trip(tmp_path: Path, multiframe: bool, one_series: bool) -> None:
    write_localizer(tiny_stacks(), tmp_path, multiframe=multiframe, one_series=one_series)
    assert_same(tiny_stacks(), read_stacks(tmp_path))


@pytest.mark.parametrize("multiframe", [True, False])
def test_an_oblique_localizer_keeps_its_pose(tmp_path: Path, multiframe: bool) -> None:
    turned = Rotation.from_euler("xyz", [12, -6, 9], degrees=True).as_matrix()
    volume = Volume(np.random.default_rng(0).uniform(0, 900, (9, 9, 9)).astype(np.float32), np.diag([20.0, 20, 20, 1]))
    stacks = cut_three_planes(volume, ScoutGeometry(3, 15, 6, 10, 16), axes=turned)
    write_localizer(stacks, tmp_path, multiframe=multiframe)
    assert_same(stacks, read_stacks(tmp_path))


@pytest.mark.parametrize("multiframe", [True, False])
def test_uneven_gaps_and_single_slices_keep_their_own_places(tmp_path: Path, multiframe: bool) -> None:
    sagittal, coronal, axial = tiny_stacks()
    moved = replace(sagittal.slices[2], origin_mm=sagittal.slices[2].origin_mm + [7.3, 0, 0])
    sagittal = replace(sagittal, slices=(*sagittal.slices[:2], moved))
    uneven = [sagittal, replace(coronal, slices=coronal.slices[:1]), axial]
    write_localizer(uneven, tmp_path, multiframe=multiframe)
    found = read_stacks(tmp_path)
    assert_same(uneven, found)
    np.testing.assert_allclose(np.diff(found[0].positions_mm), [15.0, 22.3])


def test_slices_are_sorted_along_the_normal_not_by_file_name(tmp_path: Path) -> None:
    axial = tiny_stacks(slices=5)[2]
    shuffled = replace(axial, slices=tuple(axial.slices[i] for i in (3, 0, 4, 2, 1)))
    write_localizer([shuffled], tmp_path)
    assert_same([axial], read_stacks(tmp_path))


def test_every_frame_of_a_multiframe_file_may_have_its_own_spacing_and_thickness(tmp_path: Path) -> None:
    sagittal, coronal, axial = tiny_stacks()
    coarse = replace(axial, slices=tuple(replace(s, spacing_mm=(8.0, 12.0), thickness_mm=9.0) for s in axial.slices))
    write_localizer([sagittal, coronal, coarse], tmp_path, multiframe=True)
    assert_same([sagittal, coronal, coarse], read_stacks(tmp_path))


def test_one_frame_keeps_row_and_column_apart(tmp_path: Path) -> None:
    path = write_one(tmp_path, np.arange(12).reshape(3, 4), setting(PixelSpacing=["2", "5"]))
    scout = read_dicom_frames(path)[0].scout
    assert scout.pixels.shape == (3, 4)
    assert scout.pixels[2, 1] == 9
    offset = scout.to_world(np.array([2, 1])) - scout.origin_mm
    np.testing.assert_allclose(offset, 2 * 2.0 * scout.row_axis + 1 * 5.0 * scout.column_axis)


def test_lps_becomes_ras(tmp_path: Path) -> None:
    orientation = ["1", "0", "0", "0", "1", "0"]
    path = write_one(
        tmp_path, np.eye(4), setting(ImagePositionPatient=["10", "20", "30"], ImageOrientationPatient=orientation)
    )
    scout = read_dicom_frames(path)[0].scout
    np.testing.assert_allclose(scout.origin_mm, [-10, -20, 30])
    np.testing.assert_allclose(scout.column_axis, [-1, 0, 0])
    np.testing.assert_allclose(scout.row_axis, [0, -1, 0])


def test_rounded_direction_cosines_are_made_exact(tmp_path: Path) -> None:
    rounded = ["0.999", "0.035", "0", "-0.035", "0.999", "0"]
    scout = read_dicom_frames(write_one(tmp_path, np.eye(4), setting(ImageOrientationPatient=rounded)))[0].scout
    assert abs(np.linalg.norm(scout.row_axis) - 1) < 1e-12
    assert abs(scout.row_axis @ scout.column_axis) < 1e-12
    np.testing.assert_allclose(scout.column_axis, unit(np.array([-0.999, -0.035, 0])))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_signed_and_unsigned_pixels_keep_their_values(tmp_path: Path, dtype: type) -> None:
    low, high = (-1000, 32000) if dtype is np.int16 else (0, 65000)
    path = write_one(tmp_path, [[low, high], [3, 4]], dtype=dtype)
    np.testing.assert_array_equal(pixels_of(path), [[low, high], [3, 4]])


def test_rescale_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = write_one(tmp_path, [[0, 10], [20, 40]], setting(RescaleSlope="2.5", RescaleIntercept="-5"))
    np.testing.assert_allclose(pixels_of(path), [[-5, 20], [45, 95]])


def test_the_rescale_of_each_frame_is_its_own(tmp_path: Path) -> None:
    from pydicom import Dataset

    def rescale_frames(dataset: Dataset, index: int) -> None:
        for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence, start=1):
            values = Dataset()
            values.RescaleSlope, values.RescaleIntercept, values.RescaleType = str(number), "0", "US"
            frame.PixelValueTransformationSequence = [values]

    axial = tiny_stacks()[2]
    path = write_localizer([axial], tmp_path, multiframe=True, edit=rescale_frames)[0]
    for number, (frame, original) in enumerate(zip(read_dicom_frames(path), axial.slices, strict=True), start=1):
        np.testing.assert_allclose(frame.scout.pixels, number * original.pixels.round())


def test_windowing_is_ignored(tmp_path: Path) -> None:
    path = write_one(tmp_path, [[0, 100], [200, 300]], setting(WindowCenter="100", WindowWidth="10"))
    np.testing.assert_array_equal(pixels_of(path), [[0, 100], [200, 300]])


def test_monochrome1_is_turned_so_that_air_is_dark(tmp_path: Path) -> None:
    path = write_one(tmp_path, [[900, 900], [100, 400]], setting(PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(pixels_of(path), [[0, 0], [800, 500]])


@pytest.mark.parametrize(
    ("photometric", "stored", "expected"),
    [
        ("MONOCHROME2", [[-2000, 7], [90, 30]], [[7, 7], [90, 30]]),
        ("MONOCHROME1", [[-2000, 90], [30, 7]], [[0, 0], [60, 83]]),
    ],
)
def test_padding_becomes_background(tmp_path: Path, photometric: str, stored: list, expected: list) -> None:
    def pad(dataset: object, index: int) -> None:
        dataset.PhotometricInterpretation = photometric
        dataset.add_new("PixelPaddingValue", "SS", -2000)

    np.testing.assert_array_equal(pixels_of(write_one(tmp_path, stored, pad)), expected)


def test_a_range_of_padding_values_becomes_background(tmp_path: Path) -> None:
    def pad(dataset: object, index: int) -> None:
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1000)

    np.testing.assert_array_equal(pixels_of(write_one(tmp_path, [[-1500, -999], [4, 5]], pad)), [[-999, -999], [4, 5]])


@pytest.mark.parametrize("thickness", [None, "0", "-3"])
def test_a_missing_or_senseless_thickness_is_unknown(tmp_path: Path, thickness: str | None) -> None:
    path = write_one(tmp_path, np.eye(4), setting(SliceThickness=thickness))
    assert read_dicom_frames(path)[0].scout.thickness_mm is None


def test_stray_nan_pixels_become_background(tmp_path: Path) -> None:
    def float_pixels(dataset: object, index: int) -> None:
        del dataset.PixelData, dataset.PixelRepresentation, dataset.HighBit, dataset.BitsStored
        dataset.BitsAllocated = 32
        dataset.FloatPixelData = np.array([[np.nan, np.inf], [2.5, 7]], "<f4").tobytes()

    path = write_one(tmp_path, np.zeros((2, 2)), float_pixels)
    np.testing.assert_array_equal(pixels_of(path), [[2.5, 2.5], [2.5, 7]])


@pytest.mark.parametrize("compression", ["RLE", "deflated", "implicit", "big endian"])
def test_transfer_syntaxes_give_the_same_pixels(tmp_path: Path, compression: str) -> None:
    import pydicom
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ImplicitVRLittleEndian,
        RLELossless,
    )

    pixels = np.random.default_rng(0).integers(0, 2000, (16, 16))
    path = write_one(tmp_path, pixels)
    dataset = pydicom.dcmread(path)
    if compression == "RLE":
        dataset.compress(RLELossless)
    elif compression == "big endian":
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        dataset.PixelData = pixels.astype(">i2").tobytes()
    else:
        uids = {"deflated": DeflatedExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian}
        dataset.file_meta.TransferSyntaxUID = uids[compression]
    target = tmp_path / "other.dcm"
    if compression == "big endian":
        pydicom.dcmwrite(target, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True)
    else:
        dataset.save_as(target)
    np.testing.assert_array_equal(pixels_of(target), pixels)


def test_a_file_without_preamble_is_still_dicom(tmp_path: Path) -> None:
    import pydicom

    path = write_one(tmp_path, np.arange(4).reshape(2, 2))
    dataset = pydicom.dcmread(path)
    bare = tmp_path / "bare"
    del dataset.file_meta
    dataset.preamble = None
    pydicom.dcmwrite(bare, dataset, implicit_vr=True, little_endian=True)
    assert is_dicom(bare)
    np.testing.assert_array_equal(pixels_of(bare), [[0, 1], [2, 3]])


def test_text_and_images_are_not_taken_for_dicom(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"NRRD0004\n" * 40)
    (tmp_path / "b").write_bytes(bytes(400))
    assert not is_dicom(tmp_path / "a")
    assert not is_dicom(tmp_path / "b")


def test_a_compression_without_decoder_is_named(tmp_path: Path) -> None:
    path = write_one(tmp_path, np.eye(4))
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))
    with pytest.raises(InputError, match=r"no decoder is installed for its compression \(1.2.840.10008.9.9.9\)"):
        read_dicom_frames(path)


def test_a_huge_header_is_refused_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pydicom.pixels

    path = write_one(tmp_path, np.eye(4), setting(Rows=16384, Columns=16384))
    monkeypatch.setattr(pydicom.pixels, "pixel_array", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(InputError, match="16384 x 16384"):
        read_dicom_frames(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Modality": "CT"}, "modality is CT, not MR"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "mosaic"),
        ({"SamplesPerPixel": 3}, "colour"),
    ],
)
def test_sound_images_that_are_no_scouts_are_told_apart(tmp_path: Path, values: dict, message: str) -> None:
    path = write_one(tmp_path, np.eye(4), setting(**values))
    with pytest.raises(NotAScout, match=message):
        read_dicom_frames(path)


def test_a_modality_that_might_hide_a_name_is_not_repeated(tmp_path: Path) -> None:
    path = write_one(tmp_path, np.eye(4), setting(Modality="DOEJANE"))
    with pytest.raises(NotAScout) as caught:
        read_dicom_frames(path)
    assert "DOE" not in str(caught.value)


def test_a_missing_patient_or_study_does_not_contradict_a_stated_one(tmp_path: Path) -> None:
    def half_anonymous(dataset: object, index: int) -> None:
        if index % 2:
            dataset.PatientID = "x"
            dataset.StudyInstanceUID = ""

    write_localizer(tiny_stacks(), tmp_path, edit=half_anonymous)
    assert len(read_stacks(tmp_path)) == 3


def test_real_oblique_planning_slices_each_keep_their_own_orientation(shared_data: Path) -> None:
    counts = {"sag": 5, "cor": 3, "tra": 3}
    for label, plane in (("sag", "sagittal"), ("cor", "coronal"), ("tra", "axial")):
        stacks = read_stacks(shared_data / "localizers" / f"xa30_phantom_aahscout_mpr_{label}")
        assert {stack.plane for stack in stacks} == {plane}
        assert sum(len(stack.slices) for stack in stacks) == counts[label]
        assert all(s.pixels.shape == (162, 162) and s.spacing_mm == (1.6, 1.6) for k in stacks for s in k.slices)


def test_damaged_copies_of_a_sample_file_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    """Truncated files and flipped bits in the header: pydicom raises many types, the user reads one."""
    sound = (resource_path("SampleData", "ColinScouts", "dicom") / "0001.dcm").read_bytes()
    header = sound.index(b"\xe0\x7f\x10\x00")  # the tag of the pixel data
    random = Random(10)
    for number in range(300):
        damaged = bytearray(sound)
        if number % 3:
            for _ in range(random.choice((1, 2, 8))):
                damaged[random.randrange(132, header + 12)] ^= 1 << random.randrange(8)
        else:
            del damaged[random.randrange(132, header if number % 2 else len(sound)) :]
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(damaged)
        try:
            assert len(read_dicom_frames(path)) == 1
        except InputError as error:
            assert error.remedy and "\n" not in str(error)


@pytest.mark.parametrize("slip", [TypeError, AttributeError, KeyError, IndexError, NameError])
@pytest.mark.parametrize(("module", "step"), [(header, "geometry_of"), (reading, "pixels_of"), (header, "frame_count")])
def test_a_mistake_of_our_own_is_not_called_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, slip: type[Exception]
) -> None:
    def wrong(*_arguments: object) -> None:
        raise slip("a mistake")

    monkeypatch.setattr(module, step, wrong)
    with pytest.raises(slip, match="a mistake"):
        read_dicom_frames(write_one(tmp_path, np.eye(4)))


def test_where_a_damaged_file_failed_is_logged_without_its_values(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_one(tmp_path, np.eye(4))
    path.write_bytes(path.read_bytes().replace(b"\x10\x00\x20\x00LO", b"\x10\x00\x20\x00L?"))
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InputError, match="the DICOM file is damaged"):
        read_dicom_frames(path)
    assert "NotImplementedError" in caplog.text and "raw_element_value" in caplog.text
    assert "Unknown Value Representation" not in caplog.text
