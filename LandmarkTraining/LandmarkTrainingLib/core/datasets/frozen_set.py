"""Data that models are measured on: identified by their content, and kept apart from training data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata, sha256_of
from AutoVolumeCalibrationLib.core.storage.dataset import study_folder, study_names

from ..reference_heads.heads import Head

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
