"""``risk`` measures how probable it is that a plan is wrong, and can put it into the bundle."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.planning.risk.features import FEATURES
from LandmarkTrainingLib.core.coverage.risk import cases as risk_cases
from LandmarkTrainingLib.core.coverage.risk import measurement
from LandmarkTrainingLib.core.coverage.risk.cases import RiskCase
from LandmarkTrainingLib.core.coverage.risk.fit import LARGEST_WARNING
from LandmarkTrainingLib.core.coverage.risk.studies import LABELS, RiskStudy, StudySource

#: What is true of every study but how far the parts of the head agree: the even ones are clear and right.
PLAN = RiskCase(0, LABELS, "head_01", 1, None, dict.fromkeys(FEATURES, 0.1), 1.0, 1.0)


class MadeUp(StudySource):
    def study(self, number):
        return RiskStudy(number, LABELS, f"head_{number % 5}", 1, (), None)


def made_up_plan(study, *_):
    bad = study.number % 2 == 1
    shown = {**PLAN.features, "parts": 0.8 if bad else 0.2 + study.number / 1000}
    case = replace(PLAN, number=study.number, person=study.person, features=shown)
    return replace(case, rotation_deg=9.0 if bad else 1.0)


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(resource_path("Models", "brain-scout"), tmp_path / "bundle")


@pytest.fixture
def asked(bundle, tmp_path, monkeypatch):
    """The command's words; the studies and their plans are made up."""
    monkeypatch.setattr(
        measurement,
        "study_source",
        lambda labels, volumes, protocol, rule: MadeUp(None, ["head_01"], [], protocol, rule),
    )
    monkeypatch.setattr(risk_cases, "plan_study", made_up_plan)
    return ("risk", "--labels", tmp_path, "--model", bundle, "--backend", "onnx", "--output", tmp_path / "out")


def test_the_risk_is_measured_reported_and_recorded(autovolume, asked, bundle, tmp_path):
    ran = autovolume(*asked, "--studies", 60, "--record", bundle)
    assert ran.code == 0 and ran.err.count("wrong") == 30
    assert "60 planned studies of 5 people, 30 wrong" in ran.out
    assert (tmp_path / "out" / "risk.md").read_text(encoding="utf-8") == ran.out.removesuffix("\n")
    risk = load_model(bundle, "cpu", "onnx").risk
    assert risk.facts["studies"] == 60
    shown = dict.fromkeys(FEATURES, 0.1)
    low, high = (risk.probability({**shown, "parts": value}) for value in (0.2, 0.8))
    # Half of the plans are wrong: every one above the largest limit is flagged.
    assert low < 0.2 and high > 0.8 and risk.warning == LARGEST_WARNING
    again = autovolume(*asked, "--studies", 60)
    assert again.out == ran.out and again.err == "", "nothing is planned twice"


def test_without_the_word_the_bundle_stays_as_it_is(autovolume, asked, bundle):
    before = (bundle / "configs" / "metadata.json").read_text(encoding="utf-8")
    autovolume(*asked, "--studies", 40)
    assert (bundle / "configs" / "metadata.json").read_text(encoding="utf-8") == before
    assert "risk" not in json.loads(before) or json.loads(before)["risk"]["measured"]["studies"] != 40


def test_too_few_studies_are_refused(autovolume, asked):
    ran = autovolume(*asked, "--studies", 10)
    assert (ran.code, ran.out) == (3, "") and "Plan more studies" in ran.err


def test_it_does_not_go_into_a_bundle_of_other_weights(autovolume, asked, bundle, tmp_path):
    other = shutil.copytree(bundle, tmp_path / "other")
    metadata = json.loads((other / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata["weights"]["sha256"] = "0" * 64
    (other / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    ran = autovolume(*asked, "--studies", 40, "--record", other)
    assert ran.code == 2 and "other weights" in ran.err
