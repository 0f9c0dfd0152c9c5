"""Scouts of every kind in, stacks out; what is no scout is refused with one clear line."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import Cancelled, InputError
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.scouts.stack import PLANES, ScoutStack
from bad_inputs import BAD_INPUTS, SECRET_ID, SECRET_NAME
from dicom_localizers import write_localizer
from scout_files import tiny_stacks, write_image


def planes_and_counts(stacks: list[ScoutStack]) -> list[tuple[str, int]]:
    return [(stack.plane, len(stack.slices)) for stack in stacks]


THREE_BY_THREE = [("sagittal", 3), ("coronal", 3), ("axial", 3)]


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_a_bad_input_is_refused_with_one_line_that_names_the_file_and_the_remedy(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    paths, _ = BAD_INPUTS[name](tmp_path)
    capfd.readouterr()
    with pytest.raises(InputError) as caught:
        read_scouts(paths)
    error, message = caught.value, str(caught.value)
    assert "\n" not in message
    assert len(message.replace(str(tmp_path), "")) < 200
    assert any(str(path) in error.source for path in paths)
    assert error.remedy and error.remedy.endswith(".") and error.remedy in message
    assert not error.what.endswith(".")
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", ""), "a library wrote to the terminal by itself"
    for secret in (SECRET_NAME, SECRET_ID, *SECRET_NAME.split("^"), "Roe"):
        assert secret not in message + caplog.text


def test_there_are_bad_inputs_enough() -> None:
    assert len(BAD_INPUTS) >= 25


@pytest.mark.parametrize("multiframe", [False, True])
@pytest.mark.parametrize("one_series", [False, True])
def test_a_localizer_folder_comes_back_as_three_stacks(tmp_path: Path, multiframe: bool, one_series: bool) -> None:
    write_localizer(tiny_stacks(), tmp_path, multiframe=multiframe, one_series=one_series)
    assert planes_and_counts(read_scouts([tmp_path])) == THREE_BY_THREE


def test_files_one_by_one_read_like_their_folder(tmp_path: Path) -> None:
    files = write_localizer(tiny_stacks(), tmp_path)
    assert planes_and_counts(read_scouts(files)) == planes_and_counts(read_scouts([tmp_path]))


def test_three_folders_of_one_study_are_pooled(tmp_path: Path) -> None:
    files = write_localizer(tiny_stacks(), tmp_path / "all", one_series=False)
    for index, path in enumerate(files):
        target = tmp_path / f"series{index // 3}"
        target.mkdir(exist_ok=True)
        shutil.copy(path, target / path.name)
    assert planes_and_counts(read_scouts([tmp_path / f"series{i}" for i in range(3)])) == THREE_BY_THREE


def test_files_need_neither_suffix_nor_flat_folder_and_junk_beside_them_is_skipped(tmp_path: Path) -> None:
    for index, path in enumerate(write_localizer(tiny_stacks(), tmp_path / "made")):
        deep = tmp_path / "study" / f"s{index % 2}"
        deep.mkdir(parents=True, exist_ok=True)
        shutil.move(path, deep / f"IM{index}")
    (tmp_path / "study" / "notes.txt").write_text("hello")
    (tmp_path / "study" / "._0001.dcm").write_bytes(b"\0\5\x16\7 resource fork" + bytes(200))
    write_image(tiny_stacks()[0], tmp_path / "study" / "exported.nrrd")
    assert planes_and_counts(read_scouts([tmp_path / "study"])) == THREE_BY_THREE


def test_what_is_no_scout_is_skipped_in_a_folder_but_refused_by_name(tmp_path: Path) -> None:
    def first_is_a_screenshot(dataset: object, index: int) -> None:
        if index == 0:
            dataset.Modality = "OT"

    files = write_localizer(tiny_stacks(), tmp_path, edit=first_is_a_screenshot)
    assert planes_and_counts(read_scouts([tmp_path])) == [("sagittal", 2), ("coronal", 3), ("axial", 3)]
    with pytest.raises(InputError, match="0001.dcm: the modality is OT, not MR"):
        read_scouts(files)


def test_another_modality_can_be_forced(tmp_path: Path) -> None:
    write_localizer(tiny_stacks(), tmp_path, edit=lambda dataset, _: setattr(dataset, "Modality", "CT"))
    assert planes_and_counts(read_scouts([tmp_path], force=True)) == THREE_BY_THREE


def test_a_path_given_twice_counts_once(tmp_path: Path) -> None:
    images = [write_image(stack, tmp_path / f"{stack.plane}.nrrd") for stack in tiny_stacks()]
    assert planes_and_counts(read_scouts([*images, images[0], tmp_path])) == THREE_BY_THREE


def test_two_planes_are_enough(tmp_path: Path) -> None:
    write_localizer(tiny_stacks()[1:], tmp_path)
    assert planes_and_counts(read_scouts([tmp_path])) == [("coronal", 3), ("axial", 3)]


def test_dicom_and_image_files_of_the_same_scouts_agree(tmp_path: Path) -> None:
    write_localizer(tiny_stacks(), tmp_path / "dicom")
    images = [write_image(stack, tmp_path / f"{stack.plane}.nii.gz") for stack in tiny_stacks()]
    for from_dicom, from_image in zip(read_scouts([tmp_path / "dicom"]), read_scouts(images), strict=True):
        assert from_dicom.plane == from_image.plane
        for a, b in zip(from_dicom.slices, from_image.slices, strict=True):
            np.testing.assert_array_equal(a.pixels, b.pixels)
            corners = np.array([[0, 0], [15, 0], [0, 15], [15, 15]])
            np.testing.assert_allclose(a.to_world(corners), b.to_world(corners), atol=1e-4)


def test_a_dense_dicom_series_is_cut_into_three_planes(tmp_path: Path) -> None:
    from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes

    z = np.arange(40)[None, None, :]
    ball = (np.linalg.norm(np.indices((40, 40, 40)) - [[[[20]]], [[[22]]], [[[18]]]], axis=0) < 12) * 500.0 + z
    volume = Volume(ball.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    dense = ScoutGeometry(slices=40, slice_spacing_mm=4.0, thickness_mm=4.0, pixel_mm=4.0, matrix=40)
    write_localizer(cut_three_planes(volume, dense, planes=["sagittal"]), tmp_path, multiframe=True)
    stacks = read_scouts([tmp_path])
    assert [stack.plane for stack in stacks] == ["sagittal", "coronal", "axial"]
    assert len({stack.frame_of_reference for stack in stacks}) == 1 and stacks[0].frame_of_reference
    for stack in stacks:
        middle = stack.slices[len(stack.slices) // 2]
        row, column = middle.to_pixel(np.array([80.0, 88.0, 72.0]))
        assert middle.pixels[round(row), round(column)] > 400
        distance = np.linalg.norm(middle.to_world(np.argwhere(middle.pixels > 250)) - [80.0, 88.0, 72.0], axis=1)
        assert distance.max() < 56


def test_the_names_of_stacks_come_from_the_series_number_not_from_the_patient(tmp_path: Path) -> None:
    def name_the_patient(dataset: object, index: int) -> None:
        dataset.PatientName, dataset.PatientID = SECRET_NAME, SECRET_ID
        dataset.SeriesDescription = f"localizer {SECRET_NAME}"

    write_localizer(tiny_stacks(), tmp_path, edit=name_the_patient)
    stacks = read_scouts([tmp_path])
    assert {stack.name for stack in stacks} == {"series 1"}
    assert SECRET_NAME not in repr(stacks) and SECRET_ID not in repr(stacks)


def test_reading_can_be_cancelled_between_files(tmp_path: Path) -> None:
    write_localizer(tiny_stacks(), tmp_path)
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        read_scouts([tmp_path], cancelled=lambda: next(answers))
    assert next(answers, None) is None


def test_a_damaged_slice_in_a_folder_is_an_error_not_a_gap(tmp_path: Path) -> None:
    path = write_localizer(tiny_stacks(), tmp_path)[4]
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match="0005.dcm: the image is missing or cut short"):
        read_scouts([tmp_path])


def test_no_path_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="no scouts were given"):
        read_scouts([])


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root reads everything")
def test_a_file_without_read_access_is_named(tmp_path: Path) -> None:
    path = write_localizer(tiny_stacks(), tmp_path)[0]
    path.chmod(0)
    with pytest.raises(InputError, match=path.name):
        read_scouts([path])


@pytest.mark.parametrize("suffix", [".dcm", ".nrrd", ".nii", ".mha"])
def test_damaged_headers_never_raise_anything_but_an_input_error(tmp_path: Path, suffix: str) -> None:
    stacks = tiny_stacks(slices=1)
    path = (
        write_localizer(stacks, tmp_path / "whole", multiframe=True)[0]
        if suffix == ".dcm"
        else write_image(stacks[0], tmp_path / f"whole{suffix}")
    )
    rng = np.random.default_rng(7)
    outcomes = []
    for _ in range(60):
        content = bytearray(path.read_bytes())
        for position in rng.integers(0, min(len(content), 1800 if suffix == ".dcm" else 340), 3):
            content[position] = rng.integers(256)
        damaged = tmp_path / f"damaged{suffix}"
        damaged.write_bytes(content)
        try:
            read_scouts([damaged])
            outcomes.append("read")
        except InputError as error:
            outcomes.append(str(error))
    assert len(set(outcomes)) > 2
    assert not any("\n" in outcome for outcome in outcomes)


def test_the_shipped_sample_reads_alike_from_dicom_and_from_nrrd() -> None:
    folder = Path(__file__).parents[2] / "Resources" / "SampleData" / "ColinScouts"
    from_dicom = read_scouts([folder / "dicom"])
    from_nrrd = read_scouts([folder / f"{plane}.nrrd" for plane in ("sagittal", "coronal", "axial")])
    assert planes_and_counts(from_dicom) == planes_and_counts(from_nrrd) == [(p, 5) for p in PLANES]
    for a, b in zip(from_dicom, from_nrrd, strict=True):
        assert a.thickness_mm == 6.0
        np.testing.assert_allclose(a.positions_mm, [-24, -12, 0, 12, 24])
        for s, t in zip(a.slices, b.slices, strict=True):
            np.testing.assert_array_equal(s.pixels, t.pixels)
            np.testing.assert_allclose(s.origin_mm, t.origin_mm)
            np.testing.assert_allclose([s.column_axis, s.row_axis], [t.column_axis, t.row_axis], atol=1e-9)


def test_a_real_three_plane_localizer_has_seven_slices_per_plane(shared_data: Path) -> None:
    stacks = read_scouts([shared_data / "localizers" / "ge_phantom_3plane_hfs"])
    assert planes_and_counts(stacks) == [("sagittal", 7), ("coronal", 7), ("axial", 7)]
    for stack in stacks:
        np.testing.assert_allclose(stack.positions_mm, np.arange(-45.0, 46.0, 15.0), atol=1e-6)
        assert stack.thickness_mm == 15.0
        assert stack.slices[3].pixels.max() > 100


def test_real_scouts_of_three_phantom_sessions_are_not_mixed(shared_data: Path) -> None:
    with pytest.raises(InputError, match="3 different patients"):
        read_scouts([shared_data / "localizers" / f"xa30_phantom_aahscout_mpr_{p}" for p in ("sag", "cor", "tra")])
