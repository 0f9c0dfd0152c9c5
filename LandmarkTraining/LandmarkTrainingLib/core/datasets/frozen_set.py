"""Data that models are measured on: identified by their content, and kept apart from training data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata, sha256_of
from AutoVolumeCalibrationLib.core.storage.dataset import study_folder, study_names

from ..reference_heads.heads import Head
from .reading import read_provenance

#: Key of the training facts in a bundle's metadata: the subjects that it learnt from.
LEARNT_SUBJECTS = "learnt_subjects"


def dataset_fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of the files of all studies that a data set lists.

    Two sets with the same studies have the same fingerprint wherever they lie; any change to a scout, a point or the
    list gives another one.

    Raises:
        InputError: the list is damaged, or the set holds no study.
    """
    names = study_names(folder)
    if not names:
        raise InputError("holds no study", source=str(folder), remedy="Choose the folder of a data set.")
    studies = [study_folder(folder, name) for name in sorted(names)]
    return _fingerprint(folder, (path for study in studies for path in study.rglob("*")))


def heads_fingerprint(data: Path, heads: Iterable[Head]) -> str:
    """The same for the images and points of real heads (``core.reference_heads.heads``)."""
    paths = (data / "heads").glob("*")
    wanted = {head.id for head in heads}
    return _fingerprint(data, (path for path in paths if path.name.split(".")[0].removesuffix("_brain") in wanted))


def unlearnt_studies(folder: Path, bundles: Iterable[Path]) -> list[str]:
    """Names of the studies of a data set whose subjects none of the bundles learnt from.

    Raises:
        UsageError: they learnt from all of its subjects.
    """
    learnt = frozenset[str]().union(*map(learnt_subjects, bundles))
    subjects = {
        name: str(read_provenance(study_folder(folder, name)).get("subject") or name) for name in study_names(folder)
    }
    chosen = [name for name, subject in subjects.items() if subject not in learnt]
    if not chosen:
        raise UsageError(
            "the model learnt from every subject in it",
            source=str(folder),
            remedy="Measure on other cases. Are they other people? Build their set with other names (prefix).",
        )
    return chosen


def _fingerprint(root: Path, paths: Iterable[Path]) -> str:
    files = sorted((path.relative_to(root).as_posix(), path) for path in paths if path.is_file())
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(f"{name}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def learnt_subjects(bundle: Path) -> frozenset[str]:
    """Subjects of data sets that a bundle learnt from, directly or through its starting bundles, by its metadata.

    Empty for bundles without this information. Raises ModelError where the metadata are damaged.
    """
    training = read_metadata(bundle).get("training")
    subjects = training.get(LEARNT_SUBJECTS) if isinstance(training, dict) else None
    return frozenset(map(str, subjects)) if isinstance(subjects, list) else frozenset()
