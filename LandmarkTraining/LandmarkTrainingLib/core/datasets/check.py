"""Look a data set over before training on it: what is wrong, with which study, and what to do."""

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
from AutoVolumeCalibrationLib.core.planning.checks import ERROR, WARNING
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.storage.dataset import STUDIES, LabelledStudy, study_folder, study_names

from .file_pairs import points_in
from .findings import Finding
from .folds import subject_folds
from .from_archive import REFERENCE_BOX
from .reading import absent_of, read_points_of, read_provenance, subject_of
from .study_checks import check_anatomy, check_names, check_places, check_scouts

#: A landmark that at least this share of the other studies have is missed where it is not known.
USUAL_SHARE = 0.5

_T = TypeVar("_T")


@dataclass
class _Seen:
    """What is remembered of the studies that were looked at, to compare them."""

    subjects: dict[str, str] = field(default_factory=dict)
    #: Name -> landmarks whose truth is known, absent ones too.
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    #: Hash of a slice's pixels -> the first study that has it.
    slices: dict[str, str] = field(default_factory=dict)
    #: (study, an earlier study with the same pixels).
    copies: list[tuple[str, str]] = field(default_factory=list)


def check_dataset(folder: Path | str, protocol: Protocol, folds: Mapping[str, int] | None = None) -> list[Finding]:
    """Everything that is wrong with a data set, study after study, then what concerns several.

    A study that cannot be read is a finding like any other.

    Args:
        protocol: whose landmarks are to be learnt.
        folds: name of the study -> number of its fold, where folds were dealt.

    Raises:
        InputError: there is no such folder, or ``dataset.json`` itself is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("is no folder", source=str(folder), remedy="Choose the folder of a data set.")
    names = study_names(folder)
    findings: list[Finding] = []
    if not names:
        findings.append(Finding(ERROR, "", "there is no study", "Add corrected cases, or build the set from files."))
    seen = _Seen()
    for name in names:
        findings += _check_study(study_folder(folder, name), protocol, seen)
    findings += _unlisted(folder, names)
    findings += _missing(seen, protocol)
    findings += _copies(seen, folds or {})
    findings += _split_subjects(seen, folds or {})
    return findings


def deal_folds(folder: Path | str, count: int, seed: int) -> dict[str, int]:
    """Name of each study of a data set -> number of its fold, all studies of a person in one.

    Raises:
        InputError: ``dataset.json`` is damaged.
        UsageError: there are fewer persons than folds.
    """
    names = study_names(folder)
    subjects = [_subject(study_folder(folder, name)) for name in names]
    folds = subject_folds(subjects, count, seed)
    return {names[index]: number for number, members in enumerate(folds) for index in members}


def _check_study(place: Path, protocol: Protocol, seen: _Seen) -> Iterator[Finding]:
    """One study; whatever of it can be read is checked."""
    name = place.name
    provenance = _attempt(lambda: read_provenance(place))
    stacks = _attempt(lambda: tuple(read_scouts([place])))
    landmarks = _attempt(lambda: read_points_of(place))
    for part in (provenance, stacks, landmarks):
        if isinstance(part, InputError):
            yield _damaged(name, part)
    study = LabelledStudy(name, _or(stacks, ()), _or(landmarks, ()), _or(provenance, {}))
    seen.subjects[name] = subject_of(study)
    _compare(study, seen)
    yield from check_scouts(name, study.stacks)
    if isinstance(landmarks, InputError):
        return
    seen.known[name] = frozenset(points_in(study.landmarks)) | absent_of(study)
    if not seen.known[name]:
        remedy = "Calibrate it, correct or lock its points, and add it again."
        if REFERENCE_BOX in study.provenance:
            remedy = f"To train on it: {remedy} The site's box rule is learnt from it as it is."
        yield Finding(WARNING, name, "has no point that a person placed, so no network learns from it", remedy)
    yield from check_names(name, study.landmarks, protocol)
    yield from check_anatomy(name, study.landmarks, protocol)
    if study.stacks:
        yield from check_places(name, study.landmarks, study.stacks)


def _attempt(read: Callable[[], _T]) -> _T | InputError:
    """What ``read`` gives, or why it gives nothing."""
    try:
        return read()
    except InputError as error:
        return error


def _or(part: _T | InputError, default: _T) -> _T:
    return default if isinstance(part, InputError) else part


def _damaged(name: str, error: InputError) -> Finding:
    file = f"{Path(error.source).name}: " if error.source else ""
    return Finding(ERROR, name, f"{file}{error.what}", error.remedy or "Restore it, or take the study out of the set.")


def _compare(study: LabelledStudy, seen: _Seen) -> None:
    """Remember the study's slices, and with which earlier study it shares some. A slice of one value says nothing."""
    earlier = Counter()
    for one in (one for stack in study.stacks for one in stack.slices):
        if one.pixels.min() == one.pixels.max():
            continue
        shape = repr(one.pixels.shape).encode()
        key = hashlib.sha256(shape + np.ascontiguousarray(one.pixels).tobytes()).hexdigest()
        first = seen.slices.setdefault(key, study.name)
        if first != study.name:
            earlier[first] += 1
    seen.copies += [(study.name, first) for first in earlier]


