"""The data of a run: from folders on disk to a source of slices, and slices for validation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json
from AutoVolumeCalibrationLib.core.models.store import model_folder
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..config import TrainingConfig
from ..datasets.folds import subject_folds
from ..datasets.frozen_set import LEARNT_SUBJECTS, learnt_subjects
from ..datasets.reading import read_dataset, subject_of
from ..reference_heads.heads import list_heads
from ..simulator.effects.effect_settings import SimulationEffects
from ..simulator.label_heads import LabelHeads
from ..simulator.label_maps import find_label_maps, load_simulated_anatomy
from ..simulator.render import SliceBatch, simulate_batch
from ..simulator.scenes.scene import SCENE_FILE
from ..simulator.slice_planes import SliceSettings
from ..simulator.volume_heads import VolumeHead, load_volume_heads
from ..slices.augmentation import Augmentation
from ..slices.batches import TrainingData
from ..slices.sources import LabelSource, MixedSource, SliceSource, VolumeSource
from ..slices.study_source import StudySource
from ..slices.targets import slice_settings

logger = logging.getLogger(__name__)

#: Simulated validation slices, and their fixed seed.
CHECK_SLICES, CHECK_SEED = 192, 987654321

#: Of the label maps of an anatomy whose numbers nobody chose: the share for validation, and the fewest to split.
VALIDATION_SHARE, FEWEST_LABEL_MAPS = 0.1, 2

#: Remedy for a run without data.
NAME_DATA = "Name a data set, or a folder of label maps or of volumes."

#: Fields of DataFolders that name one folder or none.
_SINGLE = ("labels", "volumes", "validation")


@dataclass(frozen=True)
class DataFolders:
    """Folders of a run's data.

    Attributes:
        labels: label maps to simulate slices from.
        volumes: folder with ``heads.csv``; its real volumes of split ``train`` are cut into slices.
        datasets: data sets (``core.storage.dataset``) to learn from.
        validation: a data set for validation only.
    """

    labels: Path | None = None
    volumes: Path | None = None
    datasets: tuple[Path, ...] = ()
    validation: Path | None = None

    def resolved(self) -> DataFolders:
        """The same with absolute paths, valid in any working directory."""
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
    """Read the training and validation data of a run.

    Raises:
        InputError: a folder holds no training data.
        UsageError: no data are named, or the settings need data that are not named.
    """
    if config.anatomies:
        raise UsageError(
            "several anatomies are learnt by train alone", source="anatomies", remedy="Leave the setting anatomies out."
        )
    names, mirror, slices = constellation.names, constellation.mirror_indices, simulation_settings(config)
    corrected = config.corrected_targets
    studies, held_out = _studies(folders, config)
    parts: list[tuple[float, SliceSource]] = []
    check_heads, label_maps = None, 0
    if studies:
        augmentation = Augmentation.suited_to(config.augmentation, mirror)
        parts.append((config.study_fraction, StudySource(studies, names, mirror, slices, augmentation)))
    volumes = _volumes(folders, names, corrected)
    if volumes:
        parts.append((config.volume_fraction, VolumeSource(volumes, mirror, slices)))
    if folders.labels:
        numbers = label_map_numbers(folders.labels, config)
        heads, check_heads = (
            load_simulated_anatomy(folders.labels, chosen, names, corrected=corrected, effects=slices.effects)
            for chosen in numbers
        )
        label_maps = len(numbers[0])
        parts.append((1 - sum(fraction for fraction, _ in parts), LabelSource(heads, mirror, slices)))
    facts = {
        "label_maps": label_maps,
        "volumes": len(volumes),
        "studies": len(studies),
        "subjects": len({subject_of(study) for study in studies}),
        LEARNT_SUBJECTS: sorted(_learnt_subjects(studies, config)),
    }
    source = _mixed(parts)
    if not held_out and not check_heads:
        logger.warning("no validation data: the error is measured on training data, and is too small")
        held_out = studies
    check = _check_slices(held_out, check_heads, source, constellation, slices)
    return TrainingData(names, mirror, source, check, check_heads, facts)


def label_map_numbers(folder: Path, config: TrainingConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of the label maps to learn from and to validate on: those of the settings.

    Other anatomies than the head come in any number: where the settings are the defaults (``TrainingConfig``), and do
    not fit, the last tenth of the label maps is for validation.
    """
    chosen, default = (config.train_heads, config.check_heads), TrainingConfig()
    if chosen != (default.train_heads, default.check_heads) or not (folder / SCENE_FILE).is_file():
        return chosen
    found = sorted(find_label_maps(folder))
    if set(found) >= {*chosen[0], *chosen[1]} or len(found) < FEWEST_LABEL_MAPS:
        return chosen
    kept = max(1, round(VALIDATION_SHARE * len(found)))
    return tuple(found[:-kept]), tuple(found[-kept:])


