"""Real heads with known landmarks, for evaluation."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, Landmark
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.volume import Volume

from .brain_extremes import acpc_axes, brain_extremes
from .corrected_targets import correct_volume_points
from .point_files import read_points, read_uncertainties

#: AFIDs on whose position the templates disagree (3-15 mm): not used as truth.
UNRELIABLE = frozenset({"RVOH", "LVOH", "RALTH", "LALTH"})

#: Extremes along the patient axes instead of the head's own: not used as landmarks.
_PATIENT_AXIS_EXTREMES = ("BRAIN_", "SCALP_", "HEAD_")

#: Names the head from which the points of a file were transferred.
_TRANSFERRED = re.compile(r"rigid from (\w+)")


@dataclass(frozen=True, eq=False)
class Head:
    """One head: its image and its true landmarks.

    Attributes:
        id: name of the head in the data.
        split: "validation" (never trained on) or "train".
        subject: several heads may be of the same one.
        contrast: of the image, in words.
        volume_path: the image file.
        points: landmark name -> (3,) RAS mm.
        covariances_mm2: landmark name -> (3, 3) RAS covariance of its position.
        brain_points: (n, 3) RAS points on the surface of the brain, or None.
        corrected: PC, LVAC and LVPC lie where human raters place them (``with_corrected_points``).
    """

    id: str
    split: str
    subject: str
    contrast: str
    volume_path: Path
    points: Mapping[str, np.ndarray]
    covariances_mm2: Mapping[str, np.ndarray]
    brain_points: np.ndarray | None = None
    corrected: bool = False

    @property
    def origin_mm(self) -> np.ndarray:
        """(3,) RAS: the anterior commissure."""
        return self.points["AC"]

    @property
    def axes(self) -> np.ndarray:
        """(3, 3), rows are right, anterior, superior of the head's AC-PC frame."""
        return acpc_axes(self.points)

    def volume(self) -> Volume:
        """The image, read from disk at every call."""
        from AutoVolumeCalibrationLib.core.scouts.image_file import read_volume

        return read_volume(self.volume_path)

    def landmarks(self) -> list[Landmark]:
        """The true landmarks with their covariances."""
        return [
            Landmark(name, point, self.covariances_mm2[name], 1.0, CORRECTED) for name, point in self.points.items()
        ]


def list_heads(data_folder: Path | str, split: str, *, corrected: bool = False) -> list[Head]:
    """The heads of one split, in the order of ``heads.csv``.

    Args:
        data_folder: holds ``heads.csv`` and ``heads/<id>.{nii.gz,csv}``, some with ``heads/<id>_brain.npy``.
        split: "validation" or "train".
        corrected: with PC, LVAC and LVPC moved to where human raters place them (``corrected_targets``) instead of as
            the files have them.

    Raises:
        InputError: a file is missing or damaged, or no head belongs to the split.
    """
    folder = Path(data_folder)
    table = folder / "heads.csv"
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if row.get("split") == split]
    except OSError as error:
        raise InputError(
            "the table of heads cannot be read", source=str(table), remedy="Name the folder that holds it."
        ) from error
    if not rows:
        raise InputError(
            f"no head belongs to the split {split!r}", source=str(table), remedy="Correct its column split."
        )
    heads = [_read_head(folder / "heads", row) for row in rows]
    return [with_corrected_points(head) for head in heads] if corrected else heads


def with_corrected_points(head: Head) -> Head:
    """The head with PC, LVAC and LVPC moved as ``corrected_targets`` says; the rest stays."""
    points = correct_volume_points(head.points, head.origin_mm, head.axes)
    return replace(head, points=points, corrected=True)


def _read_head(folder: Path, row: Mapping[str, str]) -> Head:
    path = folder / f"{row['id']}.csv"
    points = {name: point for name, point in read_points(path).items() if _is_landmark(name)}
    absent = [name for name in ("AC", "PC") if name not in points]
    if absent:
        raise InputError(f"has no point {', '.join(absent)}", source=str(path), remedy="Add it.")
    deviations = read_uncertainties(path)
    unstated = [name for name in points if name not in deviations]
    if unstated:
        raise InputError(f"has no uncertainty_mm of {', '.join(unstated)}", source=str(path), remedy="Add it.")
    covariances = {name: np.eye(3) * deviations[name] ** 2 for name in points}
    brain = _read_brain_points(folder, row["id"])
    if brain is not None:
        extremes, extreme_covariances = brain_extremes(brain, points["AC"], acpc_axes(points))
        points, covariances = points | extremes, covariances | extreme_covariances
    volume_path = folder / f"{row['id']}.nii.gz"
    return Head(
        row["id"], row["split"], row["subject"], row["contrast_scanner"], volume_path, points, covariances, brain
    )


def _is_landmark(name: str) -> bool:
    return name not in UNRELIABLE and not name.startswith(_PATIENT_AXIS_EXTREMES)


def _read_brain_points(folder: Path, head_id: str) -> np.ndarray | None:
    """(n, 3) RAS points on the brain; of a head with transferred points, those of the original."""
    path = folder / f"{head_id}_brain.npy"
    if path.exists():
        return np.load(path, allow_pickle=False).astype(float)
    original = _original_of(folder, head_id)
    if original is None:
        return None
    source = folder / f"{original}_brain.npy"
    if not source.exists():
        return None
    rotation, shift = _rigid_between(read_points(folder / f"{original}.csv"), read_points(folder / f"{head_id}.csv"))
    return np.load(source, allow_pickle=False).astype(float) @ rotation.T + shift


def _original_of(folder: Path, head_id: str) -> str | None:
    """The head (same subject, other contrast) from which the points were transferred, None if they are its own."""
    with open(folder / f"{head_id}.csv", newline="", encoding="utf-8-sig") as file:
        sources = [row.get("source") or "" for row in csv.DictReader(file)]
    found = {match[1] for match in map(_TRANSFERRED.search, sources) if match}
    return found.pop() if len(found) == 1 else None


def _rigid_between(from_mm: Mapping[str, np.ndarray], to_mm: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(rotation (3, 3), shift (3,)) that maps the points of one file onto the same points of another."""
    from scipy.spatial.transform import Rotation

    names = [name for name in from_mm if name in to_mm]
    a, b = np.array([from_mm[name] for name in names]), np.array([to_mm[name] for name in names])
    rotation = Rotation.align_vectors(b - b.mean(axis=0), a - a.mean(axis=0))[0].as_matrix()
    return rotation, b.mean(axis=0) - rotation @ a.mean(axis=0)