def _unlisted(folder: Path, names: Sequence[str]) -> Iterator[Finding]:
    places = folder / STUDIES
    for place in sorted(places.iterdir()) if places.is_dir() else ():
        if place.is_dir() and place.name not in names:
            yield Finding(
                WARNING,
                place.name,
                "is not listed in dataset.json, so it is not used",
                "Add it, or remove it.",
            )


def _missing(seen: _Seen, protocol: Protocol) -> Iterator[Finding]:
    """Landmarks that no study knows, and those that a study lacks though most of the others have them."""
    labelled = {name: known for name, known in seen.known.items() if known}
    counts = Counter(landmark for known in labelled.values() for landmark in known)
    never = [name for name in protocol.constellation.names if not counts[name]] if labelled else []
    if never:
        remedy = "Place them, or train from a model that knows them: their outputs are not trained."
        yield Finding(WARNING, "", f"no study knows {', '.join(never)}", remedy)
    for study, known in labelled.items():
        lacking = [
            landmark
            for landmark in protocol.constellation.names
            if landmark not in known and counts[landmark] > max(1, USUAL_SHARE * (len(labelled) - 1))
        ]
        if lacking:
            remedy = "Place what can be seen; what is out of the images may stay away."
            yield Finding(WARNING, study, f"lacks {', '.join(lacking)}, which most studies have", remedy)


def _copies(seen: _Seen, folds: Mapping[str, int]) -> Iterator[Finding]:
    for study, first in seen.copies:
        same_person = seen.subjects[study] == seen.subjects[first]
        apart = first in folds and study in folds and folds[first] != folds[study]
        yield Finding(
            WARNING if same_person and not apart else ERROR,
            study,
            f"has the same pixels as {first}" + ("" if same_person else ", as if they were two persons"),
            "Take one of them out of dataset.json, or give both the same subject in provenance.json.",
        )


def _split_subjects(seen: _Seen, folds: Mapping[str, int]) -> Iterator[Finding]:
    numbers: dict[str, set[int]] = {}
    for study, subject in seen.subjects.items():
        if study in folds:
            numbers.setdefault(subject, set()).add(folds[study])
    for subject, found in numbers.items():
        if len(found) > 1:
            told = ", ".join(str(number) for number in sorted(found))
            remedy = "Deal the folds by subject: a network knows a person it has seen, and the error looks too small."
            yield Finding(ERROR, "", f"subject {subject} is in folds {told}", remedy)


def _subject(place: Path) -> str:
    """Who a study shows; one whose provenance is damaged stands for itself."""
    return subject_of(LabelledStudy(place.name, (), (), _or(_attempt(lambda: read_provenance(place)), {})))
