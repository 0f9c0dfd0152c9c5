"""Plan with what is installed, whether a protocol is named or not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.models import installed_planning
from AutoVolumeCalibrationLib.core.storage.results import read_results
from AutoVolumeCalibrationLib.core.workflow.checked_plan import with_automatic
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks, refit
from AutoVolumeCalibrationLib.core.workflow.recognition import AnatomyCandidate, Recognised
from fake_models import blank_stacks
from joint_landmarks import joint_landmarks
from posed_landmarks import landmarks_at


@pytest.fixture(scope="module")
def stacks():
    return blank_stacks([-15.0, 0.0, 15.0])


def planned(stacks, protocol):
    marks = joint_landmarks(protocol, "right", 4.0) if protocol.anatomy == "knee" else landmarks_at(protocol)
    return plan_from_landmarks(stacks, protocol, (), predicted=marks, model=ModelInfo("fake", "0" * 64, "cpu"))


@pytest.fixture
def asked(monkeypatch):
    """What was looked at and loaded; the scouts show a knee, and its model is as sure as ``calls.sure``."""
    calls = SimpleNamespace(recognised=0, loaded=[], compared=0, sure=True)

    def shown(*_, **__):
        calls.recognised += 1
        return Recognised(AnatomyCandidate(load_protocol("KneeSagittal"), None), calls.sure)

    def compared(plan, *_, **__):
        calls.compared += 1
        return plan

    monkeypatch.setattr(installed_planning, "known_protocol", lambda model: model and load_protocol("KneeAxial"))
    monkeypatch.setattr(installed_planning, "choose_anatomy", shown)
    monkeypatch.setattr(installed_planning, "model_for", lambda protocol: f"{protocol.anatomy}-model")
    monkeypatch.setattr(installed_planning, "calibrate", lambda stacks, protocol, *_, **__: planned(stacks, protocol))
    monkeypatch.setattr(installed_planning, "with_anatomy_checked", compared)
    calls.load = lambda name, *_: calls.loaded.append(name)
    return calls


def test_without_a_protocol_the_scouts_decide_and_the_plan_says_so(stacks, asked):
    plan = installed_planning.plan_with_installed(stacks, load=asked.load)
    assert plan.protocol.name == "KneeSagittal" and plan.model.automatic and not plan.model.unsure_anatomy
    # All models have looked and are loaded: none looks a second time.
    assert (asked.recognised, asked.loaded, asked.compared) == (1, [], 0)
    asked.sure = False
    assert installed_planning.plan_with_installed(stacks, load=asked.load).model.unsure_anatomy


def test_a_named_model_decides_and_is_compared(stacks, asked):
    plan = installed_planning.plan_with_installed(stacks, model="mine", load=asked.load)
    assert plan.protocol.name == "KneeAxial" and plan.model.automatic
    assert (asked.recognised, asked.loaded, asked.compared) == (0, ["mine"], 1)


def test_a_named_protocol_gets_its_anatomys_model_and_is_compared(stacks, asked):
    plan = installed_planning.plan_with_installed(stacks, load_protocol("BrainAcPc"), load=asked.load)
    assert plan.protocol.name == "BrainAcPc" and not plan.model.automatic
    assert (asked.recognised, asked.loaded, asked.compared) == (0, ["brain-model"], 1)
    installed_planning.plan_with_installed(stacks, load_protocol("BrainAcPc"), model="mine", load=asked.load)
    assert asked.loaded[1] == "mine"


def test_a_correction_and_a_file_keep_that_the_scouts_decided(tmp_path, stacks):
    plan = with_automatic(planned(stacks, load_protocol("BrainAcPc")))
    ac = next(mark for mark in plan.landmarks if mark.name == "AC")
    again = refit(plan, [ac.corrected(ac.position_mm)])
    assert again.model.automatic
    again.save(tmp_path)
    assert read_results(tmp_path).model.automatic
    assert not with_automatic(again, False).model.automatic
