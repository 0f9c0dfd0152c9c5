"""The stated risk of a plan: from what the plan shows, by a model in the bundle, again after every correction."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.errors import InputError, ModelError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.risk.features import FEATURES, plan_features
from AutoVolumeCalibrationLib.core.planning.risk.finding import PlanRisk, risk_in_words, where_to_look
from AutoVolumeCalibrationLib.core.planning.risk.model import RiskModel, risk_from_dict
from AutoVolumeCalibrationLib.core.report.summary import html_table, one_line
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from AutoVolumeCalibrationLib.core.storage.results import calibration_to_dict, saved_from_dict
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, plan_from_landmarks, refit
from fake_models import blank_stacks
from LandmarkTrainingLib.core.coverage.risk.non_heads import shape_scouts
from posed_landmarks import landmarks_at

PROTOCOL = load_protocol("BrainAcPc")
NAMES = PROTOCOL.constellation.names


def risk_model(**changes) -> RiskModel:
    """All quantities count; a plan of clear landmarks has a small risk."""
    count = len(FEATURES)
    known = RiskModel(FEATURES, np.zeros(count), np.ones(count), np.full(count, 1.0), -9.0, 0.1, 0.5, {"studies": 700})
    return replace(known, **changes)


def marks_with(confidence: float = 0.9) -> list[Landmark]:
    return [replace(mark, confidence=confidence) for mark in landmarks_at(PROTOCOL)]


def planned(marks=None, risk=None, stacks=None, ratios=None):
    """A plan from predicted landmarks of a model with that risk."""
    info = ModelInfo("brain", "ab" * 32, "cpu", risk=risk)
    return plan_from_landmarks(
        stacks or blank_stacks([0.0]),
        PROTOCOL,
        (),
        predicted=marks_with() if marks is None else marks,
        model=info,
        birge_ratios=ratios or {},
    )


def features(marks, stacks=None, ratios=None):
    stacks = stacks or blank_stacks([0.0])
    return plan_features(marks, fit_frame(marks, PROTOCOL), stacks, ratios or {}, PROTOCOL)


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.001, "Fewer than 1 in 100 plans like this one are"),
        (0.0834, "About 1 in 12 plans like this one is"),
        (0.5, "About 5 in 10 plans like this one are"),
        (0.99, "Nearly all plans like this one are"),
    ],
)
def test_the_risk_in_words(probability, words):
    assert risk_in_words(probability) == f"{words} off by more than 5 deg or 10 mm"


def test_the_probability_is_that_of_the_logistic_law():
    model = risk_model(names=("tilt", "sparse"), mean=np.array([2.0, 0.5]), sd=np.array([0.5, 0.25]))
    model = replace(model, weights=np.array([1.5, 0.5]), intercept=-2.0)
    odds = 1.5 * (2.5 - 2.0) / 0.5 + 0.5 * (1.0 - 0.5) / 0.25 - 2.0
    assert model.probability({"tilt": 2.5, "sparse": 1.0, "other": 9}) == pytest.approx(1 / (1 + np.exp(-odds)))


@pytest.mark.parametrize("name", FEATURES)
def test_more_of_anything_never_lowers_the_risk(name):
    model, middle = risk_model(intercept=-4.0), dict.fromkeys(FEATURES, 0.3)
    risks = [model.probability({**middle, name: value}) for value in np.linspace(-20, 20, 41)]
    assert (np.diff(risks) >= 0).all() and risks[-1] > risks[0]


def test_what_was_never_seen_counts_no_further_than_six_deviations():
    model = risk_model()
    far = dict.fromkeys(FEATURES, 0.0)
    assert model.probability({**far, "tilt": 6.0}) == model.probability({**far, "tilt": 600.0})


def test_a_worse_plan_shows_more_of_what_is_worse():
    good, stacks = features(marks_with(0.9)), blank_stacks([-12.0, 0.0, 12.0])
    faint = features(marks_with(0.5))
    assert faint["unclear"] > good["unclear"] and faint["faintest"] > good["faintest"]
    lost = [Landmark(mark.name) if i % 3 == 0 else mark for i, mark in enumerate(marks_with())]
    assert features(lost)["missing"] == pytest.approx(1 / 3, abs=0.01)
    rng = np.random.default_rng(0)
    shaken = [replace(m, position_mm=m.position_mm + rng.normal(0, 8, 3)) for m in marks_with()]
    assert features(shaken)["residual"] > good["residual"]
    assert features(marks_with(), ratios=dict.fromkeys(NAMES, 4.0))["disagreement"] > good["disagreement"]
    assert features(marks_with(), stacks)["sparse"] == pytest.approx(1 / 3) and good["sparse"] == 1.0
    away = features(marks_with(), [*blank_stacks([20.0])])
    assert (good["beside"], away["beside"]) == (pytest.approx(0, abs=0.1), pytest.approx(4.0, abs=0.1))
    outer = [replace(m, position_mm=m.position_mm + [0, 0, 0.1 * m.position_mm[1]]) for m in marks_with()[32:]]
    assert features([*marks_with()[:32], *outer])["parts"] > good["parts"] + 0.4
    assert set(good) == set(FEATURES) and np.isfinite(list(good.values())).all()


def test_placed_landmarks_count_as_certain():
    marks, ratios = marks_with(0.4), dict.fromkeys(NAMES, 5.0)
    marks = [replace(mark, planes=("axial",)) for mark in marks]
    placed = [mark.corrected(mark.position_mm) for mark in marks]
    before, after = features(marks, ratios=ratios), features(placed, ratios=ratios)
    assert after["unclear"] == after["faintest"] == after["residual"] == after["disagreement"] == 0
    assert after["parts"] == after["one plane"] == 0 and before["one plane"] == 1
    assert after["tilt"] < before["tilt"]


def test_the_model_survives_the_file():
    model = risk_model(mean=np.linspace(0, 1, len(FEATURES)), weights=np.linspace(0, 2, len(FEATURES)))
    read = risk_from_dict(json.loads(json.dumps(model.to_dict())), FEATURES)
    assert read.to_dict() == model.to_dict()
    assert read.probability(dict.fromkeys(FEATURES, 0.4)) == pytest.approx(
        model.probability(dict.fromkeys(FEATURES, 0.4)), rel=1e-3
    )


@pytest.mark.parametrize(
    "damage",
    [
        {"quantities": []},
        {"intercept": "low"},
        {"warning": 0.6, "error": 0.5},
        {"quantities": [{"name": "tilt", "mean": 0, "sd": 0, "weight": 1}]},
        {"quantities": [{"name": "tilt", "mean": 0, "sd": 1, "weight": -1}]},
        {"quantities": [{"name": "phase of the moon", "mean": 0, "sd": 1, "weight": 1}]},
        {"quantities": [{"name": "tilt"}]},
    ],
)
def test_a_damaged_risk_is_refused(damage):
    with pytest.raises(ValueError, match="risk"):
        risk_from_dict({**risk_model().to_dict(), **damage}, FEATURES)


def test_a_plan_of_small_risk_is_ready_though_every_plane_has_one_slice():
    plan = planned(risk=risk_model(intercept=-20.0))
    assert [(check.name, check.level) for check in plan.checks] == [("ready", OK)]
    assert "Fewer than 1 in 100" in plan.checks[0].message and plan.risk.probability < 0.01


@pytest.mark.parametrize(("intercept", "level"), [(-1.0, ERROR), (-4.5, WARNING)])
def test_a_plan_of_high_risk_is_flagged_and_says_where_to_look(intercept, level):
    weights = np.where(np.array(FEATURES) == "sparse", 3.0, 0.0)
    plan = planned(risk=risk_model(intercept=intercept, weights=weights))
    found = {check.name: check for check in plan.checks}
    assert set(found) == {"risk"} and found["risk"].level == level
    assert re.search(r"(in 10|1 in \d+) plans like this one .* check AC, PC, and the \w+ in the", found["risk"].message)


def test_only_a_plane_that_was_scanned_is_named():
    plan = planned(risk=risk_model(intercept=-20.0))
    assert "scout" in where_to_look(plan.frame, plan.protocol, {"sagittal", "coronal", "axial"})
    assert "scout" not in where_to_look(plan.frame, plan.protocol, set())


def test_a_model_without_a_risk_keeps_the_rule_for_single_slices():
    plan = planned(risk=None)
    assert plan.risk is None and [check.name for check in plan.checks] == ["slices"]
    assert calibration_to_dict(plan)["risk"] is None


def test_corrections_lower_the_risk_and_taking_them_back_restores_it():
    plan = planned(marks_with(0.5), risk_model(intercept=-5.0), ratios=dict.fromkeys(NAMES, 2.0))
    placed = [mark.corrected(mark.position_mm) for mark in plan.landmarks if mark.name in ("AC", "PC", "VERTEX")]
    corrected = refit(plan, placed)
    assert corrected.risk.probability < plan.risk.probability
    assert refit(corrected, []).risk == plan.risk


def test_a_saved_plan_states_the_same_risk_when_it_is_planned_again():
    plan = planned(marks_with(0.6), risk_model(intercept=-5.0), ratios={"AC": 2.5, "PC": 1.5})
    data = json.loads(json.dumps(calibration_to_dict(plan)))
    assert data["risk"] == {"probability": plan.risk.probability, "warning": 0.1, "error": 0.5}
    saved = saved_from_dict(data, "here")
    assert saved.model.risk.to_dict() == plan.model.risk.to_dict() and saved.birge_ratios == {"AC": 2.5, "PC": 1.5}
    again = plan_from_landmarks(
        plan.stacks,
        PROTOCOL,
        (),
        predicted=saved.predicted,
        model=saved.model,
        disagreeing=saved.disagreeing,
        birge_ratios=saved.birge_ratios,
    )
    assert again.risk.probability == pytest.approx(plan.risk.probability, rel=1e-3)


def test_a_result_with_a_damaged_risk_is_refused():
    data = calibration_to_dict(planned(risk=risk_model()))
    data["model"]["risk"]["intercept"] = None
    with pytest.raises(InputError, match="risk"):
        saved_from_dict(data, "here")


def test_a_result_of_an_earlier_version_is_read():
    data = calibration_to_dict(planned(risk=risk_model()))
    for key in ("risk", "limits"):
        del data["model"][key]
    for key in ("risk", "birge_ratios"):
        del data[key]
    saved = saved_from_dict(data, "here")
    assert saved.model.risk is None and saved.birge_ratios == {}


def test_the_summary_states_the_risk():
    plan = replace(planned(risk=risk_model()), risk=PlanRisk(0.0834, 0.1, 0.5))
    assert "risk 8.3%" in one_line(plan) and "About 1 in 12" in html_table(plan)
    assert "risk" not in one_line(replace(plan, risk=None)) and "Risk" not in html_table(replace(plan, risk=None))


def with_risk(tmp_path, risk):
    bundle = shutil.copytree(resource_path("Models", "brain-scout"), tmp_path / "bundle")
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata.pop("risk", None)
    path.write_text(json.dumps(metadata if risk is None else {**metadata, "risk": risk}), encoding="utf-8")
    return bundle


def test_a_bundle_carries_its_risk(tmp_path):
    model = load_model(with_risk(tmp_path, risk_model().to_dict()), "cpu", "onnx")
    assert model.risk is not None and model.risk.to_dict() == risk_model().to_dict()


def test_an_earlier_bundle_states_none(tmp_path):
    assert load_model(with_risk(tmp_path, None), "cpu", "onnx").risk is None


def test_a_bundle_with_a_damaged_risk_is_refused(tmp_path):
    damaged = {**risk_model().to_dict(), "warning": 0.9}
    with pytest.raises(ModelError, match="risk"):
        load_model(with_risk(tmp_path, damaged), "cpu", "onnx")


def test_the_risk_replaces_the_warnings_that_look_at_what_it_weighs_but_no_error():
    faint = marks_with(0.65)
    assert {c.name: c.level for c in planned(faint).checks} == {"slices": WARNING, "anatomy": WARNING}
    assert [c.name for c in planned(faint, risk_model(intercept=-20.0)).checks] == ["ready"]
    none = planned(marks_with(0.4), risk_model(intercept=-20.0))
    assert {c.name: c.level for c in none.checks} == {"anatomy": ERROR}


def test_a_ball_is_held_off_by_more_than_one_check():
    """An even ball with a single slice in every plane has peaks nearly as high as a head's."""
    rng = np.random.default_rng(0)
    stacks = shape_scouts("ball", ScoutGeometry(1, 0.0, 6.0), rng)
    plan = calibrate(stacks, PROTOCOL, load_model("brain-scout", "cpu", "onnx"))
    errors = {check.name for check in plan.checks if check.level == ERROR}
    assert len(errors) > 1 and "risk" in errors
