"""A bundle becomes the default model only where a comparison says that it is better, whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, ModelError, UsageError
from AutoVolumeCalibrationLib.core.models.anatomies import model_for
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, default_model_name, default_models, shipped_models
from compared_bundles import bundle, comparison, sha_of
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.experiments import promotion
from LandmarkTrainingLib.core.experiments.comparison_report import write_comparison
from LandmarkTrainingLib.core.experiments.comparison_run import NO_WEIGHTS
from LandmarkTrainingLib.core.experiments.model_comparison import ComparedModel, ComparisonData, compare_models
from LandmarkTrainingLib.core.experiments.promotion import history, previous_model, promote, roll_back


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The folder of the user's models, not there yet."""
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def trained(tmp_path):
    return bundle(tmp_path / "bundle")


def test_a_better_bundle_becomes_the_default(models, trained, tmp_path):
    folder = promote(trained, comparison(tmp_path, trained))
    assert folder == models / "knee-model-1" and default_model_name() == "knee-model-1"
    model = load_model(device="cpu")
    assert (model.name, model.sha256) == ("knee-model-1", sha_of(trained))
    (step,) = history()
    assert (step.model, step.before, step.sha256) == ("knee-model-1", DEFAULT_MODEL, sha_of(trained))
    assert step.reason["data"]["fingerprint"] == "c" * 64
    assert (step.reason["outcome"], step.reason["anyway"]) == ("better", False)
    assert step.reason["boxes"]["people"] == 8 and step.reason["boxes"]["measures"]["rotation_deg"]["high"] < 0
    assert read_metadata(folder)["promotion"] == {
        **step.reason,
        "promoted_at": step.promoted_at,
        "replaced": DEFAULT_MODEL,
    }
    assert step.promoted_at.endswith("+00:00")
    assert (trained / "docs").exists() == (folder / "docs").exists()


def test_one_that_is_not_better_is_refused_with_the_numbers(models, trained, tmp_path):
    path = comparison(tmp_path, trained, turn_deg=2.185)
    with pytest.raises(UsageError) as refused:
        promote(trained, path)
    said = str(refused.value)
    assert "comparison.json: does not show new to be better. As good, not better" in said
    assert "Rotation of the box: 2.36 deg, current model 2.35 deg; +0.01 (90 % interval" in said
    assert "8 studies of 8 people" in said and "--anyway" in said and "nothing else shows it" in said
    assert not models.exists()


def test_a_worse_one_is_refused_whatever_the_user_says(models, trained, tmp_path):
    path = comparison(tmp_path, trained, turn_deg=4.0)
    for anyway in (False, True):
        with pytest.raises(UsageError, match="shows new to be worse. Worse in rotation of the box"):
            promote(trained, path, anyway=anyway)
    assert not models.exists()


@pytest.mark.parametrize("people", [1, 2, 5])
def test_with_few_people_the_user_decides_and_that_is_recorded(models, trained, tmp_path, people):
    path = comparison(tmp_path, trained, people=people)
    with pytest.raises(UsageError, match=f"Not enough people to say: {people}, at least 6 are needed.*--anyway"):
        promote(trained, path)
    assert not models.exists()
    folder = promote(trained, path, anyway=True)
    assert default_model_name() == folder.name == "knee-model-1"
    kept = read_metadata(folder)["promotion"]
    assert (kept["outcome"], kept["anyway"], kept["replaced"]) == ("not enough people", True, DEFAULT_MODEL)
    assert kept["boxes"]["people"] == people and kept["reasons"][0].startswith("Not enough people")
    assert history()[-1].reason["anyway"] is True
    assert "promotion" not in read_metadata(trained)
    assert load_model(device="cpu").sha256 == sha_of(trained)
    assert roll_back() == DEFAULT_MODEL


def test_without_a_true_box_the_user_decides(models, trained, tmp_path):
    path = comparison(tmp_path, trained, box=False)
    with pytest.raises(UsageError, match="Not enough people to say: 0"):
        promote(trained, path)
    assert promote(trained, path, anyway=True).name == "knee-model-1"


def test_a_better_one_needs_no_override(models, trained, tmp_path):
    promote(trained, comparison(tmp_path, trained), anyway=True)
    assert history()[-1].reason["anyway"] is False


def test_a_comparison_of_an_earlier_version_is_made_again(models, trained, tmp_path):
    path = comparison(tmp_path, trained)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["models"][1]["verdict"] = {"better": True, "reasons": ["Lower."]}
    path.write_text(json.dumps(content), encoding="utf-8")
    for anyway in (False, True):
        with pytest.raises(UsageError, match="has no verdict on the boxes.*Compare the bundle"):
            promote(trained, path, anyway=anyway)


def test_a_comparison_of_other_weights_is_refused(models, trained, tmp_path):
    other = bundle(tmp_path / "other", change=2.0)
    with pytest.raises(UsageError, match="does not compare the weights .*Compare the bundle"):
        promote(other, comparison(tmp_path, trained))
    assert not models.exists()


def test_a_comparison_with_another_model_than_the_current_one_is_refused(models, trained, tmp_path):
    path = comparison(tmp_path, trained)
    promote(trained, path)
    second = bundle(tmp_path / "second", change=2.0)
    with pytest.raises(UsageError, match="compares with old, which is not the current model"):
        promote(second, comparison(tmp_path / "b", second))
    assert default_model_name() == "knee-model-1" and len(history()) == 1
    assert promote(second, comparison(tmp_path / "c", second, old=trained)).name == "knee-model-2"


