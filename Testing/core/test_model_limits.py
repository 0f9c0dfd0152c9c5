"""Limits of what a model shows come from its bundle, and go with its plans."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_limits import ModelLimits, limits_from_dict
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import WARNING
from AutoVolumeCalibrationLib.core.planning.checks.evidence import Evidence
from AutoVolumeCalibrationLib.core.planning.checks.plan_checks import run_checks
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from fake_models import blank_stacks
from posed_landmarks import landmarks_at


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(resource_path("Models", "brain-scout"), tmp_path / "bundle")


def with_limits(bundle, limits):
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata.pop("limits")
    path.write_text(json.dumps(metadata if limits is None else {**metadata, "limits": limits}), encoding="utf-8")
    return bundle


def test_limits_survive_being_written_and_read():
    own = replace(ModelLimits(), clear_peak=0.8, shape_mm=(3.0, 6.0))
    assert limits_from_dict(own.to_dict()) == own


def test_the_shipped_bundle_states_all_limits():
    path = resource_path("Models", "brain-scout") / "configs" / "metadata.json"
    assert set(json.loads(path.read_text(encoding="utf-8"))["limits"]) == set(ModelLimits().to_dict())


def test_an_earlier_bundle_has_the_limits_of_that_version(bundle):
    assert load_model(with_limits(bundle, None), "cpu", "onnx").limits == ModelLimits()


def test_a_bundle_states_its_own_limits_and_may_leave_some_out(bundle):
    limits = load_model(with_limits(bundle, {"clear_peak": 0.9, "of a later version": 1}), "cpu", "onnx").limits
    assert limits == replace(ModelLimits(), clear_peak=0.9)


@pytest.mark.parametrize(
    "wrong", [{"clear_peak": "high"}, {"shape_mm": [1]}, {"found_share": 0.5}, {"oblique_deg": -1}]
)
def test_damaged_limits_are_refused_by_name(bundle, wrong):
    with pytest.raises(ModelError, match="limits"):
        load_model(with_limits(bundle, wrong), "cpu", "onnx")
    with pytest.raises(ValueError, match="limits"):
        limits_from_dict(wrong)


@pytest.mark.parametrize(
    ("limits", "check"),
    [
        ({"clear_peak": 0.95}, "anatomy"),
        ({"doubtful_peak": 0.95}, "reference line"),
        ({"shape_mm": (0.0, 50.0)}, "shape"),
        ({"found_share": (1.1, 0.0)}, "landmarks"),
    ],
)
def test_the_checks_go_by_the_limits_of_the_model(limits, check):
    protocol = load_protocol("BrainAcPc")
    marks = [replace(mark, confidence=0.9) for mark in landmarks_at(protocol)]
    marks[10] = replace(marks[10], position_mm=marks[10].position_mm + 3)
    frame, rule = fit_frame(marks, protocol), protocol.boxes[0]
    stacks, box = blank_stacks([-15.0, 0.0, 15.0]), plan_box(frame, protocol, rule)
    evidence = Evidence(stacks, marks, (), frame, box, protocol, rule)
    assert check not in {found.name for found in run_checks(evidence)}
    strict = replace(evidence, limits=replace(ModelLimits(), **limits))
    assert {found.name: found.level for found in run_checks(strict)}[check] == WARNING
