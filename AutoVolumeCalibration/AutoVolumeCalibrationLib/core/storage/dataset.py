"""Data sets to train on: a folder of studies, scouts as NRRD, landmarks as Slicer markups.

``dataset.json`` lists the studies; a folder that it does not list does not belong to the set. It is written after
the files of the study, so that an interruption leaves a consistent set.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ..anatomy.constellation import Constellation
from ..anatomy.landmark import CORRECTED, MISSING, Landmark
from ..errors import InputError, UsageError
from ..files.atomic_write import atomic_path, write_text
from ..files.json_files import json_text, read_json, require_schema
from ..geometry.coordinates import swap_ras_lps
from ..scouts.stack import ScoutStack, is_even
from .markups import write_landmarks
from .results import LANDMARKS_FILE, box_to_dict

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration

DATASET_FORMAT = "AutoVolumeCalibration/dataset/1"
DATASET_FILE, STUDIES, PROVENANCE_FILE = "dataset.json", "studies", "provenance.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REMEDY = "Choose the folder of a data set, or an empty one."


@dataclass(frozen=True, eq=False)
class LabelledStudy:
    """Scouts with their landmarks, and where both came from (no patient data)."""

    name: str
    stacks: tuple[ScoutStack, ...]
    landmarks: tuple[Landmark, ...]
    provenance: dict[str, Any]


def write_dataset(folder: Path, studies: Iterable[LabelledStudy], constellation: Constellation) -> int:
    """Write a new data set; returns how many studies.

    Raises:
        UsageError: the folder already holds a data set, or cannot be written.
    """
    if (folder / DATASET_FILE).exists():
        raise UsageError("already holds a data set", source=str(folder), remedy="Give another folder.")
    names = []
    for study in studies:
        target = study_folder(folder, study.name)
        _make_folder(target)
        _write_study(target, study, constellation)
        names.append(study.name)
    _write_list(folder, names)
    return len(names)


def add_study(
    folder: Path | str, calibration: Calibration, *, name: str | None = None, subject: str | None = None
) -> Path:
    """Append a study that the user corrected to a data set, which is created if absent.

    Args:
        name: of the study's folder, letters, digits, ``_`` and ``-``, without patient data; a random one when None.
        subject: pseudonym of the subject, in the same letters, needed where several studies show the same one.

    Returns:
        The study's folder.

    Raises:
        InputError: no landmark was corrected, or ``dataset.json`` is damaged.
        UsageError: a name cannot be used or is taken, or the folder cannot be written.
    """
    study = corrected_study(calibration, name or random_name("case"), subject)
    return append_study(folder, study, calibration.protocol.constellation)


def append_study(folder: Path | str, study: LabelledStudy, constellation: Constellation) -> Path:
    """Append a study to a data set, which is created if absent; returns the folder of the study.

    Existing files stay, except ``dataset.json``, which is replaced atomically. Of the patient the files hold
    nothing but the images themselves.

    Raises:
        InputError: ``dataset.json`` is damaged.
        UsageError: the study's or subject's name cannot be used or is taken, or the folder cannot be written.
    """
    folder = Path(folder)
    listed = study_names(folder)
    _require_name(study.name, "study")
    if "subject" in study.provenance:
        _require_name(study.provenance["subject"], "subject")
    target = study_folder(folder, study.name)
    if target.exists() or study.name in listed:
        raise UsageError("already exists", source=str(target), remedy="Give another name.")
    _make_folder(target)
    try:
        _write_study(target, study, constellation)
        _write_list(folder, [*listed, study.name])
    except BaseException:  # a cancel too must not leave half a study
        shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def study_folder(folder: Path | str, name: str) -> Path:
    """The folder of a study in a data set."""
    return Path(folder) / STUDIES / name


def random_name(kind: str) -> str:
    """A new random name that reveals nothing but the kind."""
    return f"{kind}_{uuid.uuid4().hex[:12]}"


def study_names(folder: Path | str) -> list[str]:
    """The studies that a data set lists, empty where there is no data set yet.

    Raises:
        InputError: ``dataset.json`` cannot be read or is of another format.
    """
    path = Path(folder) / DATASET_FILE
    if not path.exists():
        return []
    data = read_json(path, InputError, _REMEDY)
    require_schema(data, "dataset", path, InputError, _REMEDY)
    return list(data["studies"])


def decided_by_person(calibration: Calibration) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the landmarks that the user placed, and of the found ones that the user removed."""
    found = {landmark.name for landmark in calibration.predicted if landmark.status != MISSING}
    placed = tuple(landmark.name for landmark in calibration.landmarks if landmark.status == CORRECTED)
    missing = tuple(landmark.name for landmark in calibration.landmarks if landmark.status == MISSING)
    removed = tuple(name for name in missing if name in found)
    return placed, removed


