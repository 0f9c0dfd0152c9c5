"""The risk of a model's plans is fitted on studies with known truth: it must find the law that made the plans wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.planning.risk.features import FEATURES, LEAST_MM
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.coverage.risk import cases as risk_cases
from LandmarkTrainingLib.core.coverage.risk import non_heads, studies
from LandmarkTrainingLib.core.coverage.risk.cases import RiskCase, planned_cases
from LandmarkTrainingLib.core.coverage.risk.fit import (
    ERROR_RISK,
    FEWEST_WRONG,
    LARGEST_WARNING,
    QUANTITIES,
    case_weights,
    choose_warning,
    fit_risk,
    logistic_fit,
)
from LandmarkTrainingLib.core.coverage.risk.report import risk_report
from LandmarkTrainingLib.core.coverage.risk.studies import LABELS, NON_HEAD, VOLUMES, RiskStudy, StudySource
from LandmarkTrainingLib.core.runs.run_folder import RunFolder
from LandmarkTrainingLib.core.training import training_run
from LandmarkTrainingLib.core.training.bundle_export import record_risk
from toy_heads import toy_heads

PROTOCOL = load_protocol("BrainAcPc")
RULE = PROTOCOL.boxes[0]


#: Of made-up quantities that the checks look at, too.
QUIET = {"unclear best": 0.1, "residual": 1.0}


def made_up(count=1200, seed=0, slices=1, kind=LABELS):
    """Cases whose plans are wrong by a law: log odds -2 + 1.5 tilt + 0.8 parts, in standard deviations."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, len(FEATURES)))
    tilt, parts = (values[:, FEATURES.index(name)] for name in ("tilt", "parts"))
    wrong = rng.random(count) < 1 / (1 + np.exp(2.0 - 1.5 * tilt - 0.8 * parts))
    return [
        RiskCase(
            number,
            kind,
            f"head_{number % 20:02d}",
            slices,
            None,
            {**dict(zip(FEATURES, row.tolist(), strict=True)), **QUIET},
            7.0 if bad else 2.0,
            1.0,
        )
        for number, (row, bad) in enumerate(zip(values, wrong, strict=True))
    ]


def non_head(number, **changes):
    return RiskCase(number, NON_HEAD, "ball", 1, None, dict.fromkeys(FEATURES, 4.0), None, None, **changes)


def test_the_fit_finds_the_law():
    rng = np.random.default_rng(1)
    standard = rng.normal(size=(20000, 3))
    wrong = rng.random(20000) < 1 / (1 + np.exp(1.0 - standard @ [1.2, 0.0, 0.5]))
    weights, intercept = logistic_fit(standard, wrong, np.ones(20000))
    assert weights == pytest.approx([1.2, 0.0, 0.5], abs=0.07) and intercept == pytest.approx(-1.0, abs=0.07)


def test_no_weight_is_negative_whatever_the_cases_say():
    rng = np.random.default_rng(2)
    standard = rng.normal(size=(3000, 2))
    wrong = rng.random(3000) < 1 / (1 + np.exp(standard[:, 0] - standard[:, 1]))
    weights, _ = logistic_fit(standard, wrong, np.ones(3000))
    assert weights[0] == 0 and weights[1] > 0.5


def test_what_it_says_of_heads_that_it_was_not_fitted_on_comes_true():
    fitted = fit_risk(made_up(6000))
    wrong = np.array([case.wrong for case in fitted.cases])
    for low, high in ((0.02, 0.1), (0.1, 0.3), (0.3, 0.6)):
        inside = (fitted.left_out >= low) & (fitted.left_out < high)
        assert wrong[inside].mean() == pytest.approx(fitted.left_out[inside].mean(), abs=0.035)


def test_a_head_does_not_help_to_predict_itself():
    """One person's plans are all wrong for no visible reason: without that person nothing says so."""
    cases = [replace(case, rotation_deg=9.0) if case.person == "head_03" else case for case in made_up(1000)]
    fitted = fit_risk(cases)
    own = np.array([case.person == "head_03" for case in fitted.cases])
    assert fitted.left_out[own].mean() < 0.5


def test_too_few_wrong_plans_are_refused():
    right = [replace(case, rotation_deg=1.0) for case in made_up(200)]
    few = [replace(case, rotation_deg=9.0) if case.number < FEWEST_WRONG - 1 else case for case in right]
    with pytest.raises(InputError, match="Plan more studies"):
        fit_risk(few)


def test_scouts_without_a_head_count_little_and_are_called_wrong():
    cases = [*made_up(600), *(non_head(1000 + i) for i in range(60))]
    counts = case_weights(cases)
    assert counts[:600].tolist() == [1.0] * 600 and counts[600:].sum() == pytest.approx(0.02 * 600)
    assert fit_risk(cases).left_out[-60:].min() > ERROR_RISK
    assert all(case.wrong for case in cases[600:])


