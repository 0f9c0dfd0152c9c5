"""Put studies from any source into a data set: neutral names, one subject per patient, a list of what was left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy, append_study, study_folder, study_names

from .reading import ANATOMY, PIXELS, read_provenance


@dataclass(frozen=True)
class Skipped:
    """A source that gave no study: its path, the reason and the remedy."""

    source: str
    reason: str


@dataclass(frozen=True, eq=False)
class Candidate:
    """A source that may give studies, not read yet.

    Attributes:
        source: its path.
        read: returns its studies; their names do not matter. InputError if it has none.
        patient: any key that candidates of one patient share; it is not saved. None: a patient of its own.
    """

    source: str
    read: Callable[[], Iterable[LabelledStudy]]
    patient: str | None = None


@dataclass(frozen=True)
class Built:
    """What was added to a data set: (name of the study, where it came from); and what was left out."""

    added: tuple[tuple[str, str], ...]
    skipped: tuple[Skipped, ...]


def build_dataset(
    folder: Path,
    candidates: Iterable[Candidate | Skipped],
    constellation: Constellation,
    anatomy: str = "",
    prefix: str = "case",
) -> Built:
    """Append every study of the candidates; the data set is created if it does not exist.

    Studies are called ``case_0001``, ... : file and folder names often name patients. The studies of one patient
    carry the name of the first as their subject. A candidate that cannot be read is left out and reported, and the
    others go on; what was added before an interruption stays. Studies whose pixels the set held before are left out:
    the same command typed twice adds nothing.

    Args:
        prefix: of the names of the studies; sets of different people need different ones.
        anatomy: its name, kept in the provenance of the studies; empty: unknown.

    Raises:
        InputError: the list of the data set is damaged.
        UsageError: the data set cannot be written.
    """
    added: list[tuple[str, str]] = []
    skipped: list[Skipped] = []
    first_of: dict[str, str] = {}
    names, earlier = _free_names(folder, prefix), _pixels_of_studies(folder)
    for candidate in candidates:
        if isinstance(candidate, Skipped):
            skipped.append(candidate)
            continue
        try:
            studies = list(candidate.read())
        except InputError as error:
            skipped.append(Skipped(candidate.source, _reason(error, candidate.source)))
            continue
        studies = [replace(study, provenance={**study.provenance, PIXELS: _pixels_of(study)}) for study in studies]
        new = [study for study in studies if study.provenance[PIXELS] not in earlier]
        if copies := [study for study in studies if study.provenance[PIXELS] in earlier]:
            first = earlier[copies[0].provenance[PIXELS]]
            skipped.append(Skipped(candidate.source, f"is in the set already, as {first}"))
        for study in new:
            name = next(names)
            provenance = dict(study.provenance)
            if anatomy:
                provenance[ANATOMY] = anatomy
            if candidate.patient is not None:
                provenance["subject"] = first_of.setdefault(candidate.patient, name)
            append_study(folder, replace(study, name=name, provenance=provenance), constellation)
            added.append((name, candidate.source))
    return Built(tuple(added), tuple(skipped))


def _pixels_of_studies(folder: Path) -> dict[str, str]:
    """Digest of pixels in a data set -> the first study that has them; studies without a digest are left out."""
    first_last = reversed(study_names(folder))
    pairs = ((read_provenance(study_folder(folder, name)).get(PIXELS), name) for name in first_last)
    return {str(digest): name for digest, name in pairs if digest}


def _pixels_of(study: LabelledStudy) -> str:
    digest = hashlib.sha256()
    for one in (one for stack in study.stacks for one in stack.slices):
        digest.update(repr(one.pixels.shape).encode() + np.ascontiguousarray(one.pixels).tobytes())
    return digest.hexdigest()


def _free_names(folder: Path, prefix: str) -> Iterator[str]:
    """``<prefix>_0001``, ... without those that are taken."""
    taken = set(study_names(folder))
    number = 0
    while True:
        number += 1
        name = f"{prefix}_{number:04d}"
        if name not in taken and not study_folder(folder, name).exists():
            yield name


def _reason(error: InputError, source: str) -> str:
    """The error as text, with its file where that differs from the candidate's."""
    other = f"{error.source}: " if error.source and error.source != source else ""
    return f"{other}{error.what}" + (f". {error.remedy}" if error.remedy else "")
