"""``compare``, ``promote`` and ``roll-back`` hand on what they are told and print what came out."""

from __future__ import annotations

import json

import pytest

from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, default_model_name, shipped_models
from command_line import assert_refused
from compared_bundles import bundle, comparison
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.experiments import comparison_run
from LandmarkTrainingLib.core.experiments.model_comparison import ComparedModel, ComparisonData, compare_models


@pytest.fixture
def measured(monkeypatch):
    """Instead of measuring: keeps what was asked for, and answers with a comparison of one study."""
    asked = {}

    def load(names, protocol, device):
        asked["models"] = names
        return "contestants"

    def compare(contestants, protocol, data, *arguments, **options):
        asked.update(data=data, arguments=arguments, options=options)
        models = [ComparedModel("old", "current", "a" * 64), ComparedModel("new", "b", "b" * 64)]
        cases = [CaseResult("s", 0, "study", name, in_plane_mm={"axial": {"AC": [2.0]}}) for name in ("old", "new")]
        return compare_models(models, cases, ComparisonData("dataset", "set", "c" * 64, {"s": "s"}), protocol.name)

    monkeypatch.setattr(comparison_run, "load_contestants", load)
    monkeypatch.setattr(comparison_run, "compare_on_dataset", compare)
    monkeypatch.setattr(comparison_run, "compare_on_heads", compare)
    return asked


def test_models_are_compared_on_a_data_set(autovolume, measured, tmp_path):
    (tmp_path / "out").mkdir()
    ran = autovolume("compare", "current", "mine", "--dataset", tmp_path / "set", "--output", tmp_path / "out")
    assert (ran.code, ran.err) == (0, "")
    assert measured["models"] == ["current", "mine"] and measured["data"] == tmp_path / "set"
    assert "# Comparison of models" in ran.out and "- new: no." in ran.out
    written = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert [model["name"] for model in written["models"]] == ["old", "new"]


def test_models_are_compared_on_real_heads(autovolume, measured, tmp_path, monkeypatch):
    from head_phantom import phantom_head
    from LandmarkTrainingLib.core.reference_heads import heads

    made = [phantom_head(load_brain(), name) for name in ("h1", "h2")]
    monkeypatch.setattr(heads, "list_heads", lambda folder, split: made)
    command = ("compare", "a", "b", "--data", tmp_path, "--output", tmp_path, "--slices", 3, "--poses", 4)
    assert autovolume(*command, "--heads", "h2").code == 0
    assert [head.id for head in measured["arguments"][0]] == ["h2"]
    assert measured["options"]["poses_per_head"] == 4 and list(measured["options"]["geometries"]) == ["P3"]
    assert not measured["arguments"][0][0].corrected
    assert_refused(autovolume(*command, "--heads", "h3"), 2, "h3")


def test_the_truth_of_real_heads_can_be_corrected(autovolume, measured, tmp_path, monkeypatch):
    from head_phantom import phantom_head
    from LandmarkTrainingLib.core.reference_heads import heads

    monkeypatch.setattr(heads, "list_heads", lambda folder, split: [phantom_head(load_brain(), "h1")])
    assert autovolume("compare", "a", "b", "--data", tmp_path, "--output", tmp_path, "--corrected").code == 0
    (head,) = measured["arguments"][0]
    plain = phantom_head(load_brain(), "h1")
    moved = (head.points["PC"] - plain.points["PC"]) @ plain.axes.T
    assert head.corrected and moved == pytest.approx([0, -0.3, 0.3])
    dataset = ("compare", "a", "b", "--dataset", tmp_path / "set", "--output", tmp_path, "--corrected")
    assert_refused(autovolume(*dataset), 2, "data set stay as they are")


def load_brain():
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol

    return load_protocol("BrainAcPc")


def test_data_are_needed_and_of_one_kind(autovolume, tmp_path):
    assert_refused(autovolume("compare", "current", "--output", tmp_path), 2, "--dataset")
    both = ("--dataset", tmp_path, "--data", tmp_path)
    assert_refused(autovolume("compare", "current", *both, "--output", tmp_path), 2, "not allowed with")


def test_unknown_models_and_the_same_model_twice_are_refused(autovolume, tmp_path):
    rest = ("--dataset", tmp_path, "--output", tmp_path / "out")
    assert_refused(autovolume("compare", "current", "nonsense", *rest), 4, "nonsense")
    assert_refused(autovolume("compare", "current", DEFAULT_MODEL, *rest), 2, "the same")
    assert_refused(autovolume("compare", DEFAULT_MODEL, DEFAULT_MODEL, *rest), 2, "the same")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_data_set_is_refused(autovolume, tmp_path):
    assert_refused(autovolume("compare", "current", "--dataset", tmp_path, "--output", tmp_path / "out"), 3, tmp_path)


def test_a_bundle_is_promoted_and_rolled_back(autovolume, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    trained = bundle(tmp_path / "bundle")
    ran = autovolume("promote", trained, "--comparison", comparison(tmp_path, trained))
    assert (ran.code, ran.err) == (0, "") and "knee-model-1 is now the default model" in ran.out
    assert "knee-model-1 (default)" in autovolume("models").out
    ran = autovolume("roll-back")
    assert (ran.code, ran.out) == (0, f"{DEFAULT_MODEL} is the default model again\n")
    assert default_model_name() == DEFAULT_MODEL
    assert_refused(autovolume("roll-back"), 2, DEFAULT_MODEL)


def test_a_bundle_that_is_not_better_is_not_promoted(autovolume, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    trained = bundle(tmp_path / "bundle")
    path = comparison(tmp_path, trained, error=2.5)
    assert_refused(autovolume("promote", trained, "--comparison", path), 2, path)
    assert_refused(autovolume("promote", trained, "--comparison", tmp_path / "none.json"), 3, "none.json")
    assert_refused(autovolume("promote", tmp_path / "none", "--comparison", path), 4, "none")
    assert DEFAULT_MODEL in shipped_models() and "bundle" not in shipped_models() and not (tmp_path / "models").exists()