def corrected_study(calibration: Calibration, name: str, subject: str | None = None) -> LabelledStudy:
    """A calibration as a study to learn from; InputError where the user corrected and removed nothing."""
    placed, removed = decided_by_person(calibration)
    if not placed and not removed:
        raise InputError(
            "no landmark is corrected, so there is nothing to learn from it", remedy="Correct at least one landmark."
        )
    model = calibration.model
    provenance = {
        "kind": "corrected",
        "software": {"name": "AutoVolumeCalibration", "version": __version__},
        "model": {"name": model.name, "sha256": model.sha256} if model else None,
        "protocol": calibration.protocol.name,
        **({"anatomy": calibration.protocol.anatomy} if calibration.protocol.anatomy else {}),
        "corrected": list(placed),
        "removed": list(removed),
        "coordinate_system": "RAS",
        "box": box_to_dict(calibration.box),
    }
    if subject is not None:
        provenance["subject"] = subject
    return LabelledStudy(name, calibration.stacks, calibration.landmarks, provenance)


def write_scouts(folder: Path, stacks: Sequence[ScoutStack]) -> list[Path]:
    """Write stacks as ``<plane>.nrrd``, further ones of a plane as ``<plane>_2.nrrd``, ...; returns the files.

    One image cannot hold slices that are unevenly spaced or differ in size: each is then a file of its own,
    ``<plane>_slice_01.nrrd``, ... ``reader.read_scouts`` joins them again.
    """
    files: list[Path] = []
    counts: dict[str, int] = {}
    for stack in stacks:
        number = counts[stack.plane] = counts.get(stack.plane, 0) + 1
        title = stack.plane if number == 1 else f"{stack.plane}_{number}"
        parts = {title: stack}
        if not is_even(stack):
            single = [ScoutStack(stack.plane, (one,)) for one in stack.slices]
            parts = {f"{title}_slice_{index:02d}": part for index, part in enumerate(single, start=1)}
        for name, part in parts.items():
            files.append(folder / f"{name}.nrrd")
            write_stack(files[-1], part)
    return files


def write_stack(path: Path, stack: ScoutStack) -> None:
    """Write an evenly spaced stack as an image (k, row, column) with its geometry."""
    import SimpleITK

    first = stack.slices[0]
    positions = stack.positions_mm
    gap = float(np.diff(positions).mean()) if len(positions) > 1 else stack.thickness_mm
    image = SimpleITK.GetImageFromArray(np.stack([s.pixels for s in stack.slices]))
    image.SetSpacing([first.spacing_mm[1], first.spacing_mm[0], gap])
    axes = np.stack([first.column_axis, first.row_axis, stack.normal])
    image.SetDirection(swap_ras_lps(axes).T.ravel().tolist())
    image.SetOrigin(swap_ras_lps(first.origin_mm).tolist())
    with atomic_path(path) as temporary:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True)


def _write_study(target: Path, study: LabelledStudy, constellation: Constellation) -> None:
    write_scouts(target, study.stacks)
    write_landmarks(target / LANDMARKS_FILE, study.landmarks, constellation)
    write_text(target / PROVENANCE_FILE, json_text(study.provenance))


def _write_list(folder: Path, names: Sequence[str]) -> None:
    write_text(folder / DATASET_FILE, json_text({"format": DATASET_FORMAT, "studies": list(names)}))


def _require_name(name: Any, what: str) -> None:
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise UsageError(f"{name!r} is not a valid {what} name", remedy="Use letters, digits, _ and -.")


def _make_folder(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be created ({error.strerror})", source=str(target)) from error