def test_refused_studies_are_neither_right_nor_wrong():
    refused = RiskCase(5000, LABELS, "head_01", 1, "no brain recognised")
    assert not refused.wrong and len(fit_risk([*made_up(600), refused]).cases) == 600


def one_slice(probabilities, wrong):
    cases = made_up(len(probabilities))
    errors = [9.0 if bad else 1.0 for bad in wrong]
    return [replace(case, rotation_deg=error) for case, error in zip(cases, errors, strict=True)], np.array(
        probabilities
    )


def test_a_flag_leaves_no_wrong_plan_out_where_the_risk_tells_them_apart():
    cases, risks = one_slice([0.01, 0.02, 0.03, 0.04, 0.05, 0.30, 0.40], [0, 0, 0, 0, 0, 1, 1])
    warning = choose_warning(cases, risks)
    assert 0.05 < warning < 0.30


def test_a_wrong_plan_that_another_check_flags_does_not_move_the_limit():
    cases, risks = one_slice([0.01, 0.02, 0.03, 0.04, 0.05, 0.30, 0.40], [1, 0, 0, 0, 0, 1, 1])
    cases[0] = replace(cases[0], findings={"shape": "warning"})
    assert 0.05 < choose_warning(cases, risks) < 0.30


def test_where_they_cannot_be_told_apart_at_most_a_fifth_of_the_right_ones_is_flagged():
    cases, risks = one_slice([0.01, *np.linspace(0.02, 0.09, 10)], [1] + [0] * 10)
    warning = choose_warning(cases, risks)
    assert (risks[1:] > warning).sum() == 2


def test_a_tenth_is_flagged_however_many_right_plans_that_are():
    cases, risks = one_slice([0.3, *np.linspace(0.11, 0.3, 10)], [1] + [0] * 10)
    assert choose_warning(cases, risks) == LARGEST_WARNING


def test_real_heads_decide_how_many_flags_are_too_many_and_each_person_alike():
    """Person a has 8 right plans of rising risk, b one of small risk: a fifth of the people is 3 of a's plans."""
    cases, risks = one_slice([0.01, 0.4, 0.4, *np.linspace(0.02, 0.09, 8), 0.01], [1] + [0] * 11)
    cases[3:] = [replace(case, kind=VOLUMES, person="a") for case in cases[3:]]
    cases[-1] = replace(cases[-1], person="b")
    assert choose_warning(cases, risks) == pytest.approx(0.06)


def test_plans_with_more_slices_do_not_choose_the_limit():
    cases, risks = one_slice([0.01, 0.02, 0.03, 0.04, 0.05, 0.30, 0.40], [0, 0, 0, 0, 0, 1, 1])
    more = [*cases, replace(cases[0], slices=5, rotation_deg=9.0)]
    assert choose_warning(more, np.append(risks, 0.02)) == choose_warning(cases, risks)


def test_the_report_says_what_was_flagged_and_how_reliable_it_is():
    cases = [*made_up(900), non_head(2000), RiskCase(2001, NON_HEAD, "noise", 1, "no brain recognised")]
    fitted = fit_risk(cases)
    text = risk_report(fitted, cases)
    assert f"{sum(case.wrong for case in cases[:900])} wrong" in text
    assert "mean predicted" in text and "all, 1 per plane" in text and "other bodies" in text
    assert fitted.model.facts["studies"] == 900 and fitted.model.facts["people"] == 20
    flags = fitted.model.facts["one_slice"]
    assert flags["right"] + flags["wrong"] == 900 and flags["wrong"] == sum(case.wrong for case in cases[:900])
    # A fifth of these plans is wrong: the limit is the largest there may be.
    assert fitted.model.warning == LARGEST_WARNING and 0.3 < flags["right_flagged"] / flags["right"] < 0.5


class FewStudies(StudySource):
    """Studies without images; ``calibrate`` is made up, too."""

    drawn = 0

    def study(self, number):
        type(self).drawn += 1
        return RiskStudy(number, NON_HEAD, "nothing", 1, (), None)


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setattr(FewStudies, "drawn", 0)
    case = RiskCase(0, NON_HEAD, "nothing", 1, "nothing there")
    monkeypatch.setattr(risk_cases, "plan_study", lambda study, *_: replace(case, number=study.number))
    return FewStudies(None, ["head_01"], [], PROTOCOL, RULE)


@pytest.fixture
def model():
    return load_model("brain-scout", "cpu", "onnx")


def test_a_stopped_run_goes_on_where_it_stopped(source, model, tmp_path):
    log = tmp_path / "plans.jsonl"
    planned_cases(source, model, 3, log)
    log.write_text(log.read_text()[:-9])  # killed while it wrote the last line
    assert [case.number for case in planned_cases(source, model, 4, log)] == [0, 1, 2, 3]
    assert source.drawn == 3 + 2
    assert planned_cases(source, model, 4, log) == planned_cases(source, model, 4, log) and source.drawn == 5


