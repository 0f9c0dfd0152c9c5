"""A day's mixture of DICOM series: localizers among diagnostic, derived, broken and phantom series, in random order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.scouts.series import uid_digest
from command_line import SAMPLE

if TYPE_CHECKING:
    from pydicom import Dataset

LOCALIZER, DIAGNOSTIC, DERIVED, BROKEN, PHANTOM = "localizer", "diagnostic", "derived", "broken", "phantom"

#: What every 20 series hold: exams of a localizer, two diagnostic series and a derived one, and series alone.
_EXAMS, _ALONE = 2, {LOCALIZER: 1, DIAGNOSTIC: 3, DERIVED: 3, BROKEN: 4, PHANTOM: 1}
_OF_EXAM = (LOCALIZER, DIAGNOSTIC, DIAGNOSTIC, DERIVED)

#: Middle and neighbours of each plane of the sample, sagittal, coronal, axial.
_PLANES = ((2, 3, 4), (7, 8, 9), (12, 13, 14))
_AXIAL = (11, 12, 13, 14, 15)


@dataclass(frozen=True)
class Series:
    """A series to be sent.

    Attributes:
        kind: one of this module's.
        study: digest of its study's UID, as the node names it; empty where it has none.
        files: of its images.
    """

    kind: str
    study: str
    files: tuple[Path, ...]


def write_series(folder: Path, count: int, seed: int = 0) -> list[Series]:
    """``count`` series, a multiple of 20, in random order; the same seed gives the same files."""
    chance = random.Random(seed)
    studies = [_OF_EXAM for _ in range(_EXAMS * (count // 20))]
    studies += [(kind,) for kind, times in _ALONE.items() for _ in range(times * (count // 20))]
    series = [
        _write(folder / f"{study:04d}_{number}", kind, (str(seed), str(study)), number, chance)
        for study, kinds in enumerate(studies)
        for number, kind in enumerate(kinds, start=1)
    ]
    chance.shuffle(series)
    return series


def _write(folder: Path, kind: str, study: Sequence[str], number: int, chance: random.Random) -> Series:
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    def uid(*parts: object) -> str:
        return generate_uid(entropy_srcs=[*study, *map(str, parts)])

    folder.mkdir(parents=True)
    gain, spoil = chance.uniform(0.7, 1.3), chance.choice(_SPOILERS)
    files = []
    for instance, source in enumerate(_sources(kind, chance), start=1):
        image = dcmread(SAMPLE / "dicom" / f"{source:04d}.dcm")
        image.StudyInstanceUID, image.SeriesInstanceUID = uid("study"), uid("series", number)
        image.FrameOfReferenceUID = uid("frame")
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid("instance", number, instance)
        image.SeriesNumber, image.InstanceNumber = number, instance
        _EDITS[kind](image, gain)
        if kind == BROKEN:
            spoil(image)
        files.append(folder / f"{instance}.dcm")
        image.save_as(files[-1])
    return Series(kind, uid_digest(uid("study")) if "StudyInstanceUID" in image else "", tuple(files))


def _sources(kind: str, chance: random.Random) -> Iterator[int]:
    """Which slices of the sample the series is made from."""
    if kind in (DIAGNOSTIC, DERIVED):
        yield from _AXIAL
    else:
        yield from (chance.choice(plane) for plane in _PLANES)


def _brighten(image: Dataset, gain: float) -> None:
    image.PixelData = (image.pixel_array * gain).astype("<i2").tobytes()


def _as_diagnostic(image: Dataset, gain: float) -> None:
    _brighten(image, gain)
    image.SeriesDescription, image.ImageType = "t2_tse_tra", ["ORIGINAL", "PRIMARY", "M", "ND"]


def _as_derived(image: Dataset, gain: float) -> None:
    _brighten(image, gain)
    image.SeriesDescription, image.ImageType = "ADC", ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"]


def _as_phantom(image: Dataset, gain: float) -> None:
    """A bottle, upright in the scanner: a disc in axial slices, a rectangle in the others."""
    noise = np.random.default_rng(int(image.InstanceNumber)).normal(0, 8, (image.Rows, image.Columns))
    rows, columns = np.indices((image.Rows, image.Columns)) - image.Rows / 2
    is_axial = abs(image.ImageOrientationPatient[5]) < 0.5
    inside = np.hypot(rows, columns) < 60 if is_axial else (np.abs(rows) < 70) & (np.abs(columns) < 60)
    image.PixelData = np.clip(400 * gain * inside + noise, 0, None).astype("<i2").tobytes()


def _cut_short(image: Dataset) -> None:
    image.PixelData = image.PixelData[: len(image.PixelData) // 2]


def _without_position(image: Dataset) -> None:
    del image.ImagePositionPatient, image.ImageOrientationPatient


def _without_study(image: Dataset) -> None:
    del image.StudyInstanceUID


def _in_one_plane(image: Dataset) -> None:
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def _without_size(image: Dataset) -> None:
    image.PixelSpacing = [0, 0]


_SPOILERS = (_cut_short, _without_position, _without_study, _in_one_plane, _without_size)

_EDITS: dict[str, Callable[[Dataset, float], None]] = {
    LOCALIZER: _brighten,
    DIAGNOSTIC: _as_diagnostic,
    DERIVED: _as_derived,
    BROKEN: _brighten,
    PHANTOM: _as_phantom,
}
