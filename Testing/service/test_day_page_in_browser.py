"""The page of the day in a real browser, without JavaScript, on a real server."""

from __future__ import annotations

import os
import socket
import threading
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.service.page.assessments import read_assessments
from AutoVolumeCalibrationLib.service.page.server import showing
from AutoVolumeCalibrationLib.service.page.settings import PageSettings
from browser import CHROMIUM, browser
from service.page_desks import PLANNED, QUEUED, REFUSED, fake_desk
from service.peers import free_port

pytest.importorskip("flask", reason="needs flask (the extra service)")
pytest.importorskip("waitress", reason="needs waitress (the extra service)")

needs_browser = pytest.mark.skipif(CHROMIUM is None or os.name == "nt", reason="needs Chromium")

TOKEN = "a token of 24 characters"


def is_ours(host: str) -> bool:
    """Whether this machine has the address; not every container has IPv6."""
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
@needs_browser
def test_a_day_is_read_and_decided_without_scripts(tmp_path):
    desk, settings = fake_desk(tmp_path), PageSettings(free_port(), token=TOKEN)
    with showing(settings, desk), browser(tmp_path / "profile") as tab:
        tab.open(settings.address)
        tab.enter("[name=token]", TOKEN)
        tab.click("main button")
        assert QUEUED in tab.text() and "receiving images" in tab.text()
        tab.click(f"a[href$='{PLANNED}']")
        assert "Planned, review the warnings" in tab.text()
        assert tab.evaluate("document.querySelector('main img').naturalWidth") == 1600
        assert tab.evaluate("getComputedStyle(document.querySelector('.light')).borderLeftColor") == "rgb(230, 159, 0)"
        tab.enter("[name=by]", "AB")
        tab.enter("[name=comment]", "<b>tilted</b>")
        tab.click("button[value=corrected]")
        assert "This plan was corrected (used after changes) by AB" in tab.text()
        assert "<b>tilted</b>" in tab.text()
        tab.open(f"{settings.address}studies/{REFUSED}")
        tab.click("main form:last-of-type button")
        assert "Queue" in tab.text()
        tab.click("header button")
        tab.open(settings.address)
        assert PLANNED not in tab.text() and "Token" in tab.text()
    assert desk.again == [REFUSED]
    (kept,) = read_assessments(desk.states[PLANNED].plan)
    assert (kept.verdict, kept.by, kept.comment) == ("corrected", "AB", "<b>tilted</b>")


@pytest.mark.slow
@needs_browser
def test_a_page_of_another_site_changes_nothing(tmp_path):
    """The browser sends no cookie with the other site's form, and the other site does not know the hidden field."""
    desk, settings = fake_desk(tmp_path), PageSettings(free_port())
    evil = tmp_path / "evil.html"
    evil.write_text(
        f'<form method="post" action="{settings.address}studies/{REFUSED}/again"><button>Win</button></form>'
    )
    with showing(settings, desk), browser(tmp_path / "profile") as tab:
        tab.open(f"{settings.address}studies/{REFUSED}")
        tab.open(evil.as_uri())
        tab.click("button")
        assert "Forbidden" in tab.text()
    assert desk.again == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_the_server_answers_on_its_address_only_while_the_service_runs(tmp_path, host, caplog, monkeypatch):
    if not is_ours(host):
        pytest.skip(f"{host} is not an address of this machine")
    desk, settings = fake_desk(tmp_path), PageSettings(free_port(), host)
    threads, failures = set(threading.enumerate()), []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    with showing(settings, desk):
        with urlopen(settings.address, timeout=10) as answer:
            assert PLANNED in answer.read().decode()
            assert "waitress" not in str(answer.headers).lower()
        for path in ("studies/../../../etc/passwd", "..%2f..%2fetc/passwd", f"studies/{PLANNED}%00"):
            with pytest.raises(HTTPError) as refused:
                urlopen(settings.address + path, timeout=10)
            assert refused.value.code == 404
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(settings.address, headers={"Host": "evil.example"}), timeout=10)
        assert refused.value.code == 400
        with pytest.raises(UsageError, match="cannot be used for the page"), showing(settings, desk):
            pass
    with pytest.raises(OSError):
        urlopen(settings.address, timeout=10)
    assert set(threading.enumerate()) <= threads
    assert failures == []
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
