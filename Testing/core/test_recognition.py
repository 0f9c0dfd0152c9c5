"""Which anatomy do the scouts show: decided from scores, and measured on fakes and on the sample study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.scouts.reader import read_study
from AutoVolumeCalibrationLib.core.storage.results import read_results
from AutoVolumeCalibrationLib.core.workflow.checked_plan import with_automatic
from AutoVolumeCalibrationLib.core.workflow.localization import StudyLocalizer
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, plan_from_landmarks, refit
from AutoVolumeCalibrationLib.core.workflow.recognition import (
    AnatomyCandidate,
    check_anatomy,
    recognise,
)
from fake_models import KnowingNetwork, blank_stacks, fake_model
from joint_landmarks import joint_landmarks
from posed_landmarks import landmarks_at

PROTOCOLS = {"brain": load_protocol("BrainAcPc"), "knee": load_protocol("KneeCoronal")}


def candidate(anatomy, network=None) -> AnatomyCandidate:
    constellation = PROTOCOLS[anatomy].constellation
    model = fake_model(network, constellation.names, constellation.mirror_indices, name=anatomy)
    return AnatomyCandidate(PROTOCOLS[anatomy], model)


@pytest.fixture
def scores(monkeypatch):
    """Anatomy -> score of the middle slices, and of the best orientation; to be filled by the test."""
    table: dict[str, tuple[float, float]] = {}
    monkeypatch.setattr(StudyLocalizer, "middle_score", lambda self: table[self._model.name][0])
    monkeypatch.setattr(StudyLocalizer, "best_score", lambda self: table[self._model.name][1])
    return table


@pytest.fixture(scope="module")
def stacks():
    return blank_stacks([-15.0, 0.0, 15.0])


BOTH = [candidate("brain"), candidate("knee")]


def shown_by(stacks, candidates) -> tuple[str, bool]:
    found = recognise(stacks, candidates)
    return found.candidate.anatomy, found.sure


def test_a_single_anatomy_is_taken_without_a_look(stacks):
    found = recognise(stacks, BOTH[:1])
    assert found.candidate is BOTH[0] and found.sure


@pytest.mark.parametrize(("brain", "knee", "found"), [(0.7, 0.2, "brain"), (0.1, 0.5, "knee"), (0.9, 0.7, "brain")])
def test_the_surest_anatomy_is_taken(stacks, scores, brain, knee, found):
    scores.update(brain=(brain, 0), knee=(knee, 0))
    assert shown_by(stacks, BOTH) == (found, True)


def test_a_turned_patient_is_recognised_where_nobody_is_sure_at_first(stacks, scores):
    scores.update(brain=(0.3, 0.35), knee=(0.2, 0.6))
    assert shown_by(stacks, BOTH) == ("knee", True)


@pytest.mark.parametrize(("brain", "knee", "found"), [(0.3, 0.15, "brain"), (0.0, 0.28, "knee")])
def test_where_no_model_is_sure_one_that_leads_is_taken_in_doubt(stacks, scores, brain, knee, found):
    scores.update(brain=(brain, 0.4), knee=(knee, 0.4))
    assert shown_by(stacks, BOTH) == (found, False)


def test_a_plan_in_doubt_is_never_green_until_somebody_decides(tmp_path, stacks):
    plan = with_automatic(green(stacks, "brain"), unsure=True)
    assert [(check.name, check.level) for check in plan.checks] == [("unsure anatomy", WARNING)]
    plan.save(tmp_path)
    assert read_results(tmp_path).model.unsure_anatomy
    assert refit(plan, ()).level == WARNING
    assert with_automatic(plan, False).level == OK  # the user chose the protocol
    ac = next(mark for mark in plan.landmarks if mark.name == "AC")
    assert "unsure anatomy" not in {check.name for check in refit(plan, [ac.corrected(ac.position_mm)]).checks}


@pytest.mark.parametrize(("brain", "knee"), [(0.26, 0.05), (0.3, 0.25), (0.0, 0.0)])
def test_what_no_model_is_sure_of_and_none_leads_is_refused(stacks, scores, brain, knee):
    scores.update(brain=(brain, 0.4), knee=(knee, 0.44))
    with pytest.raises(InputError, match="neither brain nor knee recognised in the scouts"):
        recognise(stacks, BOTH)
    three = [*BOTH, replace(BOTH[1], protocol=replace(PROTOCOLS["knee"], anatomy="spine"))]
    with pytest.raises(InputError, match="none of brain, knee, spine recognised"):
        recognise(stacks, three)


def test_two_sure_models_are_not_decided_by_a_hair(stacks, scores):
    scores.update(brain=(0.6, 0), knee=(0.55, 0))
    with pytest.raises(InputError, match="may show a brain or a knee. Name the protocol"):
        recognise(stacks, BOTH)


def test_the_surest_model_states_by_how_much_it_must_lead(stacks, scores):
    scores.update(brain=(0.6, 0), knee=(0.55, 0))
    quick = replace(BOTH[0], model=replace(BOTH[0].model, limits=replace(BOTH[0].model.limits, recognition_lead=0.04)))
    assert shown_by(stacks, [quick, BOTH[1]]) == ("brain", True)
    slow = replace(BOTH[0], model=replace(BOTH[0].model, limits=replace(BOTH[0].model.limits, recognition_lead=0.2)))
    with pytest.raises(InputError, match="may show a brain or a knee"):
        recognise(stacks, [slow, BOTH[1]])


def test_every_model_is_sure_by_its_own_limit(stacks, scores):
    scores.update(brain=(0.5, 0), knee=(0.4, 0))
    strict, lenient = BOTH
    strict = replace(strict, model=replace(strict.model, limits=replace(strict.model.limits, recognition_score=0.55)))
    lenient = replace(
        lenient, model=replace(lenient.model, limits=replace(lenient.model.limits, recognition_score=0.3))
    )
    assert shown_by(stacks, [strict, lenient]) == ("knee", True)


def green(stacks, anatomy):
    protocol = PROTOCOLS[anatomy]
    marks = joint_landmarks(protocol, "right", 4.0) if anatomy == "knee" else landmarks_at(protocol)
    plan = plan_from_landmarks(stacks, protocol, (), predicted=marks, model=ModelInfo("fake", "0" * 64, "cpu"))
    assert plan.level == OK
    return plan


@pytest.mark.parametrize("number", [0, 1])
def test_a_plan_of_the_other_anatomy_never_comes_out_green(stacks, scores, number):
    own, other = BOTH[number], BOTH[1 - number]
    scores.update({own.anatomy: (0.5, 0), other.anatomy: (0.6, 0)})
    plan = check_anatomy(green(stacks, own.anatomy), own.model, BOTH)
    assert plan.level == ERROR and [check.name for check in plan.checks] == ["other anatomy"]
    assert plan.checks[0].message.startswith(f"The scouts look like {other.anatomy}, not {own.anatomy}:")


def test_neither_a_correction_nor_a_refit_from_a_file_makes_it_green(tmp_path, stacks, scores):
    scores.update(brain=(0.3, 0), knee=(0.6, 0))
    plan = check_anatomy(green(stacks, "brain"), BOTH[0].model, BOTH)
    ac = next(mark for mark in plan.landmarks if mark.name == "AC")
    again = refit(plan, [ac.corrected(ac.position_mm)])
    assert {check.name: check.level for check in again.checks}["other anatomy"] == WARNING
    assert refit(again, []).level == ERROR
    plan.save(tmp_path)
    saved = read_results(tmp_path)
    assert saved.model.other_anatomy == "knee"


@pytest.mark.parametrize("scored", [{"brain": (0.6, 0), "knee": (0.5, 0)}, {"brain": (0.2, 0), "knee": (0.4, 0)}])
def test_a_model_that_is_less_sure_or_not_sure_says_nothing(stacks, scores, scored):
    scores.update(scored)
    plan = green(stacks, "brain")
    assert check_anatomy(plan, BOTH[0].model, BOTH) is plan


def test_models_of_the_same_anatomy_do_not_contradict_each_other(stacks, scores):
    scores.update(brain=(0.1, 0))
    plan = green(stacks, "brain")
    assert check_anatomy(plan, BOTH[0].model, BOTH[:1]) is plan


class Noise(torch.nn.Module):
    """Peaks of a network that sees an anatomy that it does not know: faint, and anywhere."""

    def __init__(self, landmarks: int) -> None:
        super().__init__()
        self.landmarks, self.random = landmarks, torch.Generator().manual_seed(1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        rows, columns = (n // 2 for n in batch.shape[-2:])
        maps = torch.zeros(len(batch), self.landmarks, rows, columns)
        places = torch.randint(0, rows * columns, (len(batch), self.landmarks), generator=self.random)
        return maps.flatten(2).scatter_(2, places[..., None], 0.4).view_as(maps)


def test_two_networks_look_at_a_study_of_either_anatomy():
    """One slice per plane; every network knows its own anatomy and sees noise in the other."""
    stacks = blank_stacks([0.0])
    truth = {
        "brain": PROTOCOLS["brain"].constellation.reference_mm + [0.0, 18.0, -5.0],
        "knee": np.array([mark.position_mm for mark in joint_landmarks(PROTOCOLS["knee"], "right", 6.0)]),
    }
    for shown in truth:
        found = []
        for anatomy, points in truth.items():
            constellation = PROTOCOLS[anatomy].constellation
            knowing = KnowingNetwork(stacks, points, constellation.mirror_indices)
            # All its landmarks are visible: the distance from the slices is not the matter here.
            knowing.height = 4.0
            found.append(candidate(anatomy, knowing if anatomy == shown else Noise(len(points))))
        assert shown_by(stacks, found) == (shown, True)


@pytest.fixture(scope="module")
def sample():
    return read_study([resource_path("SampleData", "ColinScouts", "sagittal.nrrd").parent]).stacks


def test_the_shipped_model_recognises_the_sample_head(sample):
    brain = AnatomyCandidate(PROTOCOLS["brain"], load_model(device="cpu"))
    knee = candidate("knee", Noise(len(PROTOCOLS["knee"].constellation.names)))
    assert StudyLocalizer(sample, brain.protocol, brain.model).middle_score() > brain.model.limits.recognition_score
    assert shown_by(sample, [knee, brain]) == ("brain", True)
    plan = calibrate(sample, brain.protocol, brain.model)
    assert check_anatomy(plan, brain.model, [brain, knee]) is plan
