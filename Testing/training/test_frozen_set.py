"""What models are measured on is told apart by content, and kept apart from what they learnt from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, shipped_models
from compared_bundles import bundle
from data_sets import brain_study, write_set
from head_phantom import phantom_head
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.datasets.frozen_set import LEARNT_SUBJECTS, heads_fingerprint, learnt_subjects
from LandmarkTrainingLib.core.training.training_data import DataFolders, load_training_data


def with_training_facts(folder, facts):
    metadata = {**read_metadata(folder), "training": facts}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder


@pytest.mark.parametrize("facts", [None, {}, {LEARNT_SUBJECTS: None}, "much", 3])
def test_of_a_bundle_that_tells_nothing_no_subjects_are_known(tmp_path, facts):
    assert learnt_subjects(shipped_models()[DEFAULT_MODEL]) == frozenset()
    assert learnt_subjects(with_training_facts(bundle(tmp_path / "bundle"), facts)) == frozenset()


def test_a_run_tells_its_own_subjects_and_those_of_its_base_and_not_those_kept_back(tmp_path):
    base = with_training_facts(bundle(tmp_path / "base"), {LEARNT_SUBJECTS: ["earlier", "s1"]})
    studies = [brain_study(f"case_{i}", i, subject=f"s{i % 3}") for i in range(4)]
    folders = DataFolders(datasets=(write_set(tmp_path / "set", studies),))
    config = TrainingConfig(base=str(base), folds=3)
    learnt = set()
    for fold in range(3):
        facts = load_training_data(folders, replace(config, fold=fold), load_protocol("BrainAcPc").constellation).facts
        subjects = set(facts[LEARNT_SUBJECTS])
        assert {"earlier", "s1"} <= subjects and facts["subjects"] == 2
        learnt |= {"s0", "s2"} - subjects
    assert learnt == {"s0", "s2"}  # each was kept back once


def test_the_fingerprint_of_heads_tells_their_files_and_no_others(tmp_path):
    heads = [phantom_head(load_protocol("BrainAcPc"), name) for name in ("h1", "h10")]
    (tmp_path / "heads").mkdir()
    files = ("h1.csv", "h1.nii.gz", "h1_brain.npy", "h10.csv", "notes.txt")
    for name in files:
        (tmp_path / "heads" / name).write_text(name, encoding="utf-8")
    before = heads_fingerprint(tmp_path, heads[:1])
    assert before != heads_fingerprint(tmp_path, heads)
    for name, same in zip(files, (False, False, False, True, True), strict=True):
        (tmp_path / "heads" / name).write_text("changed", encoding="utf-8")
        assert (heads_fingerprint(tmp_path, heads[:1]) == before) == same, name
        (tmp_path / "heads" / name).write_text(name, encoding="utf-8")
