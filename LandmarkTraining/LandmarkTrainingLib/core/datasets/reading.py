"""Read the studies of a data set, with the points that count as truth.

Only points that the user placed, moved or locked are truth, or points known by construction (simulated scouts, volumes
with markups). A user who corrects one point of a plan has reviewed the box, not every other point: the remaining
predictions would teach a network its own errors, and in a validation set they would favour the model that made them.
The user accepts a point as it is by locking it. A landmark that the user removed is known to be absent; one that is
merely missing is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import read_json
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.storage.dataset import PROVENANCE_FILE, LabelledStudy, study_folder, study_names
from AutoVolumeCalibrationLib.core.storage.markups import MarkupPoint, read_landmarks
from AutoVolumeCalibrationLib.core.storage.results import LANDMARKS_FILE

#: Keys of a study's provenance: name of the anatomy that it was made for, SHA-256 of the pixels of its scouts.
ANATOMY, PIXELS = "anatomy", "pixels_sha256"

#: How a prediction is described in a point list (``storage.markups.landmark_description``).
_PREDICTION = re.compile(rf"\[{PREDICTED}(?:, confidence (?P<confidence>\d+\.?\d*))?(?:, sd (?P<sd>\d+\.?\d*) mm)?")

#: Standard deviation per axis of a prediction that does not state its own.
UNSTATED_SD_MM = 3.0

#: Stated ones are rounded to 0.1 mm.
_SMALLEST_SD_MM = 0.05

MISSING_REMEDY = "Restore the folder, or take its name out of dataset.json."
_REMEDY = "Restore the file, or take the study out of dataset.json."


def read_dataset(folder: Path | str) -> list[LabelledStudy]:
    """All studies of a data set, in its order; empty if the data set does not exist.

    Raises:
        InputError: the list or a study is damaged.
    """
    return [read_study(folder, name) for name in study_names(folder)]


def read_study(folder: Path | str, name: str, *, predictions: bool = False) -> LabelledStudy:
    """One study of a data set.

    Args:
        predictions: keep the points that a model found and the user neither moved nor locked, with status "predicted";
            otherwise ``landmarks`` hold the truth only, and a landmark that is not among them, or has no position, is
            unknown unless ``absent_of`` names it.

    Raises:
        InputError: the scouts, the points or the provenance cannot be read.
    """
    path = study_folder(folder, name)
    if not path.is_dir():
        raise InputError("is missing, but dataset.json lists it", source=str(path), remedy=MISSING_REMEDY)
    stacks = tuple(read_scouts([path]))
    return LabelledStudy(name, stacks, read_points_of(path, predictions=predictions), read_provenance(path))


def read_points_of(study: Path, *, predictions: bool = False) -> tuple[Landmark, ...]:
    """The landmarks in the folder of a study; InputError where they are damaged."""
    return landmarks_of_points(read_landmarks(study / LANDMARKS_FILE), predictions=predictions)


def read_provenance(study: Path) -> dict[str, Any]:
    """The provenance of the study in a folder, empty if it has none; InputError if the file is damaged."""
    path = study / PROVENANCE_FILE
    if not path.exists():
        return {}
    content = read_json(path, InputError, _REMEDY)
    if not isinstance(content, dict):
        raise InputError("does not state where the study came from", source=str(path), remedy=_REMEDY)
    return content


def landmarks_of_points(points: Iterable[MarkupPoint], *, predictions: bool) -> tuple[Landmark, ...]:
    """Landmarks from the points of a Slicer point list: corrected, unless described as a prediction and not locked.

    Without ``predictions`` the latter are left out.
    """
    landmarks = (_landmark(point) for point in points)
    return tuple(landmark for landmark in landmarks if predictions or landmark.status != PREDICTED)


def subject_of(study: LabelledStudy) -> str:
    """The subject of the study: the pseudonym in its provenance, else the study's own name."""
    return str(study.provenance.get("subject") or study.name)


def absent_of(study: LabelledStudy) -> frozenset[str]:
    """Names of the landmarks that are known not to be in the scouts: the user removed the prediction."""
    placed = {landmark.name for landmark in study.landmarks if landmark.position_mm is not None}
    return frozenset(study.provenance.get("removed", ())) - placed


def _landmark(point: MarkupPoint) -> Landmark:
    if point.position_mm is None:
        return Landmark(point.name)
    found = _PREDICTION.search(point.description)
    if point.locked or found is None:
        return Landmark(point.name).corrected(point.position_mm, point.covariance_mm2)
    sd_mm = max(float(found["sd"] or UNSTATED_SD_MM), _SMALLEST_SD_MM)
    return Landmark(point.name, point.position_mm, np.eye(3) * sd_mm**2, float(found["confidence"] or 0.0), PREDICTED)
