"""The user's own models stand beside the shipped ones, and one of them may be the default."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.models import store as user_models
from AutoVolumeCalibrationLib.core.models.bundle import list_models, load_model
from AutoVolumeCalibrationLib.core.models.store import (
    CURRENT_FILE,
    DEFAULT_MODEL,
    CurrentModel,
    Promotion,
    default_model_name,
    model_folder,
    model_folders,
    read_current,
    shipped_models,
    user_models_folder,
    write_current,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the user's models, not there yet."""
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def mine(folder):
    """A model of the user's that is the default: the shipped one under another name."""
    shutil.copytree(shipped_models()[DEFAULT_MODEL], folder / "mine-1")
    write_current(CurrentModel("mine-1"))
    return folder / "mine-1"


def test_nothing_is_made_by_looking(folder):
    assert (default_model_name(), read_current()) == (DEFAULT_MODEL, CurrentModel())
    assert model_folders() == shipped_models() and model_folder() == shipped_models()[DEFAULT_MODEL]
    assert not folder.exists()


def test_without_the_variable_the_models_lie_in_the_user_s_data(monkeypatch, tmp_path):
    monkeypatch.delenv("AUTOVOLUME_MODELS")
    for name in ("XDG_DATA_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    expected = {
        "linux": tmp_path / ".local" / "share",
        "darwin": tmp_path / "Library" / "Application Support",
        "win32": tmp_path / "AppData" / "Roaming",
    }
    for platform, place in expected.items():
        monkeypatch.setattr(user_models.sys, "platform", platform)
        assert user_models_folder() == place / "AutoVolume" / "models"
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    assert user_models_folder() == tmp_path / "roaming" / "AutoVolume" / "models"
    monkeypatch.setattr(user_models.sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_models_folder() == tmp_path / "data" / "AutoVolume" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/data")
    assert user_models_folder() == tmp_path / ".local" / "share" / "AutoVolume" / "models"


def test_the_promoted_model_is_loaded_where_none_is_named(mine):
    assert model_folder() == model_folder("mine-1") == mine
    assert load_model(device="cpu").sha256 == load_model(DEFAULT_MODEL, "cpu").sha256
    assert [metadata["name"] for metadata in list_models()] == ["mine-1", *shipped_models()]


def test_a_promoted_model_is_checked_like_any_other(mine):
    with open(mine / "models" / "model.pt", "ab") as weights:
        weights.write(b"x")
    with pytest.raises(ModelError, match="weights differ from the hash"):
        load_model(device="cpu")


def test_a_shipped_name_is_never_hidden_and_a_copy_under_way_not_offered(folder):
    for name in (DEFAULT_MODEL, ".mine-1.partial"):
        shutil.copytree(shipped_models()[DEFAULT_MODEL], folder / name)
    assert model_folders() == shipped_models()


def test_what_is_written_is_read(folder):
    folder.mkdir()
    promotion = Promotion("mine-1", "0" * 64, DEFAULT_MODEL, "2026-01-02T03:04:05+00:00", {"difference_mm": -0.5})
    write_current(CurrentModel("mine-1", (promotion,)))
    assert read_current() == CurrentModel("mine-1", (promotion,))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": "AutoVolumeCalibration/user-models/9", "current": "a", "history": []}',
        '{"format": "AutoVolumeCalibration/user-models/1", "history": []}',
        '{"format": "AutoVolumeCalibration/user-models/1", "current": 3, "history": []}',
        '{"format": "AutoVolumeCalibration/user-models/1", "current": "", "history": []}',
        '{"format": "AutoVolumeCalibration/user-models/1", "current": "a", "history": [{"model": "a"}]}',
        '{"format": "AutoVolumeCalibration/user-models/1", "current": "a", "history": 5}',
    ],
)
def test_a_damaged_file_is_an_error_and_never_another_model(folder, content):
    folder.mkdir()
    (folder / CURRENT_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"{CURRENT_FILE}.*\. Delete the file") as caught:
        load_model(device="cpu")
    assert "\n" not in str(caught.value)
    assert load_model(DEFAULT_MODEL, "cpu").name == DEFAULT_MODEL  # a model that is named needs no file


def test_a_current_model_that_is_gone_is_an_error_and_never_another_model(mine):
    shutil.rmtree(mine)
    with pytest.raises(ModelError, match=rf"{CURRENT_FILE}: the default model mine-1 is missing\. .*previous default"):
        load_model(device="cpu")


def test_a_folder_that_is_called_like_the_default_model_is_not_taken_for_it(folder, tmp_path, monkeypatch):
    (tmp_path / DEFAULT_MODEL / "configs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert model_folder() == shipped_models()[DEFAULT_MODEL]


def test_the_file_is_json_for_people_too(mine):
    data = json.loads((mine.parent / CURRENT_FILE).read_text(encoding="utf-8"))
    assert data == {"format": "AutoVolumeCalibration/user-models/1", "current": "mine-1", "history": []}


def test_models_of_the_user_that_cannot_be_read_do_not_stop_the_shipped_ones(folder, monkeypatch, caplog):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert model_folder() == shipped_models()[DEFAULT_MODEL]
    assert "own models are not used: Permission denied" in caplog.text


def test_an_account_without_a_home_folder_has_the_shipped_models(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("AUTOVOLUME_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert model_folders() == shipped_models()
    with pytest.raises(ModelError, match="AUTOVOLUME_MODELS"):
        user_models_folder()


def test_an_account_without_a_name_gets_one_before_monai_asks(monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 54321")

    from AutoVolumeCalibrationLib.core.networks import architectures

    monkeypatch.delenv("LOGNAME", raising=False)
    monkeypatch.setattr("getpass.getuser", nameless)
    importlib.reload(architectures)
    assert os.environ["LOGNAME"]
    monkeypatch.delenv("LOGNAME")
