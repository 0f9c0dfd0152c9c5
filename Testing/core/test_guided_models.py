"""Which of the installed models can be told where landmarks are."""

from __future__ import annotations

import json
import shutil

import pytest

from AutoVolumeCalibrationLib.core.bundles import load_model, read_metadata
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.guided_models import (
    choose_guided_model,
    find_guided_model,
    is_guided,
    require_guided,
)
from AutoVolumeCalibrationLib.core.user_models import DEFAULT_MODEL, shipped_models, user_models_folder
from fake_models import fake_model
from guided_networks import guided_bundle

BRAIN = ("AC", "PC", "GENU", "VERTEX")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the user's models; the only shipped one cannot be told anything."""
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    plain = {DEFAULT_MODEL: shipped_models()[DEFAULT_MODEL]}
    monkeypatch.setattr("AutoVolumeCalibrationLib.core.user_models.shipped_models", lambda: plain)
    return user_models_folder()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return guided_bundle(tmp_path_factory.mktemp("made") / "guided")


def renamed(folder, names):
    """A bundle whose metadata names its landmarks otherwise; enough to be found, not to be loaded."""
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["landmarks"] = [{"name": name, "mirror": None} for name in names]
    path.write_text(json.dumps(metadata))
    return folder


def test_without_a_guided_bundle_there_is_none_and_the_error_says_how_to_get_one(folder):
    assert find_guided_model(["AC"], BRAIN) is None
    with pytest.raises(ModelError, match=r"no model here finds the rest by AC, PC\. Install or train a guided model"):
        choose_guided_model(["AC", "PC"], BRAIN)


def test_a_guided_bundle_of_the_user_s_is_found_and_loads_as_one(folder, made):
    shutil.copytree(made, folder / "mine")
    assert is_guided(read_metadata(made)) and not is_guided(read_metadata(shipped_models()[DEFAULT_MODEL]))
    assert find_guided_model(["AC"], BRAIN) == choose_guided_model((), BRAIN) == folder / "mine"
    assert load_model(find_guided_model(["AC"], BRAIN), "cpu").sequential
    assert not load_model(DEFAULT_MODEL, "cpu").sequential


def test_it_must_know_every_given_landmark_and_one_that_is_wanted(folder, made):
    shutil.copytree(made, folder / "mine")
    assert find_guided_model(["AC", "KNEE"], BRAIN) is None
    assert find_guided_model([], ["KNEE"]) is None


def test_of_several_the_one_that_knows_most_is_found_and_the_preferred_one_first(folder, made):
    few = renamed(shutil.copytree(made, folder / "a-few"), ["AC", "PC"])
    all_of_it, another = (shutil.copytree(made, folder / name) for name in ("b-all", "c-all"))
    assert find_guided_model(["AC"], BRAIN, few) == all_of_it
    assert find_guided_model(["AC"], BRAIN, "c-all") == find_guided_model(["AC"], BRAIN, another) == another
    assert find_guided_model(["AC"], BRAIN, "not there") == all_of_it


def test_damaged_bundles_are_passed_over(folder, made):
    broken, foreign = (shutil.copytree(made, folder / name) for name in ("a-broken", "b-foreign"))
    (broken / "configs" / "metadata.json").write_text("{")
    metadata = json.loads((foreign / "configs" / "metadata.json").read_text())
    metadata["network"]["architecture"] = "unheard_of"
    (foreign / "configs" / "metadata.json").write_text(json.dumps(metadata))
    assert find_guided_model(["AC"], BRAIN) is None
    sound = shutil.copytree(made, folder / "z-sound")
    assert find_guided_model(["AC"], BRAIN) == sound


def test_a_model_that_is_none_is_refused_with_the_name_of_one_that_is(folder, made):
    plain = fake_model(None, BRAIN, range(4))
    with pytest.raises(ModelError, match="Install or train a guided model"):
        require_guided(plain, ["AC"])
    shutil.copytree(made, folder / "mine")
    with pytest.raises(ModelError, match=r"cannot be told where landmarks are\. Choose the model mine\."):
        require_guided(plain, ["AC"])
    require_guided(fake_model(None, BRAIN, range(4), sequential=True), ["AC"])