def test_roll_back_goes_one_step_at_a_time_and_forgets_nothing(models, trained, tmp_path):
    second = bundle(tmp_path / "second", change=2.0)
    promote(trained, comparison(tmp_path / "a", trained))
    promote(second, comparison(tmp_path / "b", second, old=trained))
    assert previous_model() == "knee-model-1"
    assert roll_back() == "knee-model-1" == default_model_name()
    assert previous_model() == DEFAULT_MODEL
    assert roll_back() == DEFAULT_MODEL == default_model_name()
    assert previous_model() is None
    with pytest.raises(UsageError, match="brain-scout replaced no other model"):
        roll_back()
    assert [step.model for step in history()] == ["knee-model-1", "knee-model-2"]
    assert load_model("knee-model-2", "cpu").sha256 == sha_of(second)
    assert promote(second, comparison(tmp_path / "c", second)).name == "knee-model-3"
    assert roll_back() == DEFAULT_MODEL


def test_a_roll_back_to_a_model_that_is_gone_is_refused(models, trained, tmp_path):
    second = bundle(tmp_path / "second", change=2.0)
    promote(trained, comparison(tmp_path / "a", trained))
    promote(second, comparison(tmp_path / "b", second, old=trained))
    shutil.rmtree(models / "knee-model-1")
    with pytest.raises(ModelError, match="the previous model knee-model-1 is gone"):
        roll_back()
    assert default_model_name() == "knee-model-2"


def test_a_current_model_that_is_gone_can_be_rolled_back(models, trained, tmp_path):
    promote(trained, comparison(tmp_path, trained))
    shutil.rmtree(models / "knee-model-1")
    assert roll_back() == DEFAULT_MODEL == load_model(device="cpu").name


def test_an_interrupted_promotion_changes_nothing(models, trained, tmp_path, monkeypatch):
    def stopped(*_arguments, **_options):
        raise KeyboardInterrupt

    path = comparison(tmp_path, trained)
    for name in ("write_text", "write_current"):
        with monkeypatch.context() as patch:
            patch.setattr(promotion, name, stopped)
            with pytest.raises(KeyboardInterrupt):
                promote(trained, path)
        assert default_model_name() == DEFAULT_MODEL and list(models.iterdir()) == []
    assert promote(trained, path).name == "knee-model-1"


def test_a_folder_that_cannot_be_made_is_told(models, trained, tmp_path):
    models.write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        promote(trained, comparison(tmp_path, trained))


def test_damaged_files_are_refused(models, trained, tmp_path):
    path = comparison(tmp_path, trained)
    with open(trained / "models" / "model.pt", "ab") as weights:
        weights.write(b"x")
    with pytest.raises(ModelError, match="weights differ"):
        promote(trained, path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"comparison\.json"):
        promote(shipped_models()[DEFAULT_MODEL], path)
    assert not models.exists()


def test_the_current_model_cannot_be_promoted_by_its_own_comparison(models, tmp_path):
    shipped = shipped_models()[DEFAULT_MODEL]
    models_of_one = [ComparedModel("old", "current", sha_of(shipped))]
    data = ComparisonData("dataset", "set", "c" * 64, {"s": "s"})
    alone = compare_models(models_of_one, [CaseResult("s", 0, "study", "old")], data, "BrainAcPc")
    with pytest.raises(UsageError, match="does not compare the weights"):
        promote(shipped, write_comparison(tmp_path, alone))


def of_anatomy(folder, anatomy):
    """A bundle that states its anatomy."""
    path = folder / "configs" / "metadata.json"
    path.write_text(json.dumps({**read_metadata(folder), "anatomy": anatomy}), encoding="utf-8")
    return folder


def without_model(path):
    """A comparison whose first contestant is planning without a model."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["models"][0]["sha256"] = NO_WEIGHTS
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_first_model_of_an_anatomy_replaces_no_other_anatomy_s(models, tmp_path):
    paw = of_anatomy(bundle(tmp_path / "bundle", name="paw-scout"), "paw")
    assert "paw" not in default_models()
    folder = promote(paw, without_model(comparison(tmp_path, paw)))
    assert folder.name == "paw-scout-1" and default_models()["paw"] == "paw-scout-1"
    assert default_model_name() == DEFAULT_MODEL
    assert [(step.model, step.before) for step in history()] == [("paw-scout-1", "")]
    assert default_models()["brain"] == DEFAULT_MODEL
    with pytest.raises(UsageError, match="replaced no other model"):
        roll_back()
    assert roll_back("paw") == "" and "paw" not in default_models() and folder.is_dir()


def test_a_second_model_of_an_anatomy_is_compared_with_its_first(models, tmp_path):
    first = of_anatomy(bundle(tmp_path / "first", name="paw-scout"), "paw")
    promote(first, without_model(comparison(tmp_path / "a", first)))
    second = of_anatomy(bundle(tmp_path / "second", change=2.0, name="paw-scout"), "paw")
    with pytest.raises(UsageError, match="not the current model"):
        promote(second, comparison(tmp_path / "b", second))
    assert promote(second, comparison(tmp_path / "c", second, first)).name == "paw-scout-2"
    assert previous_model("paw") == roll_back("paw") == "paw-scout-1"


def test_a_plan_takes_the_model_of_its_anatomy(models, tmp_path):
    brain = load_protocol("BrainAcPc")
    assert model_for(brain) is None and model_for(replace(brain, anatomy="paw")) is None
    other = [replace(each, name=f"{each.name}_PAW", mirror=None) for each in brain.constellation.landmarks]
    paw = replace(brain, anatomy="paw", constellation=Constellation(tuple(other), brain.constellation.modes_mm))
    with pytest.raises(ModelError, match="no model for the anatomy paw"):
        model_for(paw)
    trained = of_anatomy(bundle(tmp_path / "bundle", name="paw-scout"), "paw")
    promote(trained, without_model(comparison(tmp_path, trained)))
    assert model_for(paw) == "paw-scout-1"
