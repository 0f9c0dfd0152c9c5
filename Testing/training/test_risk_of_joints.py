"""The risk and the coverage of plans of any anatomy that has label maps, split by person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.coverage.calibration import scores_of_maps, simulated_coverage
from LandmarkTrainingLib.core.coverage.risk.measurement import study_source
from LandmarkTrainingLib.core.coverage.risk.studies import LABELS, NON_HEAD
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.simulator.people_of_maps import write_people_of_maps
from LandmarkTrainingLib.core.slices.batches import TrainingData
from LandmarkTrainingLib.core.training import training_run
from LandmarkTrainingLib.core.training.training_data import DataFolders
from toy_label_maps import write_toy_knees

NO_ERRORS = BoxErrors((0.0,) * 3, 0.0, 0.0, (0.0,) * 6, 1.0)


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("KneeSagittal")


@pytest.fixture(scope="module")
def knees(tmp_path_factory, protocol):
    folder = tmp_path_factory.mktemp("knees")
    write_toy_knees(folder, protocol, range(1, 4))
    return folder


@pytest.fixture
def of_one_person(tmp_path, knees):
    """The same label maps, said to be of one person."""
    for file in knees.iterdir():
        (tmp_path / file.name).symlink_to(file)
    write_people_of_maps(tmp_path, {f"knee_{number:04d}": "person 4" for number in range(1, 4)})
    return tmp_path


def test_studies_of_joints_have_a_true_box_and_no_volumes(knees, protocol):
    source = study_source(knees, None, protocol, protocol.boxes[0])
    assert source.label_names == ("knee_0001", "knee_0002", "knee_0003")
    studies = [source.study(number) for number in range(12)]
    assert {study.kind for study in studies} == {LABELS, NON_HEAD}
    for study in studies:
        assert (study.truth is None) == (study.kind == NON_HEAD)
        assert study.kind == NON_HEAD or study.person in source.label_names
    assert np.linalg.norm(next(s.truth.center_mm for s in studies if s.truth)) < 80


def test_label_maps_of_one_person_are_refused(of_one_person, protocol):
    with pytest.raises(InputError, match="of one person") as refused:
        study_source(of_one_person, None, protocol, protocol.boxes[0])
    assert "people.csv" in refused.value.remedy


def test_volumes_of_heads_do_not_go_with_knees(knees, protocol, tmp_path):
    with pytest.raises(UsageError, match="volumes are of heads"):
        study_source(knees, tmp_path, protocol, protocol.boxes[0])


def cases_of(names, each=3):
    rng = np.random.default_rng(0)
    return [
        CaseResult(name, pose, "P5", "model", box=NO_ERRORS, frame_angles_deg=rng.normal(0, 1, 3).tolist(),
                   angles_sd_deg=[1.0] * 3, face_sd_mm=[2.0] * 6, needed_mm=rng.normal(3, 2, 6).tolist())
        for name in names
        for pose in range(each)
    ]  # fmt: skip


def test_coverage_of_label_maps_counts_people_and_calls_them_simulated(knees, protocol, tmp_path):
    cases = cases_of(["knee_0001", "knee_0002", "knee_0003"])
    assert len(set(scores_of_maps(cases, knees).persons)) == 3
    for file in knees.iterdir():
        (tmp_path / file.name).symlink_to(file)
    write_people_of_maps(tmp_path, {"knee_0001": "person 1", "knee_0002": "person 1", "knee_0003": "person 2"})
    scores = scores_of_maps(cases, tmp_path)
    assert sorted(set(scores.persons)) == ["person 1", "person 2"]
    measured = simulated_coverage(scores, protocol.boxes[0])
    assert (measured.heads, measured.simulated, measured.cases) == (2, 2, 9)
    assert measured.level == "95 %, measured on 2 simulated people"


def test_coverage_of_one_person_or_of_other_maps_is_refused(of_one_person, knees):
    with pytest.raises(InputError, match="all cases are of one person"):
        scores_of_maps(cases_of(["knee_0001", "knee_0002"]), of_one_person)
    with pytest.raises(InputError, match="no label map head_01"):
        scores_of_maps(cases_of(["head_01"]), knees)


@pytest.mark.parametrize("people", ["none", "one"])
def test_a_risk_that_cannot_be_measured_is_refused_before_training(tmp_path, monkeypatch, people, knees):
    settings = ['protocol="KneeSagittal"', "risk_studies=50", "train_heads=[1,2]", "check_heads=[3]", 'device="cpu"']
    folders = DataFolders(labels=knees if people == "one" else None)
    monkeypatch.setattr(training_run, "train", lambda *arguments, **options: pytest.fail("training began"))
    if people == "none":
        loaded = replace(_data(), check_heads=None)
        monkeypatch.setattr(training_run, "load_training_data", lambda *arguments: loaded)
    with pytest.raises(UsageError, match="risk_studies needs label maps of several people") as refused:
        training_run.run_training(tmp_path / "run", folders, settings=settings)
    assert "autovolume risk --labels" in refused.value.remedy


def test_a_risk_of_several_people_is_not_refused():
    heads = type("Heads", (), {"people": ("a", "b")})()
    training_run._require_measurable_risk(TrainingConfig(risk_studies=50), replace(_data(), check_heads=heads))
    training_run._require_measurable_risk(TrainingConfig(), replace(_data(), check_heads=None))


def _data():
    return TrainingData(("A",), np.zeros(1, int), None, None, None, {})
