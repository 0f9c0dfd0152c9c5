"""One default model per anatomy, and what is planned where no protocol is named."""

from __future__ import annotations

import json
import shutil

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ModelError, ProtocolError
from AutoVolumeCalibrationLib.core.models import anatomies, store
from AutoVolumeCalibrationLib.core.models.store import (
    DEFAULT_MODEL,
    PROTOCOLS,
    CurrentModel,
    Promotion,
    bundle_anatomy,
    default_model_name,
    default_models,
    read_current,
    shipped_models,
    write_current,
)
from AutoVolumeCalibrationLib.core.planning.protocol_editing import constellation_to_dict
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from fake_models import blank_stacks, fake_model
from posed_landmarks import landmarks_at


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def brain_alone(folder, monkeypatch):
    """Of the shipped models only the brain's."""
    brain = {DEFAULT_MODEL: shipped_models()[DEFAULT_MODEL]}
    monkeypatch.setattr(store, "shipped_models", lambda: brain)
    return folder


def promoted(folder, name, **stated):
    """A bundle of the user's that states more in its metadata than the shipped one; the default of its anatomy."""
    shutil.copytree(shipped_models()[DEFAULT_MODEL], folder / name)
    path = folder / name / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **stated}), encoding="utf-8")
    write_current(read_current().with_model(stated.get("anatomy", "brain"), name))
    return folder / name


@pytest.fixture
def knee(folder):
    return promoted(folder, "knee-1", anatomy="knee", protocols=["KneeSagittal", "KneeAxial"])


def refused(*_):
    raise AssertionError("a model was loaded")


def test_with_the_brain_alone_nothing_is_asked(brain_alone):
    assert default_models() == {"brain": DEFAULT_MODEL}
    assert default_model_name() == default_model_name("brain") == DEFAULT_MODEL
    assert anatomies.known_protocol().name == "BrainAcPc"
    with pytest.raises(ModelError, match="no model for the anatomy knee is installed"):
        default_model_name("knee")


def test_each_anatomy_has_its_own_default_model(knee):
    assert bundle_anatomy(knee) == "knee" and bundle_anatomy(shipped_models()[DEFAULT_MODEL]) == "brain"
    assert default_models() == {"brain": DEFAULT_MODEL, "knee": "knee-1"}
    assert (default_model_name(), default_model_name("knee")) == (DEFAULT_MODEL, "knee-1")
    promoted(knee.parent, "mine-1")
    assert default_models() == {"brain": "mine-1", "knee": "knee-1"}


def test_the_default_models_are_read_as_they_were_written(folder):
    folder.mkdir()
    first = Promotion("knee-1", "0" * 64, "", "2026-01-02T03:04:05+00:00", {})
    current = CurrentModel(history=(first,)).with_model("knee", "knee-1")
    write_current(current)
    assert read_current() == current and read_current().of("knee") == "knee-1"
    assert read_current().of("spine") is None


def test_a_bundle_that_states_no_anatomy_is_of_the_one_with_its_landmarks(folder):
    names = load_protocol("KneeSagittal").constellation.names
    for landmarks, anatomy in (([{"name": name} for name in names], "knee"), ([], "brain"), ("damaged", "brain")):
        path = folder / anatomy / "configs" / "metadata.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"landmarks": landmarks}), encoding="utf-8")
        assert bundle_anatomy(folder / anatomy) == anatomy


@pytest.mark.parametrize("others", ['{"knee": ""}', '{"knee": 3}', '"knee"', "[1]"])
def test_a_damaged_entry_is_an_error(folder, others):
    folder.mkdir()
    content = '{"format": "AutoVolumeCalibration/user-models/1", "current": "a", "history": [], "others": %s}'
    (folder / "current.json").write_text(content % others, encoding="utf-8")
    with pytest.raises(ModelError, match="does not name the current model"):
        default_models()


def test_the_protocol_is_the_first_of_the_model_else_the_first_of_the_anatomy(knee):
    assert anatomies.default_protocol("knee", "knee-1").name == "KneeSagittal"
    assert anatomies.default_protocol("brain", DEFAULT_MODEL).name == "BrainAcPc"
    with pytest.raises(ProtocolError, match="no protocol for the anatomy spine"):
        anatomies.default_protocol("spine", DEFAULT_MODEL)


