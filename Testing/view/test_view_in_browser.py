"""`autovolume view` in a real browser: a mouse corrects the plan, and nothing leaves the machine."""

from __future__ import annotations

import os
import time
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.core.workflow.pipeline import refit
from browser import CHROMIUM
from command_line import SAMPLE, content_of, landmark

pytest.importorskip("slicer", reason="needs slicer-core (the extra browser)", exc_type=ImportError)
if find_spec("trame") is None or find_spec("trame_rca") is None:
    pytest.skip("needs trame (the extra browser)", allow_module_level=True)
if CHROMIUM is None or os.name == "nt":
    pytest.skip("needs Chromium", allow_module_level=True)

from view_page import open_page, view_command  # noqa: E402
from views_support import can_render  # noqa: E402

if not can_render():
    pytest.skip("needs a display or libEGL", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def answer(address: str, path: str, headers: dict[str, str] | None = None) -> int:
    """The status of a request for ``path`` at the server of ``address``."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request("GET", path, headers=headers or {})
    return connection.getresponse().status


def test_a_dragged_landmark_turns_the_box_until_it_is_undone(plan_folder, sample_plan, tmp_path):
    before = content_of(plan_folder)
    with view_command(plan_folder) as address, open_page(address, tmp_path / "profile") as page:
        page.wait_for_pictures()
        page.wait_for_text("#verdict", "Planned")
        planned = page.card()
        assert page.status("AC") == "found"
        page.choose("AC")
        page.drag(page.place_of("AC", "sagittal", sample_plan), (0, -12))
        page.wait_for_status("AC", "set in one plane")
        assert page.card() != planned
        page.press("undo")
        page.wait_for_status("AC", "found")
        assert page.card() == planned
        page.press("redo")
        page.wait_for_status("AC", "set in one plane")
        page.press("save")
        page.wait_for_text("#status", "Saved in")
        ours = (f"{address.partition('?')[0]}", f"ws://{urlsplit(address).netloc}/", "blob:", "data:")
        assert [one for one in page.tab.requests if not one.startswith(ours)] == []
        assert any(one.startswith("ws://") for one in page.tab.requests)
    after = content_of(plan_folder)
    moved = np.subtract(landmark(plan_folder, "AC")["position_mm"], position_of("AC", sample_plan))
    assert landmark(plan_folder, "AC")["status"] == "corrected"
    assert moved[2] > 3  # up in the picture
    sagittal = next(stack for stack in sample_plan.stacks if stack.plane == "sagittal")
    assert abs(moved @ sagittal.normal) < 0.01  # the slices lie beside the point, which keeps its depth
    assert np.abs(np.subtract(after["box"]["axes"], before["box"]["axes"])).max() > 0.01
    assert after["sources"] == before["sources"]


def position_of(name: str, plan: Calibration) -> np.ndarray:
    return next(one.position_mm for one in plan.landmarks if one.name == name)


def test_detection_is_rerun_guided_by_the_dragged_landmark(plan_folder, sample_plan, tmp_path):
    with view_command(plan_folder) as address, open_page(address, tmp_path / "profile") as page:
        page.wait_for_pictures()
        page.choose("PC")
        page.drag(page.place_of("PC", "sagittal", sample_plan), (6, 4))
        page.wait_for_status("PC", "set in one plane")
        page.press("repredict")
        page.wait_for_text("#status", "Detection was rerun")
        assert page.status("PC") == "set in one plane"
        page.press("restore")
        page.wait_for_status("PC", "found")


def test_the_box_is_moved_by_its_handle_once_that_is_shown(plan_folder, sample_plan, tmp_path):
    with view_command(plan_folder) as address, open_page(address, tmp_path / "profile") as page:
        page.wait_for_pictures()
        planned = page.card()
        middle = page.place_at(sample_plan.box.center_mm, "sagittal", sample_plan)
        assert not is_box_colour(page, middle, tmp_path)  # it would look like a landmark
        page.drag(middle, (20, -10))
        assert page.card() == planned
        page.tab.evaluate("document.querySelector('#handles').click()")
        time.sleep(1)
        page.drag(middle, (20, -10))
        page.tab.wait_for("!document.querySelector('#undo').disabled")
        assert page.card() != planned
        page.press("undo")
        page.tab.wait_for("document.querySelector('#undo').disabled")
        assert page.card() == planned


def is_box_colour(page, at: tuple[float, float], folder: Path) -> bool:
    """Whether a position of the window is yellow; the scouts are grey, a little tinted inside the box."""
    time.sleep(2)
    page.tab.screenshot(folder / "window.png")
    with Image.open(folder / "window.png") as window:
        red, _, blue = window.convert("RGB").getpixel((round(at[0]), round(at[1])))
    return red - blue > 100


def test_a_missing_landmark_is_placed_with_a_click(sample_plan, tmp_path):
    plan = refit(sample_plan, [Landmark("GENU")])
    plan.save(tmp_path / "plan", sources=[SAMPLE / "dicom"])
    with view_command(tmp_path / "plan") as address, open_page(address, tmp_path / "profile") as page:
        page.wait_for_pictures()
        assert page.status("GENU") == "missing"
        page.choose("GENU")
        page.tab.evaluate("document.querySelector('#landmarks button').click()")
        page.wait_for_text("#status", "Click the position of GENU")
        page.click(page.place_of("GENU", "sagittal", sample_plan))
        page.wait_for_status("GENU", "set in one plane")
        page.press("save")
        page.wait_for_text("#status", "Saved in")
    placed = landmark(tmp_path / "plan", "GENU")
    assert np.linalg.norm(np.subtract(placed["position_mm"], position_of("GENU", sample_plan))) < 15


def test_the_wheel_leads_through_the_slices(plan_folder, tmp_path):
    with view_command(plan_folder) as address, open_page(address, tmp_path / "profile") as page:
        page.wait_for_pictures()
        time.sleep(2)
        left, top, width, height = page.area("axial")
        source = "document.querySelector('#axial img').src"
        before = page.tab.evaluate(source)
        page.tab.mouse("mouseMoved", left + width / 2, top + height - 20)
        time.sleep(2)
        still = page.tab.evaluate(source)
        page.tab.scroll(left + width / 2, top + height - 20, 100)
        page.tab.wait_for(f"{source} != '{still}'")
        assert before


def test_a_second_window_says_why_it_waits_and_opens_once_the_first_is_closed(plan_folder, tmp_path):
    """After some seconds it said "try/catch on connect()"."""
    with view_command(plan_folder) as address, open_page(address, tmp_path / "first") as page:
        page.wait_for_pictures()
        with open_page(address, tmp_path / "second") as second:
            time.sleep(8)
            assert "open in another window" in second.tab.text()
            page.tab.open("about:blank")
            second.wait_for_pictures()


def test_only_one_window_with_the_key_is_admitted(plan_folder, tmp_path):
    with view_command(plan_folder) as address, open_page(address, tmp_path / "first") as page:
        page.wait_for_pictures()
        for path in ("/", "/index.html", "/ws", "/vue.global.js", "/?secret=wslink-secret", "/ws?secret="):
            assert answer(address, path) == 403
        with_key = f"/?{urlsplit(address).query}"
        assert answer(address, with_key) == 302
        assert answer(address, with_key, {"Host": "evil.example"}) == 400
        with open_page(address, tmp_path / "second") as second:
            second.tab.wait_for("document.body.innerText.includes('open in another window')")
            time.sleep(4)
            assert not second.tab.evaluate("document.querySelector('.view img') != null")
        page.choose("AC")  # the first is still served
        page.tab.open(address.partition("?")[0])  # loaded again, by its cookie
        page.wait_for_pictures()


def test_scouts_are_planned_first_and_saved_where_the_user_says(tmp_path):
    with (
        view_command(SAMPLE / "dicom", "--output", tmp_path / "new") as address,
        open_page(address, tmp_path / "profile") as page,
    ):
        page.wait_for_pictures()
        page.press("save")
        page.wait_for_text("#status", "Saved in")
    assert content_of(tmp_path / "new")["sources"] == [str(SAMPLE / "dicom")]
