"""`autovolume view` as its user sees it: the command in a process of its own, its page in Chromium, a played mouse."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine
from AutoVolumeCalibrationLib.mrml.slice_views import VIEW_OF_PLANE, show_scouts
from AutoVolumeCalibrationLib.mrml.standalone import StandaloneScene
from browser import Browser, browser
from child_processes import started
from command_line import MAIN_FILE
from views_support import open_views

PICTURES = "[...document.querySelectorAll('.view img')].filter(one => one.naturalWidth > 50).length == 3"
_STEPS, _STEP_S = 10, 0.1
_START_S = 100.0


@contextmanager
def view_command(*arguments: str | Path) -> Iterator[str]:
    """The command while the body runs; gives the address that it printed. It must end well with SIGTERM."""
    line = [sys.executable, str(MAIN_FILE), "view", *map(str, arguments)]
    with started(line, stdout=subprocess.PIPE, text=True) as process:
        printed = []
        while not printed or not printed[-1].startswith("http"):
            text = process.stdout.readline()
            assert text, f"the command ended: {printed}"
            printed.append(text.strip())
        yield printed[-1]
        process.terminate()
        assert process.wait(timeout=_START_S) == 0


@dataclass
class ViewPage:
    """The page in a tab."""

    tab: Browser

    def wait_for_pictures(self) -> None:
        """Wait until all three views show something."""
        self.tab.wait_for(PICTURES)

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until an element shows this text."""
        self.tab.wait_for(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")

    def card(self) -> str:
        """The console card."""
        return self.tab.evaluate("document.querySelector('#card').innerText")

    def status(self, name: str) -> str:
        """What the table of landmarks says about one."""
        return self.tab.evaluate(f"{self._row(name)}.children[1].innerText")

    def wait_for_status(self, name: str, status: str) -> None:
        """Wait until the table of landmarks says this about one."""
        self.tab.wait_for(f"{self._row(name)}.children[1].innerText == {json.dumps(status)}")

    def press(self, button: str) -> None:
        """Press a button once it can be pressed."""
        self.tab.wait_for(f"!document.querySelector('#{button}').disabled")
        self.tab.evaluate(f"document.querySelector('#{button}').click()")

    def choose(self, name: str) -> None:
        """Click a landmark in the table, and give the views the time to go there."""
        self.tab.evaluate(f"{self._row(name)}.children[0].click()")
        time.sleep(1)

    def area(self, plane: str) -> tuple[float, float, int, int]:
        """Left, top, width and height of a view in pixels of the window."""
        box = self.tab.evaluate(
            f"(b => [b.x, b.y, b.width, b.height])(document.querySelector('#{plane} img').getBoundingClientRect())"
        )
        return box[0], box[1], round(box[2]), round(box[3])

    def hold(self, at: tuple[float, float], by: tuple[float, float]) -> tuple[float, float]:
        """Press the mouse at a position of the window, move it; gives where it is still held."""
        x, y = at
        for position in ((x - 30, y - 30), (x + 2, y + 2), (x, y)):  # a handle is only picked up once it was entered
            self.tab.mouse("mouseMoved", *position)
            time.sleep(3 * _STEP_S)
        self.tab.mouse("mousePressed", x, y)
        for step in range(1, _STEPS + 1):
            time.sleep(_STEP_S)
            self.tab.mouse("mouseMoved", x + by[0] * step / _STEPS, y + by[1] * step / _STEPS, held=True)
        time.sleep(3 * _STEP_S)
        return x + by[0], y + by[1]

    def click(self, at: tuple[float, float]) -> None:
        """Press and release the mouse at a position of the window."""
        self.tab.mouse("mouseReleased", *self.hold(at, (0, 0)))

    def drag(self, at: tuple[float, float], by: tuple[float, float]) -> None:
        """Press, move and release the mouse."""
        self.tab.mouse("mouseReleased", *self.hold(at, by))

    def place_of(self, name: str, plane: str, plan: Calibration) -> tuple[float, float]:
        """Where a landmark of ``plan`` lies in the window, after ``choose``."""
        return self.place_at(next(one.position_mm for one in plan.landmarks if one.name == name), plane, plan)

    def place_at(self, position_mm: np.ndarray, plane: str, plan: Calibration) -> tuple[float, float]:
        """Where a position (3,) RAS mm lies in the window: as Slicer's own views of this size answer it here."""
        left, top, width, height = self.area(plane)
        with TemporaryDirectory() as scratch:
            standalone = StandaloneScene(scratch)
            with standalone as scene:
                views = open_views(scene, standalone.application_logic, (width, height))
                study = CalibrationEngine(scene).add_stacks(plan.stacks)
                show_scouts(study, standalone.application_logic, plan.frame.origin_mm)
                view = next(one for one in views.slices if one.node.GetLayoutName() == VIEW_OF_PLANE[plane])
                x, y = view.pixel_of(position_mm)
                views.close()
        return left + x, top + height - y

    @staticmethod
    def _row(name: str) -> str:
        return (
            "[...document.querySelectorAll('#landmarks tr')]"
            f".find(one => one.children[0].innerText == {json.dumps(name)})"
        )


@contextmanager
def open_page(address: str, profile: Path) -> Iterator[ViewPage]:
    """The page in a new browser."""
    with browser(profile, scripts=True) as tab:
        tab.open(address)
        yield ViewPage(tab)
