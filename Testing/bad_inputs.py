"""Inputs that must be refused with one clear line, and how to make each of them.

``BAD_INPUTS`` maps a name to a function that writes the input below a folder and returns the paths to
hand over and the exit code to expect. Used by the reader tests and by the command line's.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dicom_localizers import Edit, write_localizer
from scout_files import tiny_stacks, write_image, write_nrrd

if TYPE_CHECKING:
    from pydicom import Dataset

#: Exit code of unreadable or unsuitable input.
UNREADABLE = 3

#: Values that stand in the headers of the bad files and must never reach a message: long enough that the pixels of a
#: picture do not hold them by chance.
SECRET_NAME, SECRET_ID = "Quillfeather^Josephine", "4711-0815"

BadInput = Callable[[Path], tuple[list[Path], int]]

_NRRD_3D = ("space: left-posterior-superior", "space origin: (0,0,0)")
_UNIT_DIRECTIONS = "space directions: (1,0,0) (0,1,0) (0,0,1)"


def _dicom(edit: Edit, **options: object) -> BadInput:
    """A localizer folder whose files were spoilt by ``edit``; every one names a patient."""

    def spoil(dataset: Dataset, index: int) -> None:
        dataset.PatientName, dataset.PatientID = SECRET_NAME, SECRET_ID
        edit(dataset, index)

    def make(folder: Path) -> tuple[list[Path], int]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom objects to what is spoilt here on purpose
            write_localizer(tiny_stacks(), folder / "scouts", edit=spoil, **options)
        return [folder / "scouts"], UNREADABLE

    return make


def _set(**values: object) -> Edit:
    """Set header attributes of every file."""

    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def _set_late(**values: object) -> Edit:
    """Set header attributes of all but the first files, so that sound files are met before the bad ones."""

    def edit(dataset: Dataset, index: int) -> None:
        if index >= 5:
            _set(**values)(dataset, index)

    return edit


def _remove(*keywords: str) -> Edit:
    def edit(dataset: Dataset, index: int) -> None:
        for keyword in keywords:
            del dataset[keyword]

    return edit


def _rgb(dataset: Dataset, index: int) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = bytes(dataset.Rows * dataset.Columns * 3)


def _garbage_compression(uid: str) -> Edit:
    def edit(dataset: Dataset, index: int) -> None:
        from pydicom.encaps import encapsulate

        dataset.file_meta.TransferSyntaxUID = uid
        dataset.PixelData = encapsulate([b"\x13\x37" * 40])
        dataset["PixelData"].is_undefined_length = True

    return edit


def _unknown_transfer_syntax(folder: Path) -> tuple[list[Path], int]:
    path = write_localizer(tiny_stacks()[:1], folder)[0]
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))
    return [path], UNREADABLE


def _nan_pixels(dataset: Dataset, index: int) -> None:
    pixels = np.full((dataset.Rows, dataset.Columns), np.nan, dtype="<f4")
    del dataset.PixelData, dataset.PixelRepresentation, dataset.HighBit, dataset.BitsStored
    dataset.BitsAllocated, dataset.FloatPixelData = 32, pixels.tobytes()


def _report(dataset: Dataset, index: int) -> None:
    _remove("PixelData", "Rows", "Columns")(dataset, index)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    dataset.Modality = "SR"


def _directory_record(dataset: Dataset, index: int) -> None:
    from pydicom import Dataset as Record

    _remove("PixelData", "Rows", "Columns")(dataset, index)
    dataset.DirectoryRecordSequence = [Record()]


def _truncated(suffix: str, share: float = 0.7) -> BadInput:
    """A sound file of this kind, cut to ``share`` of its length."""

    def make(folder: Path) -> tuple[list[Path], int]:
        stack = tiny_stacks()[2]
        if suffix == ".dcm":
            path = write_localizer([stack], folder / "whole", multiframe=True)[0]
        else:
            path = write_image(stack, folder / f"whole{suffix}")
        content = path.read_bytes()
        cut = folder / f"cut{suffix}"
        cut.write_bytes(content[: int(len(content) * share)])
        return [cut], UNREADABLE

    return make


def _file(name: str, content: bytes) -> BadInput:
    def make(folder: Path) -> tuple[list[Path], int]:
        (folder / name).write_bytes(content)
        return [folder / name], UNREADABLE

    return make


def _nrrd(*fields: str, sizes: str = "4 4 2", data: bytes | None = None) -> BadInput:
    return lambda folder: ([write_nrrd(folder / "scout.nrrd", fields, sizes, data)], UNREADABLE)


def _image(name: str, shape: tuple[int, ...], dtype: str = "uint8", vector: bool = False) -> BadInput:
    """An image of ones, array ``shape`` in SimpleITK's order (slowest axis first)."""

    def make(folder: Path) -> tuple[list[Path], int]:
        import SimpleITK as sitk

        sitk.WriteImage(sitk.GetImageFromArray(np.ones(shape, dtype), isVector=vector), str(folder / name))
        return [folder / name], UNREADABLE

    return make


