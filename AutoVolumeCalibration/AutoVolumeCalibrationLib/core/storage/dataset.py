"""Data sets to train on (DESIGN 11): a folder of studies, scouts as NRRD, landmarks as Slicer markups.

``dataset.json`` lists the studies; a folder that it does not list is no part of the set. It is written after the
study's own files, so that an interruption leaves a set that is whole.
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
        UsageError: the folder holds a data set already, or cannot be written.
    """
    if (folder / DATASET_FILE).exists():
        raise UsageError("holds a data set already", source=str(folder), remedy="Give another folder.")
    names = []
    for study in studies:
        place = study_folder(folder, study.name)
        _make_folder(place)
        _write_study(place, study, constellation)
        names.append(study.name)
    _write_list(folder, names)
    return len(names)


def add_study(
    folder: Path | str, calibration: Calibration, *, name: str | None = None, subject: str | None = None
) -> Path:
    """Append a study that a person corrected to a data set, which is made where there is none.

    Args:
        name: of the study's folder, letters, digits, ``_`` and ``-``, without patient data; a random one when None.
        subject: pseudonym of the person, in the same letters, where several studies show the same one.

    Returns:
        The study's folder.

    Raises:
        InputError: no landmark was corrected, or ``dataset.json`` is damaged.
        UsageError: a name cannot be used or is taken, or the folder cannot be written.
    """
    study = corrected_study(calibration, name or random_name("case"), subject)
    return append_study(folder, study, calibration.protocol.constellation)


def append_study(folder: Path | str, study: LabelledStudy, constellation: Constellation) -> Path:
    """Append a study to a data set, which is made where there is none; gives the study's folder.

    Nothing that is there is replaced, but for the list in ``dataset.json``, as a whole. The files tell nothing of the
    patient except the images themselves.

    Raises:
        InputError: ``dataset.json`` is damaged.
        UsageError: the study's or subject's name cannot be used or is taken, or the folder cannot be written.
    """
    folder = Path(folder)
    listed = study_names(folder)
    _require_name(study.name, "a study")
    if "subject" in study.provenance:
        _require_name(study.provenance["subject"], "a subject")
    place = study_folder(folder, study.name)
    if place.exists() or study.name in listed:
        raise UsageError("is there already", source=str(place), remedy="Give another name.")
    _make_folder(place)
    try:
        _write_study(place, study, constellation)
        _write_list(folder, [*listed, study.name])
    except BaseException:  # a cancel too must not leave half a study
        shutil.rmtree(place, ignore_errors=True)
        raise
    return place


def study_folder(folder: Path | str, name: str) -> Path:
    """Where a data set keeps the files of a study."""
    return Path(folder) / STUDIES / name


def random_name(kind: str) -> str:
    """A new name that tells nothing but the kind."""
    return f"{kind}_{uuid.uuid4().hex[:12]}"


def study_names(folder: Path | str) -> list[str]:
    """The studies that a data set lists, none where there is no data set yet.

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
    """Names of the landmarks that a person placed, and of those that were found and a person took away."""
    found = {mark.name for mark in calibration.predicted if mark.status != MISSING}
    placed = tuple(mark.name for mark in calibration.landmarks if mark.status == CORRECTED)
    removed = tuple(mark.name for mark in calibration.landmarks if mark.status == MISSING and mark.name in found)
    return placed, removed


def corrected_study(calibration: Calibration, name: str, subject: str | None = None) -> LabelledStudy:
    """A calibration as a study to learn from; InputError where a person decided nothing about it."""
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
        "corrected": list(placed),
        "removed": list(removed),
        "coordinate_system": "RAS",
        "box": box_to_dict(calibration.box),
    }
    if subject is not None:
        provenance["subject"] = subject
    return LabelledStudy(name, calibration.stacks, calibration.landmarks, provenance)


def write_scouts(folder: Path, stacks: Sequence[ScoutStack]) -> list[Path]:
    """Write stacks as ``<plane>.nrrd``, further ones of a plane as ``<plane>_2.nrrd``, ...; gives the files.

    One image cannot hold slices that are unevenly spaced or differ in size: each is then a file of its own,
    ``<plane>_slice_01.nrrd``, ... ``readers.read_scouts`` joins them again.
    """
    files: list[Path] = []
    seen: dict[str, int] = {}
    for stack in stacks:
        number = seen[stack.plane] = seen.get(stack.plane, 0) + 1
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


def _write_study(place: Path, study: LabelledStudy, constellation: Constellation) -> None:
    write_scouts(place, study.stacks)
    write_landmarks(place / LANDMARKS_FILE, study.landmarks, constellation)
    write_text(place / PROVENANCE_FILE, json_text(study.provenance))


def _write_list(folder: Path, names: Sequence[str]) -> None:
    write_text(folder / DATASET_FILE, json_text({"format": DATASET_FORMAT, "studies": list(names)}))


def _require_name(name: Any, what: str) -> None:
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise UsageError(f"{name!r} is no name for {what}", remedy="Use letters, digits, _ and -.")


def _make_folder(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be made ({error.strerror})", source=str(place)) from error
