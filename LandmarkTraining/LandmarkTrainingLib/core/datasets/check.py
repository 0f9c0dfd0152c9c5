"""Check a data set before training on it: what is wrong, with which study, and what to do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, WARNING
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.storage.dataset import STUDIES, LabelledStudy, study_folder, study_names

from .anatomy_fit import misfit
from .file_pairs import points_in
from .findings import Finding
from .folds import subject_folds
from .from_archive import REFERENCE_BOX
from .reading import MISSING_REMEDY, absent_of, read_points_of, read_provenance, subject_of
from .study_checks import check_anatomy, check_names, check_positions, check_scouts

#: A landmark that at least this share of the other studies have is reported as missing.
USUAL_SHARE = 0.5

_T = TypeVar("_T")


@dataclass
class _Checked:
    """What is kept of the studies checked so far, to compare them."""

    subjects: dict[str, str] = field(default_factory=dict)
    #: Name -> landmarks whose truth is known, absent ones too.
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    #: Hash of a slice's pixels -> the first study that has it.
    slices: dict[str, str] = field(default_factory=dict)
    #: (study, an earlier study with the same pixels).
    copies: list[tuple[str, str]] = field(default_factory=list)


def check_dataset(folder: Path | str, protocol: Protocol, folds: Mapping[str, int] | None = None) -> list[Finding]:
    """All findings about a data set: first study by study, then those that concern several studies.

    A study that cannot be read is a finding like any other.

    Args:
        protocol: whose landmarks are to be learnt.
        folds: name of the study -> number of its fold, where the studies were split into folds.

    Raises:
        InputError: the folder does not exist, or ``dataset.json`` itself is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("is not a folder", source=str(folder), remedy="Choose the folder of a data set.")
    names = study_names(folder)
    findings: list[Finding] = []
    if not names:
        findings.append(
            Finding(ERROR, "", "the data set holds no studies", "Add corrected cases, or build the set from files.")
        )
    checked = _Checked()
    for name in names:
        findings += _check_study(study_folder(folder, name), protocol, checked)
    findings += _unlisted(folder, names)
    findings += _missing(checked, protocol)
    findings += _copies(checked, folds or {})
    findings += _split_subjects(checked, folds or {})
    return findings


def deal_folds(folder: Path | str, count: int, seed: int) -> dict[str, int]:
    """Name of each study of a data set -> number of its fold, all studies of a subject in the same fold.

    Raises:
        InputError: ``dataset.json`` is damaged.
        UsageError: there are fewer subjects than folds.
    """
    names = study_names(folder)
    subjects = [_subject(study_folder(folder, name)) for name in names]
    folds = subject_folds(subjects, count, seed)
    return {names[index]: number for number, members in enumerate(folds) for index in members}


def _check_study(study_path: Path, protocol: Protocol, checked: _Checked) -> Iterator[Finding]:
    """Check one study, as far as it can be read."""
    name = study_path.name
    if not study_path.is_dir():
        yield Finding(ERROR, name, "is listed in dataset.json, but its folder is missing", MISSING_REMEDY)
        return
    provenance = _attempt(lambda: read_provenance(study_path))
    stacks = _attempt(lambda: tuple(read_scouts([study_path])))
    landmarks = _attempt(lambda: read_points_of(study_path))
    for part in (provenance, stacks, landmarks):
        if isinstance(part, InputError):
            yield _damaged(name, part)
    study = LabelledStudy(name, _or(stacks, ()), _or(landmarks, ()), _or(provenance, {}))
    checked.subjects[name] = subject_of(study)
    _compare(study, checked)
    yield from check_scouts(name, study.stacks)
    if isinstance(landmarks, InputError):
        return
    checked.known[name] = frozenset(points_in(study.landmarks)) | absent_of(study)
    if not checked.known[name]:
        remedy = "Calibrate it, correct or lock its points, and add it again."
        if REFERENCE_BOX in study.provenance:
            remedy = f"To train on it: {remedy} The site's box rule is learnt from it as it is."
        yield Finding(WARNING, name, "has no point that the user placed, so no network learns from it", remedy)
    if wrong := misfit(name, study.landmarks, study.provenance, protocol):
        checked.known[name] = frozenset()
        yield wrong  # every other finding about its points follows from this one
        return
    yield from check_names(name, study.landmarks, protocol)
    yield from check_anatomy(name, study.landmarks, protocol)
    if study.stacks:
        yield from check_positions(name, study.landmarks, study.stacks)


