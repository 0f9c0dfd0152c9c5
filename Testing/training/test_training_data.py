"""From folders to slices: what is learnt from, what is only watched, and that they are of different people."""

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset
from labelled_studies import spot_study
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.simulator.volume_heads import VolumeHead
from LandmarkTrainingLib.core.slices.study_source import StudySource
from LandmarkTrainingLib.core.training import training_data
from LandmarkTrainingLib.core.training.training_data import DataFolders, load_training_data
from toy_heads import toy_heads

CONSTELLATION = load_protocol("BrainAcPc").constellation
PLACES = {mark.name: mark.reference_mm for mark in CONSTELLATION.landmarks}


def written(folder, *people):
    studies = [spot_study(f"case_{i}", places=PLACES, subject=person) for i, person in enumerate(people)]
    write_dataset(folder, studies, CONSTELLATION)
    return folder


def load(folders, **changes):
    return load_training_data(folders, TrainingConfig(**changes), CONSTELLATION)


def test_the_folders_of_a_run_survive_their_file(tmp_path):
    folders = DataFolders(None, tmp_path / "v", (tmp_path / "a", tmp_path / "b"), tmp_path / "w")
    folders.write(tmp_path / "data.json")
    assert DataFolders.read(tmp_path / "data.json") == folders


def test_a_damaged_file_of_folders_is_named(tmp_path):
    (tmp_path / "data.json").write_text('{"labels": 3}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"data\.json"):
        DataFolders.read(tmp_path / "data.json")


def test_a_fold_keeps_all_studies_of_its_people_back(tmp_path):
    folder = written(tmp_path / "set", "ann", "bob", "ann", "cid")
    for fold in range(3):
        data = load(DataFolders(datasets=(folder,)), folds=3, fold=fold)
        learnt = set(data.source.subject_of_slice)
        assert len(data.check.images) + len(data.source) == 12
        assert len(learnt) == 2 and data.facts["subjects"] == 2


def test_one_person_alone_is_watched_on_what_is_learnt_with_a_warning(tmp_path, caplog):
    data = load(DataFolders(datasets=(written(tmp_path / "set", "ann"),)), folds=5)
    assert len(data.source) == len(data.check.images) == 3
    assert "measured on training data" in caplog.text


def test_a_validation_set_is_watched_and_not_learnt(tmp_path):
    learn, watch = written(tmp_path / "a", "ann", "bob"), written(tmp_path / "b", "cid")
    data = load(DataFolders(datasets=(learn,), validation=watch), folds=2)
    assert set(data.source.subject_of_slice) == {"ann", "bob"} and len(data.check.images) == 3


def test_several_data_sets_are_learnt_together(tmp_path):
    folders = DataFolders(datasets=(written(tmp_path / "a", "ann"), written(tmp_path / "b", "bob")))
    assert load(folders).facts["studies"] == 2


def test_people_in_both_sets_are_refused(tmp_path):
    learn, watch = written(tmp_path / "a", "ann", "bob"), written(tmp_path / "b", "bob")
    with pytest.raises(InputError, match="bob is in the training data too"):
        load(DataFolders(datasets=(learn,), validation=watch))


def test_an_empty_data_set_is_named(tmp_path):
    with pytest.raises(InputError, match="nothing-here"):
        load(DataFolders(datasets=(tmp_path / "nothing-here",)))


def test_what_is_learnt_from_alone_is_the_whole_whatever_its_share(tmp_path):
    data = load(DataFolders(datasets=(written(tmp_path / "a", "ann"),)), study_fraction=0.0)
    assert isinstance(data.source, StudySource)


def test_no_data_at_all_are_refused():
    with pytest.raises(UsageError, match="no training data"):
        load(DataFolders())


def test_volumes_alone_are_watched_too_with_a_warning(tmp_path, monkeypatch, caplog):
    heads = toy_heads(4.0)
    places = torch.tensor(np.array([mark.reference_mm for mark in CONSTELLATION.landmarks])).float()
    volume = VolumeHead("A", heads.tissues[0] / 25.0, heads.voxel_from_head[0], places)
    monkeypatch.setattr(training_data, "list_heads", lambda *_: [])
    monkeypatch.setattr(training_data, "load_volume_heads", lambda *_, **__: [volume])
    monkeypatch.setattr(training_data, "CHECK_SLICES", 3)
    data = load(DataFolders(volumes=tmp_path), volume_fraction=1.0)
    assert len(data.check.images) == 3 and "measured on training data" in caplog.text
