"""How a cross-validation deals its studies, and what a fold learns from: nothing of the people it is measured on."""

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
from ..simulator.slice_planes import SliceSettings
from ..slices.augmentation import Augmentation
from ..slices.batches import TrainingData
from ..slices.sources import MixedSource, SliceSource
from ..slices.study_source import StudySource
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
    """The subjects that each fold keeps back; everybody is kept back once, but for those who tell nothing.

    These are learnt from in all folds: whoever has none of the landmarks ``names`` placed, and ``learnt_before``, whom
    the starting model knows already.

    Args:
        folds: how many; None: ``run_request.FOLDS``, or as many as there are subjects.
        leave_one_out: as many folds as subjects.

    Raises:
        UsageError: there are fewer subjects than folds, or fewer than two.
    """
    tell = {subject_of(study) for study in studies if placed_landmarks(study, names)} - learnt_before
    others = {subject_of(study) for study in studies} - tell
    if others:
        logger.warning(
            "learnt from in every fold and measured in none, because the starting model learnt from them or because "
            "they have no landmark: %s",
            ", ".join(sorted(others)),
        )
    dealt = [subject_of(study) for study in studies if subject_of(study) in tell]
    if len(tell) < 2:
        raise UsageError(
            f"{len(tell)} subjects with landmarks that the starting model has not learnt from are too few",
            remedy="Add cases of other subjects.",
        )
    if leave_one_out:
        groups = leave_one_subject_out(dealt)
    else:
        groups = subject_folds(dealt, min(FOLDS, len(tell)) if folds is None else folds, seed)
    return [frozenset(dealt[index] for index in group) for group in groups]


def load_fold_data(
    studies: Sequence[LabelledStudy], labels: Path | None, config: TrainingConfig, constellation: Constellation
) -> TrainingData:
    """What a fold learns from, as ``load_training_data`` makes it of whole data sets.

    What the fold is measured on must not choose its weights: the error is watched on ``config.folds`` of ``studies``,
    dealt anew; with 0 folds on simulated slices of label maps, and where there are none on what is learnt from.

    Args:
        studies: without those that the fold is measured on.

    Raises:
        InputError: nobody has any of the landmarks, or the label maps cannot be read.
    """
    names, mirror, slices = constellation.names, constellation.mirror_indices, SliceSettings()
    beside = load_training_data(DataFolders(labels=labels), config, constellation) if labels else None
    learnt, watched = _watched_apart(studies, config)
    augmentation = Augmentation.from_dict(config.augmentation)
    source: SliceSource = StudySource(learnt, names, mirror, slices, augmentation)
    if beside:
        source = MixedSource([source, beside.source], [config.study_fraction, 1 - config.study_fraction])
    if beside and not watched:
        return TrainingData(names, mirror, source, beside.check)
    tell = any(placed_landmarks(study, names) for study in watched)
    check = StudySource(watched if tell else learnt, names, mirror, slices, Augmentation.none()).all_slices()
    return TrainingData(names, mirror, source, check)


def _watched_apart(
    studies: Sequence[LabelledStudy], config: TrainingConfig
) -> tuple[list[LabelledStudy], list[LabelledStudy]]:
    """The studies to learn from, and those only to be watched."""
    subjects = [subject_of(study) for study in studies]
    folds = min(config.folds, len(set(subjects)))
    if folds < 2:
        return list(studies), []
    watched = set(subject_folds(subjects, folds, config.seed)[config.fold % folds])
    return (
        [study for i, study in enumerate(studies) if i not in watched],
        [study for i, study in enumerate(studies) if i in watched],
    )
