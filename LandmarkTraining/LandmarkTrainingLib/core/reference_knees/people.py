"""The landmarks of the people whose knees were measured, and which people are kept for the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError

from .bones import PEOPLE_LABELS, read_bones
from .landmarks import KneeLandmarks, find_landmarks

#: People whose shapes are used for nothing but the test of a finished model, chosen before any were measured: every
#: fourth number, so that the order in which the people were collected does not matter.
KEPT_BACK = (4, 8, 12, 16, 20, 24)


def read_people(folder: Path, *, kept_back: bool = False) -> dict[int, list[KneeLandmarks]]:
    """Number of the person -> the landmarks of each visit, from label maps ``*_NNv.nii.gz`` (number, visit).

    Args:
        kept_back: only those of KEPT_BACK; else only the others.

    Raises:
        InputError: the folder has no such file, or one cannot be read.
    """
    people: dict[int, list[KneeLandmarks]] = {}
    for path in sorted(Path(folder).glob("*_[0-9][0-9][a-z].nii.gz")):
        number = int(path.name.split("_")[-1][:2])
        if (number in KEPT_BACK) == kept_back:
            people.setdefault(number, []).append(find_landmarks(read_bones(path, PEOPLE_LABELS)))
    if not people:
        raise InputError(
            "has no *_NNv.nii.gz", source=str(folder), remedy="Choose the folder of the knees' label maps."
        )
    return people


def stacked(landmarks: KneeLandmarks, names: tuple[str, ...]) -> np.ndarray:
    """(k, 3) in the knee's own axes, NaN where a landmark was not found."""
    absent = np.full(3, np.nan)
    return np.array([landmarks.points_mm.get(name, absent) for name in names]) @ landmarks.axes.T
