"""A folder as the archive exports it: the localizer is found among all that lies in it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.reader import list_series, read_scouts, read_study
from AutoVolumeCalibrationLib.core.scouts.series import (
    DIAGNOSTIC,
    LABELS,
    LOCALIZER,
    MAP,
    OTHER,
    PHASE,
    PROJECTION,
    REFORMAT,
    kind_of_image,
)
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes
from dicom_localizers import write_localizer
from scout_files import tiny_stacks, write_image


def add_series(folder: Path, stacks: list[ScoutStack], number: int, **values: object) -> None:
    """One more series of the study in ``folder``; ``values`` are attributes of each file."""
    made = folder / f"made{number}"

    def edit(dataset: object, _index: int) -> None:
        dataset.SeriesInstanceUID, dataset.SeriesNumber = f"1.2.3.{number}", number
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    for path in write_localizer(stacks, made, edit=edit):
        path.rename(folder / f"{values.get('prefix', number):0>3}_{path.name}")
    made.rmdir()


def brighter(stacks: list[ScoutStack], offset: float) -> list[ScoutStack]:
    return [replace(k, slices=tuple(replace(s, pixels=s.pixels + offset) for s in k.slices)) for k in stacks]


def darkest(stacks: list[ScoutStack]) -> float:
    return min(float(s.pixels.min()) for stack in stacks for s in stack.slices)


def noise_stack(plane: int, slices: int, step_mm: float) -> ScoutStack:
    noise = np.random.default_rng(0).uniform(0, 900, (20, 20, 20)).astype(np.float32)
    volume = Volume(noise, np.diag([10.0, 10.0, 10.0, 1.0]))
    geometry = ScoutGeometry(slices=slices, slice_spacing_mm=step_mm, thickness_mm=step_mm, pixel_mm=5, matrix=40)
    return cut_three_planes(volume, geometry)[plane]


def used(study) -> list[str]:
    return [series.number for series in study.series if series.used]


def test_of_a_repeated_localizer_the_latest_is_used_and_the_other_named(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks(), 1)
    add_series(tmp_path, brighter(tiny_stacks(), 500), 4)
    study = read_study([tmp_path])
    assert used(study) == ["4"]
    assert darkest(study.stacks) >= 500
    assert any("series 1 is a localizer too" in note and "repeated later" in note for note in study.notes)


def test_a_localizer_of_three_series_is_repeated_as_a_whole(tmp_path: Path) -> None:
    for number, stack in enumerate([*tiny_stacks(), *tiny_stacks()], start=1):
        add_series(tmp_path, [stack], number)
    assert used(read_study([tmp_path])) == ["4", "5", "6"]


def test_a_repeat_that_was_broken_off_does_not_count(tmp_path: Path) -> None:
    for number, stack in enumerate([*tiny_stacks(), *tiny_stacks()[:2]], start=1):
        add_series(tmp_path, [stack], number)
    assert used(read_study([tmp_path])) == ["1", "2", "3"]


def test_the_time_counts_more_than_the_number(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks(), 9, SeriesDate="20200101", SeriesTime="100000")
    add_series(tmp_path, tiny_stacks(), 2, SeriesDate="20200101", SeriesTime="110000")
    assert used(read_study([tmp_path])) == ["2"]


def test_of_two_frames_of_reference_the_latest_is_planned_on(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks(), 1, FrameOfReferenceUID="1.2.3")
    add_series(tmp_path, tiny_stacks(), 2, FrameOfReferenceUID="1.2.4")
    study = read_study([tmp_path])
    assert {stack.frame_of_reference for stack in study.stacks} == {"1.2.4"}
    assert "frame of reference" in study.series[0].reason


def test_diagnostic_series_are_left_out(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks(), 1)
    for number, plane in ((2, 0), (3, 1), (4, 2)):
        add_series(tmp_path, [noise_stack(plane, 25, 5)], number, SeriesDescription="t2_tse")
    study = read_study([tmp_path])
    assert used(study) == ["1"]
    assert [series.kind for series in study.series] == [LOCALIZER] + 3 * [DIAGNOSTIC]
    assert len(study.notes) == 1 and "series 2" in study.notes[0]


def test_where_there_is_no_localizer_diagnostic_series_are_planned_on(tmp_path: Path) -> None:
    for number, plane in ((2, 0), (3, 1), (4, 2)):
        add_series(tmp_path, [noise_stack(plane, 12, 5)], number, SeriesDescription="t2_tse")
    study = read_study([tmp_path])
    assert used(study) == ["2", "3", "4"]
    assert study.notes[0].startswith("No localizer was found")


@pytest.mark.parametrize(
    ("image_type", "kind"),
    [
        (["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"], PROJECTION),
        (["DERIVED", "PRIMARY", "MPR", "NORM", "DIS3D", "MFSPLIT"], REFORMAT),
        (["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], REFORMAT),
        (["ORIGINAL", "PRIMARY", "P", "ND"], PHASE),
        (["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"], PHASE),
        (["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"], MAP),
        (["DERIVED", "SECONDARY", "OTHER"], None),
        (["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], None),
        (["ORIGINAL", "PRIMARY", "M", "ND", "NORM"], None),
        (["ORIGINAL", "PRIMARY", "PROTON_DENSITY", "NONE"], None),
    ],
)
def test_what_image_type_says(image_type: list[str], kind: str | None) -> None:
    assert kind_of_image(image_type) == kind


def test_what_enhanced_frames_say() -> None:
    assert kind_of_image(["ORIGINAL", "PRIMARY"], "PHASE") == PHASE
    assert kind_of_image(["DERIVED", "PRIMARY"], "MAGNITUDE", "MAX_IP") == PROJECTION
    assert kind_of_image(["ORIGINAL", "PRIMARY"], "MAGNITUDE", "NONE") is None


@pytest.mark.parametrize(
    "image_type",
    [["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"], ["ORIGINAL", "PRIMARY", "P"]],
)
def test_projections_and_phase_images_beside_the_localizer_are_left_out(tmp_path: Path, image_type: list) -> None:
    add_series(tmp_path, brighter(tiny_stacks(), 500), 5)
    add_series(tmp_path, tiny_stacks(), 7, ImageType=image_type, prefix="0")
    study = read_study([tmp_path])
    assert used(study) == ["5"] and darkest(study.stacks) >= 500


def test_magnitude_comes_before_phase_in_one_series_whatever_the_file_names(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks(), 1, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"], prefix="0")
    add_series(tmp_path, brighter(tiny_stacks(), 500), 1, ImageType=["ORIGINAL", "PRIMARY", "M", "ND"], prefix="9")
    study = read_study([tmp_path])
    assert darkest(study.stacks) >= 500
    assert study.series[0].reason.endswith("phase images: 9 left out")


def test_magnitude_comes_before_phase_in_an_enhanced_file(tmp_path: Path) -> None:
    from pydicom import Dataset

    def every_other_is_phase(dataset: object, _index: int) -> None:
        for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            kind = Dataset()
            kind.FrameType = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]
            kind.ComplexImageComponent = "PHASE" if index % 2 else "MAGNITUDE"
            frame.MRImageFrameTypeSequence = [kind]

    doubled = [
        replace(k, slices=tuple(x for s in k.slices for x in (replace(s, pixels=s.pixels + 500), s)))
        for k in tiny_stacks()
    ]
    write_localizer(doubled, tmp_path, multiframe=True, edit=every_other_is_phase)
    stacks = read_scouts([tmp_path])
    assert [len(stack.slices) for stack in stacks] == [3, 3, 3] and darkest(stacks) >= 500


def test_reformatted_scouts_are_planned_on_where_nothing_else_is_there(tmp_path: Path) -> None:
    for number, stack in enumerate(tiny_stacks(), start=1):
        add_series(tmp_path, [stack], number, ImageType=["DERIVED", "PRIMARY", "MPR"])
    assert used(read_study([tmp_path])) == ["1", "2", "3"]


def test_a_screenshot_is_skipped_and_counted_in_a_folder_and_refused_by_name(tmp_path: Path) -> None:
    def as_screenshot(dataset: object, _index: int) -> None:
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            delattr(dataset, keyword)

    add_series(tmp_path, tiny_stacks(), 1)
    shot = write_localizer(tiny_stacks(1)[:1], tmp_path / "shot", edit=as_screenshot)[0]
    study = read_study([tmp_path])
    assert used(study) == ["1"]
    assert [series.kind for series in study.series] == [LOCALIZER, OTHER]
    assert study.notes == ("1 file left out: not scouts.",)
    with pytest.raises(InputError, match="no position in space"):
        read_study([shot])


@pytest.mark.parametrize("kind", ["mask", "labels", "4D", "colour"])
def test_image_files_other_than_scouts_are_skipped_in_a_folder_and_refused_by_name(tmp_path: Path, kind: str) -> None:
    import SimpleITK as sitk

    for stack in tiny_stacks():
        write_image(stack, tmp_path / f"{stack.plane}.nrrd")
    rng = np.random.default_rng(0)
    array = {
        "mask": (np.indices((8, 24, 24)).sum(axis=0) > 20).astype(np.uint8),
        "labels": (np.indices((8, 24, 24)) // 6).sum(axis=0).astype(np.uint16),
        "4D": rng.uniform(0, 99, (3, 8, 24, 24)).astype(np.float32),
        "colour": rng.integers(0, 99, (8, 24, 24, 3)).astype(np.uint8),
    }[kind]
    path = tmp_path / ("z.nii.gz" if kind == "4D" else "z.nrrd")
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=kind == "colour"), str(path))
    study = read_study([tmp_path])
    assert [stack.plane for stack in study.stacks] == ["axial", "coronal", "sagittal"]
    assert [series.used for series in study.series] == [True, True, True, False]
    with pytest.raises(InputError, match=path.name):
        read_study([path])


def test_a_dicom_series_of_labels_gives_way_to_another_series(tmp_path: Path) -> None:
    labels = [
        replace(k, slices=tuple(replace(s, pixels=100 * (s.pixels > 300).astype(np.float32)) for s in k.slices))
        for k in tiny_stacks()
    ]
    add_series(tmp_path, tiny_stacks(), 1)
    add_series(tmp_path, labels, 2)
    study = read_study([tmp_path])
    assert used(study) == ["1"] and study.series[1].kind == LABELS


@pytest.mark.parametrize("wanted", ["2", "1.2.3.2", "second*", "SECOND LOCALIZER"])
def test_the_user_chooses_a_series(tmp_path: Path, wanted: str) -> None:
    for number, name in ((1, "first"), (2, "second"), (3, "third")):
        add_series(tmp_path, tiny_stacks(), number, SeriesDescription=f"{name} localizer")
    study = read_study([tmp_path], series=wanted)
    assert used(study) == ["2"] and study.notes == ()


def test_a_series_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks(), 1)
    with pytest.raises(InputError, match="there is no series 7. The series are: 1"):
        read_study([tmp_path], series="7")


def test_series_are_listed_where_none_can_be_planned_on(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks()[:1], 3, SeriesDescription="sag loc")
    with pytest.raises(InputError, match="only sagittal slices"):
        read_study([tmp_path])
    (series,) = list_series([tmp_path])
    assert (series.number, series.description, series.planes) == ("3", "sag loc", (("sagittal", 3),))


def test_a_description_does_not_show_in_the_text_of_a_series(tmp_path: Path) -> None:
    add_series(tmp_path, tiny_stacks(), 1, SeriesDescription="loc of Doe^Jane")
    assert "Doe" not in repr(read_study([tmp_path]).series)


def test_one_file_without_the_number_of_the_patient_does_not_make_two_patients(tmp_path: Path) -> None:
    def half_anonymous(dataset: object, index: int) -> None:
        dataset.PatientName, dataset.PatientID = "A^B", "7" if index else ""

    write_localizer(tiny_stacks(), tmp_path, edit=half_anonymous)
    assert len(read_scouts([tmp_path])) == 3


def test_linked_series_folders_are_entered_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    for number, stack in enumerate(tiny_stacks(), start=1):
        add_series(_folder(tmp_path / "archive" / str(number)), [stack], number)
    for number in (1, 2, 3):
        _folder(tmp_path / "study").joinpath(str(number)).symlink_to(tmp_path / "archive" / str(number))
    (tmp_path / "study" / "again").symlink_to(tmp_path / "study")
    assert len(read_scouts([tmp_path / "study"])) == 3


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "study")
    (folder / "series").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="links that lead nowhere"):
        read_study([folder])
    write_localizer(tiny_stacks(), folder)
    assert "lead nowhere" in read_study([folder]).notes[-1]
    with pytest.raises(InputError, match="this link leads nowhere"):
        read_study([folder / "series"])


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    write_localizer(tiny_stacks(), tmp_path)
    locked = _folder(tmp_path / "locked")
    scandir = os.scandir

    def refuse(path: object):
        if str(path) == str(locked):
            raise PermissionError(13, "Permission denied", str(locked))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="locked: the folder cannot be read"):
        read_study([tmp_path])


@pytest.mark.parametrize("file", ["dicom", "nifti"])
def test_thick_slices_of_one_plane_that_cover_the_head_are_a_volume(tmp_path: Path, file: str) -> None:
    stack = noise_stack(2, 30, 5.0)
    if file == "dicom":
        add_series(tmp_path, [stack], 3, SeriesDescription="flair")
    else:
        write_image(stack, tmp_path / "flair.nii.gz")
    stacks = read_scouts([tmp_path])
    assert [stack.plane for stack in stacks] == ["sagittal", "coronal", "axial"]
    assert all("every 5.0 mm" in stack.remark for stack in stacks)


def test_a_few_thick_slices_of_one_plane_stay_too_few(tmp_path: Path) -> None:
    write_image(noise_stack(2, 9, 5.0), tmp_path / "flair.nii.gz")
    with pytest.raises(InputError, match="only axial slices"):
        read_scouts([tmp_path])


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_the_named_cases_are_planned_on_their_localizer(tmp_path: Path) -> None:
    from AutoVolumeCalibrationLib.core.files.resources import resource_path

    sample = resource_path("SampleData", "ColinScouts", "dicom")
    folder = Path(shutil.copytree(sample, tmp_path / "study"))
    expected = read_scouts([sample])
    for path in sorted(sample.iterdir()):
        _as_phase(path, folder / f"000_{path.name}")
    found = read_scouts([folder])
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal([s.pixels for s in a.slices], [s.pixels for s in b.slices])


def _as_phase(path: Path, target: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(path)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "P", "ND"]
    dataset.PixelData = np.full(dataset.pixel_array.shape, 77, np.int16).tobytes()
    dataset.save_as(target)
