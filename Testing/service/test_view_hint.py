"""The page of the day says how a plan is corrected, to whoever can do it."""

from __future__ import annotations

import shlex

import pytest

from AutoVolumeCalibrationLib.service.page import view_hint
from AutoVolumeCalibrationLib.service.page.settings import PageSettings
from service.page_desks import PLANNED, QUEUED, fake_desk

pytest.importorskip("flask", reason="needs flask (the extra service)")

from AutoVolumeCalibrationLib.service.page.app import create_app  # noqa: E402 - flask is at its file scope

TOKEN = "a token of 24 characters"


def page_of(folder, name, **settings):
    """The page of a study of a service in ``folder``."""
    client = create_app(fake_desk(folder), PageSettings(port=1, **settings)).test_client()
    if settings:
        with client.session_transaction() as session:
            session["entered"] = True
    return client.get(f"/studies/{name}").text


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(view_hint, "find_spec", lambda name: name)


def test_a_plan_is_opened_by_the_command_that_its_page_shows(tmp_path, installed):
    folder = tmp_path / "a b"
    assert shlex.split(view_hint.view_command(folder)) == ["autovolume", "view", str(folder)]
    page = page_of(folder, PLANNED)
    assert f"autovolume view &#39;{folder / 'plans' / PLANNED}&#39;" in page


def test_without_a_plan_or_the_extra_there_is_no_command(tmp_path, installed, monkeypatch):
    assert "autovolume view" not in page_of(tmp_path / "a", QUEUED)
    monkeypatch.setattr(view_hint, "find_spec", lambda name: None if name == "trame" else name)
    assert "autovolume view" not in page_of(tmp_path / "b", PLANNED)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])  # the first may stand behind a proxy
def test_other_machines_see_no_path_of_this_one(tmp_path, installed, host):
    page = page_of(tmp_path, PLANNED, host=host, token=TOKEN)
    assert PLANNED in page
    assert str(tmp_path) not in page and "autovolume view" not in page
