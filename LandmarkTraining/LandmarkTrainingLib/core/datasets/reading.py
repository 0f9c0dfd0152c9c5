"""Read the studies of a data set, with the points that count as truth.

Only a point that a person stands behind is truth: placed, moved or locked by hand, or known by construction (simulated
scouts, volumes with markups). A person who corrects one point of a plan has looked at the box, not at every other
point: the predictions that were left as they are would teach a network its own errors, and on studies kept back to
watch the error they would favour the very model that made them. Locking a point is how it is accepted as it lies.
A landmark that a person took away is known not to be there; one that is merely absent is unknown.
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

#: How a prediction is described in a point list (``markups_json.landmark_description``).
_PREDICTION = re.compile(rf"\[{PREDICTED}(?:, confidence (?P<confidence>\d+\.?\d*))?(?:, sd (?P<sd>\d+\.?\d*) mm)?")

#: Standard deviation per axis of a prediction that does not state its own.
UNSTATED_SD_MM = 3.0

#: Stated ones are rounded to 0.1 mm.
_SMALLEST_SD_MM = 0.05

_REMEDY = "Restore the file, or take the study out of dataset.json."


def read_dataset(folder: Path | str) -> list[LabelledStudy]:
    """All studies of a data set, in its order; none where there is no data set.

    Raises:
        InputError: the list or a study is damaged.
    """
    return [read_study(folder, name) for name in study_names(folder)]


def read_study(folder: Path | str, name: str, *, predictions: bool = False) -> LabelledStudy:
    """One study of a data set.

    Args:
        predictions: keep the points that a model found and nobody moved or locked, with status "predicted"; without
            it ``landmarks`` hold the truth only, and who is not among them, or has no place, is unknown unless
            ``absent_of`` names it.

    Raises:
        InputError: the scouts, the points or the provenance cannot be read.
    """
    place = study_folder(folder, name)
    stacks = tuple(read_scouts([place]))
    return LabelledStudy(name, stacks, read_points_of(place, predictions=predictions), read_provenance(place))


def read_points_of(place: Path, *, predictions: bool = False) -> tuple[Landmark, ...]:
    """The landmarks in the folder of a study; InputError where they are damaged."""
    return landmarks_of_points(read_landmarks(place / LANDMARKS_FILE), predictions=predictions)


def read_provenance(place: Path) -> dict[str, Any]:
    """Where the study in a folder came from, empty where nothing is told; InputError where the file is damaged."""
    path = place / PROVENANCE_FILE
    if not path.exists():
        return {}
    content = read_json(path, InputError, _REMEDY)
    if not isinstance(content, dict):
        raise InputError("does not tell where a study came from", source=str(path), remedy=_REMEDY)
    return content


def landmarks_of_points(points: Iterable[MarkupPoint], *, predictions: bool) -> tuple[Landmark, ...]:
    """Landmarks from the points of a Slicer point list: corrected, unless described as a prediction and not locked.

    Without ``predictions`` the latter are left out.
    """
    landmarks = (_landmark(point) for point in points)
    return tuple(mark for mark in landmarks if predictions or mark.status != PREDICTED)


def subject_of(study: LabelledStudy) -> str:
    """Who the study shows: the pseudonym in its provenance, else the study's own name."""
    return str(study.provenance.get("subject") or study.name)


def absent_of(study: LabelledStudy) -> frozenset[str]:
    """Names of the landmarks that are known not to be in the scouts: a person took the prediction away."""
    placed = {mark.name for mark in study.landmarks if mark.position_mm is not None}
    return frozenset(study.provenance.get("removed", ())) - placed


def _landmark(point: MarkupPoint) -> Landmark:
    if point.position_mm is None:
        return Landmark(point.name)
    found = _PREDICTION.search(point.description)
    if point.locked or found is None:
        return Landmark(point.name).corrected(point.position_mm)
    sd_mm = max(float(found["sd"] or UNSTATED_SD_MM), _SMALLEST_SD_MM)
    return Landmark(point.name, point.position_mm, np.eye(3) * sd_mm**2, float(found["confidence"] or 0.0), PREDICTED)
