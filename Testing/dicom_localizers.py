"""Write scout stacks as DICOM localizers: for the tests and for the sample study.

De-identified by construction: no patient attribute has a value. Deterministic: the same stacks
and study name give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack

if TYPE_CHECKING:
    from pydicom import Dataset

_MR = "1.2.840.10008.5.1.4.1.1.4"
_ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"

#: Changes a data set, given its file's index, just before it is written.
Edit = Callable[["Dataset", int], None]


def write_localizer(
    stacks: Sequence[ScoutStack],
    folder: Path,
    *,
    multiframe: bool = False,
    one_series: bool = True,
    study: str = "localizer",
    dtype: type = np.int16,
    edit: Edit | None = None,
) -> list[Path]:
    """Write ``stacks`` into ``folder`` as 0001.dcm, 0002.dcm, ...

    Args:
        multiframe: enhanced MR, one file per series, instead of one file per slice.
        one_series: one series of mixed orientations instead of one series per stack.
        study: what the study's and its series' UIDs are made from; equal names give one study.
        dtype: stored pixel type, signed or unsigned 16 bit; pixels are rounded to it.
        edit: changes each data set before it is written.

    Returns:
        The files, in the order of the slices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = [[s for stack in stacks for s in stack.slices]] if one_series else [list(k.slices) for k in stacks]
    datasets: list[Dataset] = []
    for series, slices in enumerate(groups, start=1):
        batches = [slices] if multiframe else [[scout_slice] for scout_slice in slices]
        for instance, batch in enumerate(batches, start=1):
            dataset = _base(study, series, instance, _ENHANCED_MR if multiframe else _MR)
            _set_pixels(dataset, [s.pixels for s in batch], dtype)
            if multiframe:
                _set_frames(dataset, batch)
            else:
                _set_plane(dataset, batch[0])
            datasets.append(dataset)
    paths = []
    for index, dataset in enumerate(datasets):
        if edit is not None:
            edit(dataset, index)
        path = folder / f"{index + 1:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _base(study: str, series: int, instance: int, sop_class: str) -> Dataset:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    def uid(*parts: object) -> str:
        return generate_uid(entropy_srcs=[study, *map(str, parts)])

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("instance", series, instance)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("series", series)
    dataset.FrameOfReferenceUID = uid("frame of reference")
    dataset.Modality = "MR"
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.SeriesNumber, dataset.InstanceNumber = series, instance
    dataset.SeriesDescription = "Three-plane localizer"
    dataset.PatientIdentityRemoved, dataset.DeidentificationMethod = "YES", "Made from de-identified pixels"
    for empty in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, empty, "")
    for empty in ("AccessionNumber", "ReferringPhysicianName", "Manufacturer", "PositionReferenceIndicator"):
        setattr(dataset, empty, "")
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "NONE", ""
    dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "2D", None, None
    dataset.RepetitionTime, dataset.PatientPosition = None, "HFS"
    return dataset


def _set_pixels(dataset: Dataset, frames: Sequence[np.ndarray], dtype: type) -> None:
    limits = np.iinfo(dtype)
    stored = np.clip(np.round(np.stack(frames)), limits.min, limits.max).astype(dtype)
    dataset.Rows, dataset.Columns = stored.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(limits.min < 0)
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"


def _set_plane(dataset: Dataset, scout_slice: ScoutSlice) -> None:
    dataset.ImageOrientationPatient = _orientation(scout_slice)
    dataset.ImagePositionPatient = _decimals(swap_ras_lps(scout_slice.origin_mm))
    dataset.PixelSpacing = _decimals(scout_slice.spacing_mm)
    dataset.SliceThickness = scout_slice.thickness_mm


def _set_frames(dataset: Dataset, slices: Sequence[ScoutSlice]) -> None:
    """Enhanced MR: what every frame shares in the shared group, its plane in its own."""
    from pydicom import Dataset

    def item(**values: object) -> Dataset:
        made = Dataset()
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    def measures(scout_slice: ScoutSlice) -> list[Dataset]:
        return [item(PixelSpacing=_decimals(scout_slice.spacing_mm), SliceThickness=scout_slice.thickness_mm)]

    dataset.NumberOfFrames = len(slices)
    shared = len({(s.spacing_mm, s.thickness_mm) for s in slices}) == 1
    dataset.SharedFunctionalGroupsSequence = [item(PixelMeasuresSequence=measures(slices[0])) if shared else item()]
    frames = []
    for scout_slice in slices:
        position = _decimals(swap_ras_lps(scout_slice.origin_mm))
        frame = item(
            PlanePositionSequence=[item(ImagePositionPatient=position)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=_orientation(scout_slice))],
        )
        if not shared:
            frame.PixelMeasuresSequence = measures(scout_slice)
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames


def _orientation(scout_slice: ScoutSlice) -> list[str]:
    return _decimals(swap_ras_lps(np.stack([scout_slice.column_axis, scout_slice.row_axis])).ravel())


def _decimals(values: Sequence[float]) -> list[str]:
    """Numbers as DICOM decimal strings, at most 16 characters long."""
    return [f"{value:.10f}"[:16] for value in np.asarray(values, dtype=float) + 0.0]
