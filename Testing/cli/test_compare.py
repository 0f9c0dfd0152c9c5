"""``compare``, ``promote`` and ``roll-back`` hand on what they are told and print what came out."""

from __future__ import annotations

import json

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
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

    def load(names, protocol, device, box):
        asked.update(models=names, protocol=protocol.name, box=box)
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
    from data_sets import brain_study, write_set

    write_set(tmp_path / "set", [brain_study("one", protocol=None)])
    ran = autovolume("compare", "current", "mine", "--dataset", tmp_path / "set", "--output", tmp_path / "out")
    assert (ran.code, ran.err) == (0, "")
    assert measured["models"] == ["current", "mine"] and measured["data"] == tmp_path / "set"
    assert (
        "# Comparison of models" in ran.out
        and "**new: Not enough people to say: 0, at least 6 are needed.**" in ran.out
    )
    written = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert [model["name"] for model in written["models"]] == ["old", "new"]
    assert (measured["protocol"], measured["box"], measured["options"]["box"]) == (
        "BrainAcPc",
        "AxialWholeBrain",
        "AxialWholeBrain",
    )


def test_the_box_is_the_one_that_the_studies_were_planned_with(autovolume, measured, tmp_path):
    from data_sets import brain_study, write_set

    planned = {"protocol": "BrainHippocampus", "box": {"name": load_protocol("BrainHippocampus").boxes[-1].name}}
    write_set(tmp_path / "set", [brain_study("one", 1, **planned), brain_study("two", 2)])
    command = ("compare", "current", "mine", "--dataset", tmp_path / "set", "--output", tmp_path)
    assert autovolume(*command).code == 0
    assert (measured["protocol"], measured["box"]) == ("BrainHippocampus", planned["box"]["name"])
    assert autovolume(*command, "--protocol", "BrainAcPc").code == 0
    assert (measured["protocol"], measured["box"]) == ("BrainAcPc", load_protocol("BrainAcPc").boxes[0].name)
    assert_refused(autovolume(*command, "--box", "Foot"), 4, "has no box Foot")


def test_studies_planned_with_several_protocols_or_an_unknown_one_need_a_name(autovolume, measured, tmp_path):
    from data_sets import brain_study, write_set

    command = ("compare", "current", "mine", "--output", tmp_path, "--dataset")
    several = [brain_study("one", 1, protocol="BrainAcPc"), brain_study("two", 2, protocol="BrainHippocampus")]
    write_set(tmp_path / "several", several)
    assert_refused(autovolume(*command, tmp_path / "several"), 2, "planned with BrainAcPc, BrainHippocampus")
    assert autovolume(*command, tmp_path / "several", "--protocol", "BrainAcPc").code == 0
    write_set(tmp_path / "site", [brain_study("one", 1, protocol="OurSite")])
    assert_refused(autovolume(*command, tmp_path / "site"), 2, "OurSite, which is not a shipped protocol")


def test_models_are_compared_on_real_heads(autovolume, measured, tmp_path, monkeypatch):
    from head_phantom import phantom_head
    from LandmarkTrainingLib.core.reference_heads import heads

    made = [phantom_head(load_protocol("BrainAcPc"), name) for name in ("h1", "h2")]
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
    assert ran.out.startswith(
        "Better in rotation of the box, and as good in all else (8 people).\nRotation of the box: "
    )
    assert "anyway" not in ran.out
    assert "knee-model-1 (default)" in autovolume("models").out
    ran = autovolume("roll-back")
    assert (ran.code, ran.out) == (0, f"{DEFAULT_MODEL} is the default model again\n")
    assert default_model_name() == DEFAULT_MODEL
    assert_refused(autovolume("roll-back"), 2, DEFAULT_MODEL)


def test_with_few_people_a_bundle_is_promoted_only_where_the_user_insists(autovolume, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    trained = bundle(tmp_path / "bundle")
    command = ("promote", trained, "--comparison", comparison(tmp_path, trained, people=2))
    refused = autovolume(*command)
    assert_refused(refused, 2, "Not enough people to say: 2, at least 6 are needed.")
    assert "--anyway" in refused.err
    ran = autovolume(*command, "--anyway")
    assert (ran.code, ran.err) == (0, "") and ran.out.startswith("Not enough people to say: 2")
    assert "Promoted anyway: it was not shown to be better. Every plan that names no other model" in ran.out
    assert default_model_name() == "knee-model-1"
    assert autovolume("roll-back").code == 0 and default_model_name() == DEFAULT_MODEL


def test_a_bundle_that_is_not_better_is_not_promoted(autovolume, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    trained = bundle(tmp_path / "bundle")
    path = comparison(tmp_path, trained, turn_deg=2.175)
    assert_refused(autovolume("promote", trained, "--comparison", path), 2, path)
    assert_refused(autovolume("promote", trained, "--comparison", tmp_path / "none.json"), 3, "none.json")
    assert_refused(autovolume("promote", tmp_path / "none", "--comparison", path), 4, "none")
    assert DEFAULT_MODEL in shipped_models() and "bundle" not in shipped_models() and not (tmp_path / "models").exists()
