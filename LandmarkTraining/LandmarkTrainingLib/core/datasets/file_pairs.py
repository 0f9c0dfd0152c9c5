"""Match images with point files, by their folders and file names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.dicom import is_dicom
from AutoVolumeCalibrationLib.core.scouts.image_file import IMAGE_SUFFIXES
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks
from AutoVolumeCalibrationLib.core.storage.results import BOX_FILE

from ..reference_heads.point_files import read_points
from .building import Skipped
from .reading import landmarks_of_points

POINT_SUFFIXES = (".mrk.json", ".fcsv", ".csv")

#: What may follow the name of a point file in the name of its image: ``case1.fcsv`` and ``case1_sagittal.nrrd``.
_SEPARATORS = "_-. "


@dataclass(frozen=True)
class FilePair:
    """A point file with its images: image files, or the folder that holds them.

    ``folder`` is relative to the folder that was searched.
    """

    points: Path
    images: tuple[Path, ...]
    folder: Path


def find_pairs(root: Path) -> Iterator[FilePair | Skipped]:
    """Search a folder with all its sub-folders.

    A point file belongs to the images beside it whose names begin with its own. The only point file of a folder, if no
    name matches, belongs to everything in that folder and below it (DICOM too). Unmatched files are reported.

    Raises:
        InputError: the folder does not exist, or holds no point file.
    """
    if not root.is_dir():
        raise InputError("is not a folder", source=str(root), remedy="Give a folder with images and point files.")
    point_files = 0
    whole: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        current = Path(folder)
        files = [current / name for name in sorted(names) if not name.startswith(".")]
        points = [path for path in files if _ends(path, POINT_SUFFIXES) and path.name != BOX_FILE]
        images = [path for path in files if _ends(path, IMAGE_SUFFIXES)]
        point_files += len(points)
        if not points:
            if not any(map(current.is_relative_to, whole)) and (images or any(map(is_dicom, files))):
                yield Skipped(str(current), "holds images without a point file. Save their points beside them.")
            continue
        for found in _pairs_in(current, points, images, root):
            if isinstance(found, FilePair) and found.images == (current,):
                whole.append(current)
            yield found
    if not point_files:
        raise InputError(
            "holds no point file", source=str(root), remedy=f"Save the points as {' or '.join(POINT_SUFFIXES[:2])}."
        )


def read_point_file(path: Path) -> tuple[Landmark, ...]:
    """The landmarks of a ``.mrk.json``, ``.fcsv`` or ``.csv`` file; predictions that were not locked are left out.

    Raises:
        InputError: the file is damaged, or holds no point that the user placed or locked.
    """
    if path.suffix.lower() == ".csv":
        landmarks = tuple(Landmark(name).corrected(position) for name, position in read_points(path).items())
    else:
        landmarks = landmarks_of_points(read_landmarks(path), predictions=False)
    if not any(landmark.position_mm is not None for landmark in landmarks):
        raise InputError(
            "holds no point that the user placed",
            source=str(path),
            remedy="Place the points, or lock those that are right.",
        )
    return landmarks


def points_in(landmarks: Sequence[Landmark]) -> dict[str, np.ndarray]:
    """Name -> (3,) RAS mm of the landmarks that have a position."""
    return {landmark.name: landmark.position_mm for landmark in landmarks if landmark.position_mm is not None}


def _pairs_in(current: Path, points: list[Path], images: list[Path], root: Path) -> Iterator[FilePair | Skipped]:
    owners: dict[Path, list[Path]] = {path: [] for path in points}
    unowned = []
    for image in images:
        fitting = [path for path in points if _belongs(_stem(image), _stem(path))]
        if fitting:
            owners[max(fitting, key=lambda path: len(_stem(path)))].append(image)
        else:
            unowned.append(image)
    is_only_file = len(points) == 1 and not owners[points[0]]
    for path, owned in owners.items():
        if owned or is_only_file:
            yield FilePair(path, tuple(owned) or (current,), current.relative_to(root))
        else:
            yield Skipped(str(path), "no image beside it begins with its name. Give both the same name.")
    for image in () if is_only_file else unowned:
        yield Skipped(str(image), "no point file beside it has its name. Give both the same name.")


def _belongs(image: str, points: str) -> bool:
    return image == points or (image.startswith(points) and image[len(points)] in _SEPARATORS)


def _ends(path: Path, suffixes: Sequence[str]) -> bool:
    return path.name.lower().endswith(tuple(suffixes))


def _stem(path: Path) -> str:
    """The file name without its suffix."""
    suffixes = sorted((*POINT_SUFFIXES, *IMAGE_SUFFIXES), key=len, reverse=True)
    ending = next(suffix for suffix in suffixes if path.name.lower().endswith(suffix))
    return path.name[: -len(ending)]