def simulation_settings(config: TrainingConfig) -> SliceSettings:
    """The simulated slices of a run: plain ones, or those of clinical scouts, which may be 3-10 mm thick."""
    if not config.simulation:
        return slice_settings(config)
    effects = SimulationEffects.from_dict(config.simulation)
    return replace(slice_settings(config), thickness_mm=(3.0, 10.0), effects=effects)


def _volumes(folders: DataFolders, names: Sequence[str], corrected: bool) -> list[VolumeHead]:
    if not folders.volumes:
        return []
    return load_volume_heads(list_heads(folders.volumes, "train"), names, corrected=corrected)


def _learnt_subjects(studies: Sequence[LabelledStudy], config: TrainingConfig) -> frozenset[str]:
    """Subjects that the run or its starting model learnt from; comparisons leave them out."""
    before = learnt_subjects(model_folder(config.base)) if config.base else frozenset()
    return before | {subject_of(study) for study in studies}


def _studies(folders: DataFolders, config: TrainingConfig) -> tuple[list[LabelledStudy], list[LabelledStudy]]:
    """The training studies and the validation studies."""
    studies = [study for folder in folders.datasets for study in _filled(folder)]
    if folders.validation:
        held_out = _filled(folders.validation)
        _require_apart(studies, held_out, folders.validation)
        return studies, held_out
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


def _require_apart(studies: Sequence[LabelledStudy], held_out: Sequence[LabelledStudy], folder: Path) -> None:
    shared = {subject_of(study) for study in studies} & {subject_of(study) for study in held_out}
    if shared:
        raise InputError(
            f"subject {min(shared)} is in the training data too",
            source=str(folder),
            remedy="Take it out of one set. Are they other people? Build one set with other names (prefix).",
        )


def _check_slices(
    studies: Sequence[LabelledStudy],
    heads: LabelHeads | None,
    source: SliceSource,
    constellation: Constellation,
    slices: SliceSettings,
) -> SliceBatch:
    """Validation slices: of the studies; else simulated from the heads; else some of the training source."""
    names, mirror = constellation.names, constellation.mirror_indices
    if studies:
        return StudySource(studies, names, mirror, slices, Augmentation.none()).all_slices()
    if heads is None:
        return source.batch(CHECK_SLICES, (CHECK_SEED,))
    return simulate_batch(heads, mirror, CHECK_SLICES, (CHECK_SEED,), slices)


def _mixed(parts: Sequence[tuple[float, SliceSource]]) -> SliceSource:
    """The parts mixed by their fractions; a single part is used whole, whatever its fraction."""
    if not parts:
        raise UsageError("no training data are named", remedy=NAME_DATA)
    if len(parts) == 1:
        return parts[0][1]
    used = [(fraction, part) for fraction, part in parts if fraction > 0]
    total = sum(fraction for fraction, _ in used)
    if not used:
        raise UsageError("the settings leave no training data", remedy="Raise study_fraction or volume_fraction.")
    if len(used) < len(parts):
        logger.warning("not all data are used: study_fraction and volume_fraction leave nothing for some")
    if total > 1 + 1e-9:
        raise UsageError("study_fraction and volume_fraction sum to more than 1", remedy="Lower one of them.")
    if len(used) == 1:
        return used[0][1]
    return MixedSource([part for _, part in used], [fraction / total for fraction, _ in used])


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