@pytest.mark.parametrize("change", ["model", "seed", "damage"])
def test_a_log_of_something_else_is_refused(source, model, tmp_path, change):
    log = tmp_path / "plans.jsonl"
    planned_cases(source, model, 1, log)
    if change == "damage":
        log.write_text(log.read_text() + "{}x\n")
    other = replace(source, seed=7) if change == "seed" else source
    with pytest.raises(InputError, match="another output folder"):
        planned_cases(other, replace(model, sha256="1" * 64) if change == "model" else model, 1, log)


def test_the_risk_is_recorded_in_the_bundle_that_it_was_measured_with(model, tmp_path):
    bundle = shutil.copytree(resource_path("Models", "brain-scout"), tmp_path / "bundle")
    fitted = fit_risk(made_up())
    measured, limits = fitted.model, replace(fitted.limits, anatomy_peak=0.55)
    record_risk(bundle, measured, limits, model.sha256)
    record_risk(bundle, measured, limits, model.sha256)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["risk"] == measured.to_dict()
    recorded = load_model(bundle, "cpu", "onnx")
    assert recorded.risk.to_dict() == measured.to_dict() and recorded.limits == limits
    with pytest.raises(UsageError, match="other weights"):
        record_risk(bundle, measured, limits, "1" * 64)


def test_non_heads_fill_their_slices_with_something():
    rng = np.random.default_rng(0)
    geometry = studies._geometry(3, rng)
    for stacks in (non_heads.noise_scouts(geometry, rng), non_heads.shape_scouts("ball", geometry, rng)):
        assert [len(stack.slices) for stack in stacks] == [3, 3, 3]
        assert all(one.pixels.max() > 0 and np.isfinite(one.pixels).all() for stack in stacks for one in stack.slices)


def test_every_kind_of_study_is_drawn_and_one_slice_is_commonest():
    source, seen = StudySource(None, [], ["someone"], PROTOCOL, RULE), []

    def remember(number, geometry, rng, kind):
        seen.append((kind, geometry.slices))

    for kind, name in ((LABELS, "_simulated"), (VOLUMES, "_cut"), (NON_HEAD, "_non_head")):
        object.__setattr__(source, name, lambda *arguments, k=kind: remember(*arguments, k))
    for number in range(400):
        source.study(number)
    kinds, counts = zip(*seen, strict=True)
    for kind, share in studies.KIND_SHARES.items():
        assert kinds.count(kind) / 400 == pytest.approx(share, abs=0.08)
    assert counts.count(1) > 200 and {1, 3, 5} == set(counts)


def test_errors_of_other_checks_begin_beyond_all_right_plans():
    cases = made_up(400)
    for case in cases:
        case.features["unclear best"] = 0.2 + 0.1 * (case.number % 10) / 9
        case.features["residual"] = np.log(4.0 / LEAST_MM)
    fitted = fit_risk([*cases, non_head(900)])
    assert fitted.limits.anatomy_peak == pytest.approx(0.68) and fitted.limits.shape_mm == (4.0, pytest.approx(4.4))


def test_quantities_that_do_not_count_are_left_out():
    model = fit_risk(made_up(4000)).model
    assert {"tilt", "parts"} <= set(model.names) < set(QUANTITIES) and (model.weights > 0).all()


def test_the_flags_reported_are_those_of_the_limits_measured():
    """A right plan that the earlier limit of the check "shape" called an error is none by the new one."""
    cases = made_up(400)
    for case in cases:
        case.features["residual"] = np.log(6.0 / LEAST_MM)
    cases[0] = replace(cases[0], rotation_deg=1.0, findings={"shape": "error", "planes": "warning"})
    beyond = non_head(900)
    beyond.features["residual"] = np.log(30.0 / LEAST_MM)
    fitted = fit_risk([*cases, beyond])
    assert fitted.cases[0].findings == {"planes": "warning"}
    assert fitted.cases[-1].findings["shape"] == "error"


@pytest.mark.parametrize("enough", [True, False])
def test_a_training_may_measure_the_risk_at_its_end(tmp_path, monkeypatch, caplog, enough):
    run = RunFolder(tmp_path)
    shutil.copytree(resource_path("Models", "brain-scout"), run.bundle)
    metadata = json.loads((run.bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    (run.bundle / "configs" / "metadata.json").write_text(
        json.dumps({key: value for key, value in metadata.items() if key != "risk"}), encoding="utf-8"
    )
    asked = []

    def made_up_measurement(model, source, folder, studies):
        asked.append((source.label_names, folder.parent, studies))
        return fit_risk(made_up(600 if enough else 20)), ""

    monkeypatch.setattr(training_run, "measure_risk", made_up_measurement)
    config = TrainingConfig(device="cpu", check_heads=(19, 20), risk_studies=300)
    heads = replace(toy_heads(count=2), people=("head_19", "head_20"))
    training_run._add_risk(run.bundle, config, heads, PROTOCOL)
    assert asked == [(("head_19", "head_20"), tmp_path, 300)]
    assert (load_model(run.bundle, "cpu", "onnx").risk is not None) == enough
    assert ("states no risk" in caplog.text) == (not enough)
