"""Simulated studies that tell what a stated uncertainty is worth: their truth must be the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from fake_models import fake_model
from LandmarkTrainingLib.core.coverage import studies as coverage_studies
from LandmarkTrainingLib.core.coverage.studies import simulated_cases
from LandmarkTrainingLib.core.evaluation.methods import Plan
from LandmarkTrainingLib.core.evaluation.simulated import truth as simulated_truth
from LandmarkTrainingLib.core.simulator.surfaces import SURFACE_POINTS, anatomy_surface_mm
from toy_heads import RIGID, toy_heads

PROTOCOL = load_protocol("BrainAcPc")
NAMES = PROTOCOL.constellation.names


class Blind(torch.nn.Module):
    def forward(self, batch):
        return torch.zeros(len(batch), len(NAMES), *(n // 2 for n in batch.shape[-2:]))


@pytest.fixture
def heads():
    places = torch.from_numpy(PROTOCOL.constellation.reference_mm).float()[None]
    return replace(toy_heads(), landmarks_mm=places, names=NAMES)


def model():
    return fake_model(Blind(), NAMES, PROTOCOL.constellation.mirror_indices)


def test_the_surface_of_a_brain_lies_on_its_outside(heads):
    surface = anatomy_surface_mm(heads, 0).numpy()
    outermost = np.linalg.norm(surface / [70, 90, 80], axis=1)
    assert 500 < len(surface) <= SURFACE_POINTS
    assert (outermost <= 1.001).all()
    assert np.median(outermost) > 0.97, "the balls inside are of other tissues, and hollow"


def test_the_true_plan_needs_just_the_margins_that_the_brain_reaches_beyond_its_landmarks(heads, monkeypatch):
    truths = []
    true_plan = simulated_truth.plan_box

    def perfect(*_arguments, **_options):
        return lambda _stacks: Plan((), truths[-1][0], truths[-1][1])

    def remember(frame, protocol, rule):
        truths.append((frame, true_plan(frame, protocol, rule)))
        return truths[-1][1]

    monkeypatch.setattr(coverage_studies, "limits_of", lambda _heads: RIGID)
    monkeypatch.setattr(coverage_studies, "model_method", perfect)
    monkeypatch.setattr(simulated_truth, "plan_box", remember)
    rule = PROTOCOL.boxes[0]
    (case,) = simulated_cases(model(), heads, PROTOCOL, rule, studies=1)
    places = dict(zip(NAMES, PROTOCOL.constellation.reference_mm, strict=True))
    half_axes = np.array([70.0, 90.0, 80.0])
    for number, face in enumerate(FACES):
        axis, sign = number // 2, 1 if number % 2 else -1
        reach = max(sign * places[name][axis] for name in rule.faces[face].landmarks)
        assert case.needed_mm[number] == pytest.approx(half_axes[axis] - reach, abs=3), face
    assert case.box.rotation_deg == pytest.approx(0, abs=1e-6)
    assert case.geometry == "P5" and case.head == "simulated 0"


def test_a_study_that_the_model_refuses_is_left_out(heads, monkeypatch):
    def refusing(*_arguments, **_options):
        def plan(_stacks):
            raise InputError("nothing found", remedy="")

        return plan

    monkeypatch.setattr(coverage_studies, "model_method", refusing)
    assert list(simulated_cases(model(), heads, PROTOCOL, PROTOCOL.boxes[0], studies=2)) == []
