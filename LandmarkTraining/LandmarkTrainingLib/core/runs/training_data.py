"""The data of a run: from folders on disk to a source of slices, and slices to watch the error on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy import Constellation
from AutoVolumeCalibrationLib.core.dataset import LabelledStudy
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.json_files import json_text, read_json
from AutoVolumeCalibrationLib.core.user_models import model_folder
from AutoVolumeCalibrationLib.core.whole_files import write_text

from ..comparing.folds import subject_folds
from ..comparing.frozen_data import LEARNT_SUBJECTS, learnt_subjects
from ..config import TrainingConfig
from ..datasets.reading import read_dataset, subject_of
from ..known_heads.heads import list_heads
from ..simulator.effect_settings import SimulationEffects
from ..simulator.label_heads import LabelHeads, load_label_heads
from ..simulator.render import SliceBatch, simulate_batch
from ..simulator.slice_planes import SliceSettings
from ..simulator.volume_heads import VolumeHead, load_volume_heads
from ..slices.augmentation import Augmentation
from ..slices.batches import TrainingData
from ..slices.sources import LabelSource, MixedSource, SliceSource, VolumeSource
from ..slices.study_source import StudySource

logger = logging.getLogger(__name__)

#: Simulated slices that the error is watched on, and their fixed seed.
CHECK_SLICES, CHECK_SEED = 192, 987654321

#: Fields of DataFolders that name one folder or none.
_SINGLE = ("labels", "volumes", "validation")


@dataclass(frozen=True)
class DataFolders:
    """Where a run's data lie.

    Attributes:
        labels: label maps to simulate slices from.
        volumes: folder with ``heads.csv``; its real volumes of split ``train`` are cut into slices.
        datasets: data sets (``core.dataset``) to learn from.
        validation: a data set that is only watched; nothing of it is learnt from.
    """

    labels: Path | None = None
    volumes: Path | None = None
    datasets: tuple[Path, ...] = ()
    validation: Path | None = None

    def resolved(self) -> DataFolders:
        """The same with absolute paths, which name the same data from anywhere."""
        single = {name: path and path.resolve() for name in _SINGLE for path in [getattr(self, name)]}
        return DataFolders(**single, datasets=tuple(folder.resolve() for folder in self.datasets))

    def write(self, path: Path) -> None:
        """Keep the folders in a file, so that a run can be resumed from its own folder."""
        resolved = self.resolved()
        single = {name: _text(getattr(resolved, name)) for name in _SINGLE}
        write_text(path, json_text({**single, "datasets": [_text(folder) for folder in resolved.datasets]}))

    @staticmethod
    def read(path: Path) -> DataFolders:
        """The folders kept at ``path``; UsageError where the file is damaged."""
        values = read_json(path, UsageError, "Name the data again.")
        try:
            single = {name: _path(values[name]) for name in _SINGLE}
            return DataFolders(**single, datasets=tuple(Path(text) for text in values["datasets"]))
        except (KeyError, TypeError) as error:
            raise UsageError("does not name a run's data", source=str(path), remedy="Name the data again.") from error


def load_training_data(folders: DataFolders, config: TrainingConfig, constellation: Constellation) -> TrainingData:
    """Read what a run learns from.

    Raises:
        InputError: a folder holds nothing to learn from.
        UsageError: no data are named, or the settings ask for data that are not.
    """
    names, mirror, slices = constellation.names, constellation.mirror_indices, simulation_settings(config)
    corrected = config.corrected_targets
    anatomy = {"corrected": corrected, "effects": slices.effects}
    studies, kept_back = _studies(folders, config)
    parts: list[tuple[float, SliceSource]] = []
    check_heads = None
    if studies:
        augmentation = Augmentation.from_dict(config.augmentation)
        source = StudySource(studies, names, mirror, slices, augmentation)
        parts.append((config.study_fraction, source))
    volumes = _volumes(folders, names, corrected)
    if volumes:
        parts.append((config.volume_fraction, VolumeSource(volumes, mirror, slices)))
    if folders.labels:
        heads = load_label_heads(folders.labels, config.train_heads, names, **anatomy)
        check_heads = load_label_heads(folders.labels, config.check_heads, names, **anatomy)
        parts.append((1 - sum(fraction for fraction, _ in parts), LabelSource(heads, mirror, slices)))
    facts = {
        "label_maps": len(config.train_heads) if folders.labels else 0,
        "volumes": len(volumes),
        "studies": len(studies),
        "subjects": len({subject_of(study) for study in studies}),
        LEARNT_SUBJECTS: sorted(_learnt_subjects(studies, config)),
    }
    source = _mixed(parts)
    if not kept_back and not check_heads:
        logger.warning("nothing is kept back: the error is watched on what is learnt from, and looks too good")
        kept_back = studies
    check = _check_slices(kept_back, check_heads, source, constellation, slices)
    return TrainingData(names, mirror, source, check, check_heads, facts)


def simulation_settings(config: TrainingConfig) -> SliceSettings:
    """The simulated slices of a run: plain ones, or those of clinical scouts, which may be 3-10 mm thick."""
    if not config.simulation:
        return SliceSettings()
    return SliceSettings(thickness_mm=(3.0, 10.0), effects=SimulationEffects.from_dict(config.simulation))


def _volumes(folders: DataFolders, names: Sequence[str], corrected: bool) -> list[VolumeHead]:
    if not folders.volumes:
        return []
    return load_volume_heads(list_heads(folders.volumes, "train"), names, corrected=corrected)


def _learnt_subjects(studies: Sequence[LabelledStudy], config: TrainingConfig) -> frozenset[str]:
    """Who the run learns from, and who the model that it starts from learnt from: to be left out of comparisons."""
    before = learnt_subjects(model_folder(config.base)) if config.base else frozenset()
    return before | {subject_of(study) for study in studies}


def _studies(folders: DataFolders, config: TrainingConfig) -> tuple[list[LabelledStudy], list[LabelledStudy]]:
    """The studies to learn from, and those only to be watched."""
    studies = [study for folder in folders.datasets for study in _filled(folder)]
    if folders.validation:
        kept_back = _filled(folders.validation)
        _require_apart(studies, kept_back, folders.validation)
        return studies, kept_back
    subjects = [subject_of(study) for study in studies]
    folds = min(config.folds, len(set(subjects)))
    if folds < 2:
        return studies, []
    kept = set(subject_folds(subjects, folds, config.seed)[config.fold % folds])
    return (
        [study for i, study in enumerate(studies) if i not in kept],
        [study for i, study in enumerate(studies) if i in kept],
    )


def _filled(folder: Path) -> list[LabelledStudy]:
    studies = read_dataset(folder)
    if not studies:
        raise InputError("holds no study", source=str(folder), remedy="Choose the folder of a data set.")
    return studies


def _require_apart(studies: Sequence[LabelledStudy], kept_back: Sequence[LabelledStudy], folder: Path) -> None:
    shared = {subject_of(study) for study in studies} & {subject_of(study) for study in kept_back}
    if shared:
        raise InputError(
            f"subject {min(shared)} is learnt from too", source=str(folder), remedy="Take it out of one of the sets."
        )


def _check_slices(
    studies: Sequence[LabelledStudy],
    heads: LabelHeads | None,
    source: SliceSource,
    constellation: Constellation,
    slices: SliceSettings,
) -> SliceBatch:
    """Slices of the studies; else simulated ones of the heads; where there is neither, some of the source itself."""
    names, mirror = constellation.names, constellation.mirror_indices
    if studies:
        return StudySource(studies, names, mirror, slices, Augmentation.none()).all_slices()
    if heads is None:
        return source.batch(CHECK_SLICES, (CHECK_SEED,))
    return simulate_batch(heads, mirror, CHECK_SLICES, (CHECK_SEED,), slices)


def _mixed(parts: Sequence[tuple[float, SliceSource]]) -> SliceSource:
    """The parts as the fractions say; a part alone is the whole, whatever its fraction."""
    if not parts:
        raise UsageError("there is nothing to learn from", remedy="Give --dataset, --labels or --volumes.")
    if len(parts) == 1:
        return parts[0][1]
    used = [(fraction, part) for fraction, part in parts if fraction > 0]
    total = sum(fraction for fraction, _ in used)
    if not used:
        raise UsageError("the settings leave nothing to learn from", remedy="Raise study_fraction or volume_fraction.")
    if len(used) < len(parts):
        logger.warning("not all data are learnt from: study_fraction and volume_fraction leave nothing for some")
    if total > 1 + 1e-9:
        raise UsageError("study_fraction and volume_fraction are more than the whole", remedy="Lower one of them.")
    if len(used) == 1:
        return used[0][1]
    return MixedSource([part for _, part in used], [fraction / total for fraction, _ in used])


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
