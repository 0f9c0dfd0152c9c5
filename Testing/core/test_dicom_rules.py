"""Which DICOM attribute counts where several could, and who is told apart from whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.dicom import DicomFrame, NotAScout, is_dicom, read_dicom_frames
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from dicom_localizers import write_localizer
from scout_files import tiny_stacks


def item(**values: object):
    from pydicom import Dataset

    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def scouts_of(folder: Path, **values) -> None:
    """A localizer of nine files in which file ``i`` has the ``i``-th value of each attribute; the last one repeats."""

    def edit(dataset: object, index: int) -> None:
        for keyword, choices in values.items():
            setattr(dataset, keyword, choices[min(index, len(choices) - 1)])

    write_localizer(tiny_stacks(), folder, edit=edit)


def test_two_patients_are_told_apart_by_their_names_where_no_number_is_stated(tmp_path):
    scouts_of(tmp_path, PatientID=[""], PatientName=["One^Patient", "Other^Patient"])
    with pytest.raises(InputError, match="2 different patients"):
        read_scouts([tmp_path])


def test_the_number_of_a_patient_counts_more_than_how_the_name_is_written(tmp_path):
    scouts_of(tmp_path, PatientID=["7"], PatientName=["One^Patient", "ONE^PATIENT"])
    assert len(read_scouts([tmp_path])) == 3


@pytest.mark.parametrize(("keyword", "what"), [("PatientID", "patients"), ("StudyInstanceUID", "studies")])
def test_images_of_two_examinations_are_refused(tmp_path, keyword, what):
    scouts_of(tmp_path, **{keyword: ["1.2", "1.3", "1.4"]})
    with pytest.raises(InputError, match=f"3 different {what}"):
        read_scouts([tmp_path])


def frames_of(folder: Path, edit) -> list[DicomFrame]:
    return read_dicom_frames(write_localizer([tiny_stacks()[2]], folder, multiframe=True, edit=edit)[0])


def test_what_a_frame_says_itself_counts_more_than_what_all_share(tmp_path):
    def both(dataset: object, _index: int) -> None:
        shared = item(PixelSpacing=["9", "9"], SliceThickness="9")
        dataset.SharedFunctionalGroupsSequence = [item(PixelMeasuresSequence=[shared])]
        own = item(PixelSpacing=["2", "3"], SliceThickness="4")
        dataset.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [own]

    first, second, third = frames_of(tmp_path, both)
    assert (second.scout.spacing_mm, second.scout.thickness_mm) == ((2.0, 3.0), 4.0)
    for frame in (first, third):
        assert (frame.scout.spacing_mm, frame.scout.thickness_mm) == ((9.0, 9.0), 9.0)


def test_what_all_frames_share_counts_more_than_the_top_of_the_data_set(tmp_path):
    def all_three(dataset: object, _index: int) -> None:
        dataset.PixelSpacing, dataset.SliceThickness = ["8", "8"], "8"
        shared = item(PixelSpacing=["9", "9"])
        dataset.SharedFunctionalGroupsSequence = [item(PixelMeasuresSequence=[shared])]

    for frame in frames_of(tmp_path, all_three):
        assert frame.scout.spacing_mm == (9.0, 9.0)
        # The groups are silent about the thickness.
        assert frame.scout.thickness_mm == 8.0


def test_frames_are_named_by_their_number_and_single_images_by_their_file(tmp_path):
    frames = frames_of(tmp_path / "many", None)
    assert [frame.scout.source.split()[-1] for frame in frames] == ["1", "2", "3"]
    path = write_localizer(tiny_stacks(), tmp_path / "one")[0]
    assert read_dicom_frames(path)[0].scout.source == str(path)


def with_values(folder: Path, pixels: list | None = None, **values: object) -> Path:
    """One axial image of 2 x 2 pixels."""

    def edit(dataset: object, _index: int) -> None:
        dataset.Rows = dataset.Columns = 2
        dataset.PixelData = np.array(pixels or [[1, 2], [3, 4]], "<i2").tobytes()
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            elif keyword.startswith("PixelPadding"):
                dataset.add_new(keyword, "SS", value)
            else:
                setattr(dataset, keyword, value)

    return write_localizer(tiny_stacks(slices=1)[2:], folder, edit=edit)[0]


@pytest.mark.parametrize("limits", [(-20, -10), (-10, -20)])
def test_padding_reaches_from_its_value_to_its_limit_both_included(tmp_path, limits):
    path = with_values(tmp_path, [[-21, -20], [-10, -9]], PixelPaddingValue=limits[0], PixelPaddingRangeLimit=limits[1])
    assert read_dicom_frames(path)[0].scout.pixels.tolist() == [[-21, -21], [-21, -9]]


def test_an_image_of_padding_alone_is_uniform(tmp_path):
    path = with_values(tmp_path, [[5, 5], [5, 5]], PixelPaddingValue=5)
    assert np.unique(read_dicom_frames(path)[0].scout.pixels).size == 1


def test_padding_is_told_by_the_stored_values_not_by_the_rescaled_ones(tmp_path):
    path = with_values(tmp_path, [[7, 2], [3, 14]], PixelPaddingValue=7, RescaleSlope="2", RescaleIntercept="0")
    assert read_dicom_frames(path)[0].scout.pixels.tolist() == [[4, 4], [6, 28]]


@pytest.mark.parametrize("values", [{"RescaleSlope": "0"}, {"RescaleSlope": "1", "RescaleIntercept": "1e400"}])
def test_a_rescale_that_leaves_no_values_is_refused(tmp_path, values):
    with pytest.raises(InputError, match="rescale"):
        read_dicom_frames(with_values(tmp_path, **values))


def test_a_negative_slope_turns_the_image_over(tmp_path):
    path = with_values(tmp_path, RescaleSlope="-1", RescaleIntercept="10")
    assert read_dicom_frames(path)[0].scout.pixels.tolist() == [[9, 8], [7, 6]]


@pytest.mark.parametrize("keyword", ["ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"])
@pytest.mark.parametrize("value", [None, "", ["1", "1"], "nan"])
def test_an_image_without_its_whole_geometry_is_refused(tmp_path, keyword, value):
    if keyword == "PixelSpacing" and value == ["1", "1"]:
        value = ["1"]
    path = with_values(tmp_path, **{keyword: value})
    with pytest.raises(InputError, match="missing or not a number") as caught:
        read_dicom_frames(path)
    assert not isinstance(caught.value, NotAScout)


@pytest.mark.parametrize("frames", [0, -1, 10**6])
def test_a_number_of_frames_that_cannot_be_is_refused(tmp_path, frames):
    with pytest.raises(InputError, match="number of frames"):
        read_dicom_frames(with_values(tmp_path, NumberOfFrames=frames))


def test_frames_without_a_place_for_each_are_refused(tmp_path):
    def cut(dataset: object, _index: int) -> None:
        dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:2]

    with pytest.raises(InputError, match="3 frames"):
        frames_of(tmp_path, cut)


def test_a_single_frame_needs_no_functional_groups(tmp_path):
    assert len(read_dicom_frames(with_values(tmp_path, NumberOfFrames=1))) == 1


def test_an_image_of_another_kind_is_told_from_a_damaged_one(tmp_path):
    """A report without pixels is skipped in a folder; an MR image without pixels is an error."""
    report = with_values(tmp_path / "a", PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    with pytest.raises(NotAScout):
        read_dicom_frames(report)
    for number, kind in enumerate(("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.4")):
        with pytest.raises(InputError) as caught:
            read_dicom_frames(with_values(tmp_path / f"b{number}", PixelData=None, SOPClassUID=kind))
        assert not isinstance(caught.value, NotAScout)


def test_a_dicomdir_holds_no_image(tmp_path):
    path = with_values(tmp_path, DirectoryRecordSequence=[])
    with pytest.raises(NotAScout, match="DICOMDIR"):
        read_dicom_frames(path)


@pytest.mark.parametrize(("stated", "named"), [("CT", "CT"), ("ABCD", "ABCD"), ("ABCDE", "unknown"), ("A1", "unknown")])
def test_a_modality_is_named_where_it_is_a_code_of_letters(tmp_path, stated, named):
    with pytest.raises(NotAScout, match=f"modality is {named},"):
        read_dicom_frames(with_values(tmp_path, Modality=stated))
    assert len(read_dicom_frames(tmp_path / "0001.dcm", force=True)) == 1


@pytest.mark.parametrize(
    ("start", "dicom"),
    [
        (bytes(128) + b"DICM", True),
        (bytes(127) + b"DICM", False),
        (b"\x08\x00\x05\x00" + bytes(128), True),
        (b"\x02\x00\x10\x00" + bytes(128), True),
        (b"\x08\x00\x20\x00" + bytes(128), True),
        (b"\x08\x00\x21\x00" + bytes(128), False),
        (b"\x03\x00\x05\x00" + bytes(128), False),
        (b"\x08\x00\x05\x00" + bytes(127), False),
        (b"", False),
    ],
)
def test_dicom_is_known_by_its_first_bytes(tmp_path, start, dicom):
    (tmp_path / "file").write_bytes(start)
    assert is_dicom(tmp_path / "file") == dicom


def test_stacks_of_several_series_keep_apart_and_are_named_by_their_number(tmp_path):
    write_localizer(tiny_stacks(), tmp_path, one_series=False)
    stacks = read_scouts([tmp_path])
    assert sorted(stack.name for stack in stacks) == ["series 1", "series 2", "series 3"]
    assert len({stack.frame_of_reference for stack in stacks}) == 1


def test_a_series_without_number_and_frame_of_reference_still_reads(tmp_path):
    scouts_of(tmp_path, SeriesNumber=[""], FrameOfReferenceUID=[""])
    stacks = read_scouts([tmp_path])
    assert {stack.frame_of_reference for stack in stacks} == {None}
    assert all(stack.name for stack in stacks)