def test_a_protocol_that_the_bundle_carries_takes_part(brain_alone, folder):
    paw = promoted(folder, "paw-1", anatomy="paw", protocols=["PawBox"])
    data = json.loads(load_protocol("BrainAcPc").source.read_text(encoding="utf-8"))
    data |= constellation_to_dict(load_protocol("BrainAcPc").constellation) | {"name": "PawBox", "anatomy": "paw"}
    (paw / PROTOCOLS).mkdir()
    (paw / PROTOCOLS / "PawBox.json").write_text(json.dumps(data), encoding="utf-8")
    assert anatomies.known_protocol("paw-1").name == "PawBox"
    found = anatomies.installed_anatomies("cpu", "torch", lambda name, *_: fake_model(None, name=name))
    assert [each.anatomy for each in found] == ["brain", "paw"]


def test_a_carried_protocol_is_listed_and_found_by_its_name(folder, capsys):
    from AutoVolumeCalibrationLib.cli.listing_commands import run_protocols

    paw = promoted(folder, "paw-1", anatomy="paw", protocols=["PawBox"])
    with pytest.raises(ProtocolError, match="unknown protocol PawBox"):
        anatomies.find_protocol("PawBox")
    data = json.loads(load_protocol("BrainAcPc").source.read_text(encoding="utf-8"))
    data |= constellation_to_dict(load_protocol("BrainAcPc").constellation) | {"name": "PawBox", "anatomy": "paw"}
    (paw / PROTOCOLS).mkdir()
    for name in ("PawBox", "BrainAcPc"):
        (paw / PROTOCOLS / f"{name}.json").write_text(json.dumps({**data, "name": name}), encoding="utf-8")
    assert anatomies.find_protocol("PawBox").source == paw / PROTOCOLS / "PawBox.json"
    assert anatomies.find_protocol("BrainAcPc").anatomy == "brain"  # a shipped name is never hidden
    run_protocols(None)
    listed = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert listed.count("BrainAcPc") == 1 and listed[-1] == "PawBox"


def test_with_two_anatomies_the_scouts_decide_unless_a_model_is_named(knee):
    assert anatomies.known_protocol() is None
    assert anatomies.known_protocol("knee-1").name == "KneeSagittal"
    assert anatomies.known_protocol(DEFAULT_MODEL).name == "BrainAcPc"


def test_a_named_protocol_gets_the_default_model_of_its_anatomy(knee):
    assert anatomies.model_for(load_protocol("KneeAxial")) == "knee-1"
    assert anatomies.model_for(load_protocol("BrainAcPc")) is None


def test_every_default_model_is_loaded_once_to_look(knee):
    loaded = []

    def load(*arguments):
        loaded.append(arguments)
        return fake_model(None, name=arguments[0])

    found = anatomies.installed_anatomies("cpu", "torch", load)
    assert [(each.anatomy, each.model.name) for each in found] == [("brain", DEFAULT_MODEL), ("knee", "knee-1")]
    assert loaded == [(DEFAULT_MODEL, "cpu", "torch"), ("knee-1", "cpu", "torch")]


def green_brain():
    protocol = load_protocol("BrainAcPc")
    return plan_from_landmarks(blank_stacks([-15.0, 0.0, 15.0]), protocol, (), predicted=landmarks_at(protocol))


def test_with_one_anatomy_no_model_is_loaded_to_contradict_a_plan(brain_alone):
    plan = green_brain()
    assert anatomies.with_anatomy_checked(plan, fake_model(None), refused) is plan


def test_with_two_anatomies_the_other_one_may_contradict(knee, monkeypatch):
    plan, asked = green_brain(), []

    def found(calibration, model, others):
        asked.append([each.anatomy for each in others])
        return calibration

    monkeypatch.setattr(anatomies, "check_anatomy", found)
    anatomies.with_anatomy_checked(plan, fake_model(None), lambda name, *_: fake_model(None, name=name))
    assert asked == [["knee"]]


def test_a_damaged_choice_does_not_stop_a_plan_of_a_named_model(folder):
    folder.mkdir()
    (folder / "current.json").write_text("{", encoding="utf-8")
    plan = green_brain()
    assert anatomies.with_anatomy_checked(plan, fake_model(None), refused) is plan
