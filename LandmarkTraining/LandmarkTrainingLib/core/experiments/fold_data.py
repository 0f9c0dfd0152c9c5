"""Split the studies of a cross-validation, and load a fold's training data without its held-out subjects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..config import TrainingConfig
from ..datasets.folds import leave_one_subject_out, subject_folds
from ..datasets.reading import subject_of
from ..runs.run_request import FOLDS
from ..slices.augmentation import Augmentation
from ..slices.batches import TrainingData
from ..slices.sources import MixedSource, SliceSource
from ..slices.study_source import StudySource
from ..slices.targets import slice_settings
from ..training.training_data import DataFolders, load_training_data
from .fold_measurement import placed_landmarks

logger = logging.getLogger(__name__)


def deal_subjects(
    studies: Sequence[LabelledStudy],
    names: Sequence[str],
    *,
    folds: int | None,
    leave_one_out: bool,
    seed: int,
    learnt_before: frozenset[str] = frozenset(),
) -> list[frozenset[str]]:
    """The held-out subjects of each fold; every subject is held out once, except those that cannot be measured.

    These are training data in all folds: subjects without any placed landmark of ``names``, and ``learnt_before``, the
    training subjects of the starting model.

    Args:
        folds: how many; None: ``run_request.FOLDS``, or as many as there are subjects.
        leave_one_out: as many folds as subjects.

    Raises:
        UsageError: there are fewer subjects than folds, or fewer than two.
    """
    measurable = {subject_of(study) for study in studies if placed_landmarks(study, names)} - learnt_before
    others = {subject_of(study) for study in studies} - measurable
    if others:
        logger.warning(
            "used for training in every fold and measured in none, because the starting model learnt from them or "
            "because they have no landmark: %s",
            ", ".join(sorted(others)),
        )
    cases = [subject_of(study) for study in studies if subject_of(study) in measurable]
    if len(measurable) < 2:
        raise UsageError(
            f"{len(measurable)} subjects with landmarks that the starting model has not learnt from are too few",
            remedy="Add cases of other subjects.",
        )
    if leave_one_out:
        groups = leave_one_subject_out(cases)
    else:
        groups = subject_folds(cases, min(FOLDS, len(measurable)) if folds is None else folds, seed)
    return [frozenset(cases[index] for index in group) for group in groups]


def load_fold_data(
    studies: Sequence[LabelledStudy], labels: Path | None, config: TrainingConfig, constellation: Constellation
) -> TrainingData:
    """Training data of a fold, like ``load_training_data`` for whole data sets.

    The studies that the fold is measured on must not select its weights: the validation studies are one of
    ``config.folds`` folds of ``studies``, split anew; with 0 folds simulated slices of label maps, or without these the
    training studies.

    Args:
        studies: without those that the fold is measured on.

    Raises:
        InputError: no study has any of the landmarks, or the label maps cannot be read.
    """
    names, mirror, slices = constellation.names, constellation.mirror_indices, slice_settings(config)
    beside = load_training_data(DataFolders(labels=labels), config, constellation) if labels else None
    learnt, validation = _split_validation(studies, config)
    augmentation = Augmentation.suited_to(config.augmentation, mirror)
    source: SliceSource = StudySource(learnt, names, mirror, slices, augmentation)
    if beside:
        source = MixedSource([source, beside.source], [config.study_fraction, 1 - config.study_fraction])
    if beside and not validation:
        return TrainingData(names, mirror, source, beside.check)
    has_truth = any(placed_landmarks(study, names) for study in validation)
    check = StudySource(validation if has_truth else learnt, names, mirror, slices, Augmentation.none()).all_slices()
    return TrainingData(names, mirror, source, check)


def _split_validation(
    studies: Sequence[LabelledStudy], config: TrainingConfig
) -> tuple[list[LabelledStudy], list[LabelledStudy]]:
    """The training studies and the validation studies."""
    subjects = [subject_of(study) for study in studies]
    folds = min(config.folds, len(set(subjects)))
    if folds < 2:
        return list(studies), []
    validation = set(subject_folds(subjects, folds, config.seed)[config.fold % folds])
    return (
        [study for i, study in enumerate(studies) if i not in validation],
        [study for i, study in enumerate(studies) if i in validation],
    )
