"""The page of the day opens a plan in the browser view: one process for each plan, a few at once, none left behind."""

from __future__ import annotations

import sys
import time

import pytest

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.service.page import viewers as module
from AutoVolumeCalibrationLib.service.page.settings import PageSettings
from AutoVolumeCalibrationLib.service.page.viewers import CLOSE_AFTER_S, MOST_OPEN, Viewers
from service.page_desks import PLANNED, QUEUED, REFUSED, fake_desk

pytest.importorskip("flask", reason="needs flask (the extra service)")

from AutoVolumeCalibrationLib.service.page import app as app_module  # noqa: E402 - flask is at its file scope
from AutoVolumeCalibrationLib.service.page.app import create_app  # noqa: E402

TOKEN = "a token of 24 characters"

#: Prints what it was called with as its address, and stays; writes more to stderr than a pipe holds.
STAYS = """
import sys, time
print("Open this address:", flush=True)
sys.stderr.write("x" * 200_000)
print("  http://127.0.0.1:1/?" + "&".join(sys.argv[1:]), flush=True)
time.sleep(60)
"""


@pytest.fixture
def viewers():
    made = Viewers((sys.executable, "-c", STAYS))
    yield made
    made.close()


def test_a_plan_is_opened_once_and_closed_with_the_service(viewers, tmp_path):
    address = viewers.address_of(tmp_path)
    assert address == f"http://127.0.0.1:1/?{tmp_path}&--close-after&{CLOSE_AFTER_S}"
    process = viewers._open[tmp_path].process
    assert viewers.address_of(tmp_path) == address and viewers._open[tmp_path].process is process
    viewers.close()
    assert process.poll() is not None


def test_a_few_plans_are_open_at_once_and_one_that_ended_makes_room(viewers, tmp_path):
    for number in range(MOST_OPEN):
        viewers.address_of(tmp_path / str(number))
    with pytest.raises(UsageError, match=f"{MOST_OPEN} plans are open already. Close the window of one"):
        viewers.address_of(tmp_path / "more")
    first = viewers._open[tmp_path / "0"].process
    first.kill()
    first.wait()
    viewers.address_of(tmp_path / "more")
    assert first not in [one.process for one in viewers._open.values()]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import sys; sys.exit('autovolume: calibration.json: is damaged')",
            "autovolume: calibration.json: is damaged",
        ),
        ("import time; time.sleep(60)", "it printed no address within 1 s"),
    ],
)
def test_a_command_that_fails_says_why(tmp_path, monkeypatch, code, reason):
    monkeypatch.setattr(module, "_START_S", 1.0)
    started = time.monotonic()
    with pytest.raises(UsageError, match=f"the plan cannot be opened: {reason}"):
        Viewers((sys.executable, "-c", code)).address_of(tmp_path)
    assert time.monotonic() - started < 20


def client_of(folder, viewers, **settings):
    """The page of a service in ``folder``, and what its forms carry."""
    client = create_app(fake_desk(folder), PageSettings(port=1, **settings), viewers).test_client()
    with client.session_transaction() as session:
        session["csrf"], session["entered"] = "ours", True
    return client


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(app_module, "can_view", lambda: True)


def test_the_button_leads_to_the_view_of_the_plan(tmp_path, viewers, installed):
    client = client_of(tmp_path, viewers)
    page = client.get(f"/studies/{PLANNED}")
    assert f'action="/studies/{PLANNED}/view" target="_blank"' in page.text
    assert "form-action 'self' http://127.0.0.1:*;" in page.headers["Content-Security-Policy"]
    answer = client.post(f"/studies/{PLANNED}/view", data={"csrf": "ours"})
    plan = (tmp_path / "plans" / PLANNED).absolute()
    assert answer.status_code == 303 and answer.headers["Location"].startswith(f"http://127.0.0.1:1/?{plan}&")
    assert client.post(f"/studies/{PLANNED}/view").status_code == 403


@pytest.mark.parametrize("name", [QUEUED, REFUSED])
def test_without_a_plan_there_is_nothing_to_open(tmp_path, viewers, installed, name):
    client = client_of(tmp_path, viewers)
    assert f"{name}/view" not in client.get(f"/studies/{name}").text
    assert client.post(f"/studies/{name}/view", data={"csrf": "ours"}).status_code == 409


def test_without_the_extra_nothing_is_offered(tmp_path, viewers, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "trame" else name)
    client = client_of(tmp_path, viewers)
    assert "/view" not in client.get(f"/studies/{PLANNED}").text
    assert client.post(f"/studies/{PLANNED}/view", data={"csrf": "ours"}).status_code == 409


@pytest.mark.parametrize("settings", [{"token": TOKEN}, {"host": "192.0.2.1", "token": TOKEN}])
def test_who_may_sit_at_another_machine_is_offered_nothing(tmp_path, viewers, installed, settings):
    """A page with a token may stand behind a proxy."""
    client = client_of(tmp_path, viewers, **settings)
    page = client.get(f"/studies/{PLANNED}").text
    assert PLANNED in page and "/view" not in page and str(tmp_path) not in page
    assert client.post(f"/studies/{PLANNED}/view", data={"csrf": "ours"}).status_code == 409
    assert viewers._open == {}