def _attempt(read: Callable[[], _T]) -> _T | InputError:
    """The result of ``read``, or its error."""
    try:
        return read()
    except InputError as error:
        return error


def _or(part: _T | InputError, default: _T) -> _T:
    return default if isinstance(part, InputError) else part


def _damaged(name: str, error: InputError) -> Finding:
    file = f"{Path(error.source).name}: " if error.source else ""
    return Finding(ERROR, name, f"{file}{error.what}", error.remedy or "Restore it, or take the study out of the set.")


def _compare(study: LabelledStudy, checked: _Checked) -> None:
    """Record the study's slices, and which earlier studies share some. A constant slice is ignored."""
    earlier: Counter[str] = Counter()
    for one in (one for stack in study.stacks for one in stack.slices):
        if one.pixels.min() == one.pixels.max():
            continue
        shape = repr(one.pixels.shape).encode()
        key = hashlib.sha256(shape + np.ascontiguousarray(one.pixels).tobytes()).hexdigest()
        first = checked.slices.setdefault(key, study.name)
        if first != study.name:
            earlier[first] += 1
    checked.copies += [(study.name, first) for first in earlier]


def _unlisted(folder: Path, names: Sequence[str]) -> Iterator[Finding]:
    studies_path = folder / STUDIES
    for study_path in sorted(studies_path.iterdir()) if studies_path.is_dir() else ():
        if study_path.is_dir() and study_path.name not in names:
            yield Finding(
                WARNING,
                study_path.name,
                "is not listed in dataset.json, so it is not used",
                "Add it, or remove it.",
            )


def _missing(checked: _Checked, protocol: Protocol) -> Iterator[Finding]:
    """Landmarks that no study has, and those that a study lacks although most others have them."""
    labelled = {name: known for name, known in checked.known.items() if known}
    counts = Counter(landmark for known in labelled.values() for landmark in known)
    never = [name for name in protocol.constellation.names if not counts[name]] if labelled else []
    if never:
        remedy = "Place them, or start from a model that was trained on them: their outputs are not trained."
        yield Finding(WARNING, "", f"no study has {', '.join(never)}", remedy)
    for study, known in labelled.items():
        lacking = [
            landmark
            for landmark in protocol.constellation.names
            if landmark not in known and counts[landmark] > max(1, USUAL_SHARE * (len(labelled) - 1))
        ]
        if lacking:
            remedy = "Place those that are visible; those outside of the images may stay unplaced."
            yield Finding(WARNING, study, f"lacks {', '.join(lacking)}, which most studies have", remedy)


def _copies(checked: _Checked, folds: Mapping[str, int]) -> Iterator[Finding]:
    for study, first in checked.copies:
        same_subject = checked.subjects[study] == checked.subjects[first]
        apart = first in folds and study in folds and folds[first] != folds[study]
        yield Finding(
            WARNING if same_subject and not apart else ERROR,
            study,
            f"has the same pixels as {first}" + ("" if same_subject else ", under another subject"),
            "Take one of them out of dataset.json, or give both the same subject in provenance.json.",
        )


def _split_subjects(checked: _Checked, folds: Mapping[str, int]) -> Iterator[Finding]:
    numbers: dict[str, set[int]] = {}
    for study, subject in checked.subjects.items():
        if study in folds:
            numbers.setdefault(subject, set()).add(folds[study])
    for subject, found in numbers.items():
        if len(found) > 1:
            listed = ", ".join(str(number) for number in sorted(found))
            remedy = "Split the folds by subject: the error on subjects seen in training is too small."
            yield Finding(ERROR, "", f"subject {subject} is in folds {listed}", remedy)


def _subject(study_path: Path) -> str:
    """The subject of a study; with a damaged provenance, the study's own name."""
    return subject_of(LabelledStudy(study_path.name, (), (), _or(_attempt(lambda: read_provenance(study_path)), {})))
