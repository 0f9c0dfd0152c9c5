"""From the page of the day to the view of a plan, in a real browser."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec

import pytest

from browser import CHROMIUM, browser

pytest.importorskip("slicer", reason="needs slicer-core (the extra browser)", exc_type=ImportError)
if any(find_spec(name) is None for name in ("trame", "trame_rca", "flask", "waitress")):
    pytest.skip("needs trame and flask (the extras browser and service)", allow_module_level=True)
if CHROMIUM is None or os.name == "nt":
    pytest.skip("needs Chromium", allow_module_level=True)

from AutoVolumeCalibrationLib.service.page import server, viewers  # noqa: E402
from AutoVolumeCalibrationLib.service.page.settings import PageSettings  # noqa: E402
from service.page_desks import PLANNED, fake_desk  # noqa: E402
from service.peers import free_port  # noqa: E402
from view_page import ViewPage  # noqa: E402
from views_support import can_render  # noqa: E402

if not can_render():
    pytest.skip("needs a display or libEGL", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_plan_is_opened_from_the_page_and_its_process_ends_after_its_window(plan_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(viewers, "CLOSE_AFTER_S", 5)
    made = viewers.Viewers()
    monkeypatch.setattr(viewers, "Viewers", lambda: made)
    desk, settings = fake_desk(tmp_path), PageSettings(free_port())
    desk.states[PLANNED] = replace(desk.states[PLANNED], plan=plan_folder)
    with server.showing(settings, desk), browser(tmp_path / "profile", scripts=True) as tab:
        tab.open(f"{settings.address}studies/{PLANNED}")
        form = f"form[action$='{PLANNED}/view']"
        tab.evaluate(f"document.querySelector(\"{form}\").target = ''")  # the test sees one tab only
        tab.click(f"{form} button")
        ViewPage(tab).wait_for_pictures()
        ViewPage(tab).wait_for_text("#verdict", "Planned")
        (one,) = made._open.values()
        assert one.process.poll() is None
        tab.open("about:blank")
        assert one.process.wait(60) == 0