def _nifti_with(*patches: tuple[int, str, float]) -> BadInput:
    """A NIfTI file with header fields overwritten: (byte offset, struct format, value)."""

    def make(folder: Path) -> tuple[list[Path], int]:
        path = write_image(tiny_stacks()[2], folder / "scout.nii")
        content = bytearray(path.read_bytes())
        for offset, kind, value in patches:
            struct.pack_into(kind, content, offset, value)
        path.write_bytes(content)
        return [path], UNREADABLE

    return make


def _all_nan(folder: Path) -> tuple[list[Path], int]:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.full((2, 8, 8), np.nan, np.float32))
    sitk.WriteImage(image, str(folder / "nan.nrrd"))
    return [folder / "nan.nrrd"], UNREADABLE


def _empty_folder(folder: Path) -> tuple[list[Path], int]:
    (folder / "nothing").mkdir()
    return [folder / "nothing"], UNREADABLE


def _junk_folder(folder: Path) -> tuple[list[Path], int]:
    junk = {"notes.txt": b"hello", "table.csv": b"a,b\n1,2\n", "picture.png": b"\x89PNG", "x": b""}
    for name, content in junk.items():
        (folder / name).write_bytes(content)
    return [folder], UNREADABLE


def _second_folder(second_study: str = "localizer", **values: object) -> BadInput:
    """Two localizers of which the second differs in these header values."""

    def make(folder: Path) -> tuple[list[Path], int]:
        patient = {"PatientName": SECRET_NAME, "PatientID": SECRET_ID}
        write_localizer(tiny_stacks(), folder / "a", edit=_set(**patient))
        write_localizer(tiny_stacks(), folder / "b", edit=_set(**patient | values), study=second_study)
        return [folder / "a", folder / "b"], UNREADABLE

    return make


def _one_plane_dicom(folder: Path) -> tuple[list[Path], int]:
    write_localizer(tiny_stacks()[:1], folder / "sagittal")
    return [folder / "sagittal"], UNREADABLE


def _one_plane_image(folder: Path) -> tuple[list[Path], int]:
    return [write_image(tiny_stacks()[1], folder / "coronal.nrrd")], UNREADABLE


def _good_and_missing(folder: Path) -> tuple[list[Path], int]:
    return [write_image(tiny_stacks()[0], folder / "sagittal.nrrd"), folder / "coronal.nrrd"], UNREADABLE


_LPS = ("space: left-posterior-superior", "space origin: (0,0,0)")
_UNIT_DIRECTIONS = "space directions: (1,0,0) (0,1,0) (0,0,1)"
_NOTES = b"These are notes, not pixels.\n" * 20

BAD_INPUTS: dict[str, BadInput] = {
    # what is not there, or not an image
    "missing_path": lambda folder: ([folder / "no_such_study"], UNREADABLE),
    "one_path_of_two_missing": _good_and_missing,
    "empty_folder": _empty_folder,
    "folder_of_junk": _junk_folder,
    "empty_dicom": _file("empty.dcm", b""),
    "empty_nrrd": _file("empty.nrrd", b""),
    "empty_nii_gz": _file("empty.nii.gz", b""),
    "text_named_dcm": _file("notes.dcm", _NOTES),
    "text_named_nrrd": _file("notes.nrrd", _NOTES),
    "text_named_nii_gz": _file("notes.nii.gz", _NOTES),
    "dicom_magic_then_garbage": _file("x.dcm", bytes(128) + b"DICM" + b"\xfe\x13\x37" * 99),
    # cut short
    "truncated_dicom": _truncated(".dcm"),
    "dicom_cut_in_the_header": _truncated(".dcm", share=0.2),
    "truncated_nrrd": _truncated(".nrrd"),
    "truncated_nii_gz": _truncated(".nii.gz"),
    "truncated_nii": _truncated(".nii"),
    "truncated_mha": _truncated(".mha"),
    # DICOM of the wrong kind
    "ct_modality": _dicom(_set(Modality="CT")),
    "no_modality": _dicom(_remove("Modality")),
    "structured_report": _dicom(_report),
    "dicomdir_only": _dicom(_directory_record),
    "rgb_dicom": _dicom(_rgb),
    "mosaic": _dicom(_set(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])),
    "no_pixel_data": _dicom(_remove("PixelData")),
    "garbage_rle": _dicom(_garbage_compression("1.2.840.10008.1.2.5")),
    "garbage_jpeg_2000": _dicom(_garbage_compression("1.2.840.10008.1.2.4.90")),
    "garbage_jpeg_lossless": _dicom(_garbage_compression("1.2.840.10008.1.2.4.57")),
    "unknown_transfer_syntax": _unknown_transfer_syntax,
    "nan_pixels_only_dicom": _dicom(_nan_pixels),
    "rescale_slope_of_zero": _dicom(_set_late(RescaleSlope="0", RescaleIntercept="5")),
    # DICOM that does not belong together, or is not enough
    "two_patients": _second_folder(PatientName="Roe^Richard", PatientID="0815-4711"),
    "two_studies": _second_folder("another"),
    "one_plane_dicom": _one_plane_dicom,
    "one_plane_image": _one_plane_image,
    # DICOM geometry
    "no_position_or_orientation": _dicom(_remove("ImagePositionPatient", "ImageOrientationPatient")),
    "nan_position": _dicom(_set_late(ImagePositionPatient=["0", "NaN", "0"])),
    "infinite_orientation": _dicom(_set_late(ImageOrientationPatient=["inf", "0", "0", "0", "1", "0"])),
    "orientation_of_zero_length": _dicom(_set_late(ImageOrientationPatient=["0"] * 6)),
    "axes_not_perpendicular": _dicom(_set_late(ImageOrientationPatient=["1", "0", "0", "0.6", "0.8", "0"])),
    "zero_pixel_spacing": _dicom(_set_late(PixelSpacing=["0", "1"])),
    "negative_pixel_spacing": _dicom(_set_late(PixelSpacing=["-1", "1"])),
    "infinite_pixel_spacing": _dicom(_set_late(PixelSpacing=["inf", "1"])),
    "one_pixel_spacing": _dicom(_set_late(PixelSpacing=["1"])),
    "frames_without_positions": _dicom(_remove("PerFrameFunctionalGroupsSequence"), multiframe=True),
    # sizes that must not reserve memory
    "header_of_16k_dicom": _dicom(_set_late(Rows=16384, Columns=16384)),
    "header_of_a_million_frames": _dicom(_set(NumberOfFrames="1000000")),
    "header_of_16k_nrrd": _nrrd(*_LPS, _UNIT_DIRECTIONS, sizes="16384 16384 5", data=b"\0" * 64),
    "header_of_a_huge_cube": _nrrd(*_LPS, _UNIT_DIRECTIONS, sizes="4096 4096 4096", data=b"\0" * 64),
    # images of the wrong kind
    "png": _image("picture.png", (16, 16)),
    "rgb_png": _image("picture.png", (16, 16, 3), vector=True),
    "flat_nrrd": _image("flat.nrrd", (16, 16)),
    "4d_nifti": _image("series.nii.gz", (3, 2, 16, 16)),
    "vector_nrrd": _image("vector.nrrd", (2, 16, 16, 3), vector=True),
    "complex_nifti": _image("complex.nii", (2, 16, 16), dtype="complex64"),
    "nan_pixels_only_nrrd": _all_nan,
    # image geometry
    "nrrd_without_space": _nrrd("spacings: 1 1 5"),
    "nrrd_in_scanner_space": _nrrd("space: scanner-xyz", "space origin: (0,0,0)", _UNIT_DIRECTIONS),
    "zero_spacing_nrrd": _nrrd(*_LPS, "space directions: (1,0,0) (0,0,0) (0,0,1)"),
    "nan_spacing_nrrd": _nrrd(*_LPS, "space directions: (1,0,0) (0,nan,0) (0,0,1)"),
    "flat_directions_nrrd": _nrrd(*_LPS, "space directions: (1,0,0) (1,0,0) (0,0,1)"),
    "sheared_nrrd": _nrrd(*_LPS, "space directions: (1,0,0) (0.5,1,0) (0,0,5)"),
    "nifti_without_position": _nifti_with((252, "<h", 0), (254, "<h", 0)),
    "sheared_nifti": _nifti_with((252, "<h", 0), (284, "<f", 5.0)),
}
