"""How fast `autovolume view` opens, and answers the mouse: the sample study in headless Chromium.

Run: ``python Testing/benchmarks/view_speed.py``. Needs the extra ``browser`` and Chromium.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts  # noqa: E402
from command_line import SAMPLE  # noqa: E402
from view_page import ViewPage, open_page, view_command  # noqa: E402

#: Notes when each view got a new picture, in ms of the page's clock, and when the mouse last moved.
WATCH = """
window.loads = {}; window.movedAt = 0;
document.addEventListener('mousemove', () => { window.movedAt = performance.now(); }, true);
document.querySelectorAll('.view').forEach(view => view.querySelector('img').addEventListener(
    'load', () => { window.loads[view.id] ??= performance.now(); }));
"""
MOVES, PAUSE_S = 15, 1.0


def main() -> None:
    """Print the times, and how busy the machine was."""
    plan = calibrate(read_scouts([SAMPLE / "dicom"]), load_protocol("BrainAcPc"), load_model(device="cpu"))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "plan"
        plan.save(folder, sources=[SAMPLE / "dicom"])
        begun = time.perf_counter()
        with view_command(folder) as address:
            print(f"command -> address: {time.perf_counter() - begun:.1f} s")
            begun = time.perf_counter()
            with open_page(address, Path(scratch) / "profile") as page:
                page.wait_for_pictures()
                print(f"address -> three pictures, with the start of Chromium: {time.perf_counter() - begun:.1f} s")
                time.sleep(2)
                page.choose("AC")
                measure_moves(page, page.place_of("AC", "sagittal", plan))
    print(f"load average of {os.cpu_count()} cores: {os.getloadavg()[0]:.1f}")


def measure_moves(page: ViewPage, at: tuple[float, float]) -> None:
    """Print how long after a move of the held mouse the new pictures are there."""
    x, y = page.hold(at, (0, -6))
    page.tab.evaluate(WATCH)
    own, all_views = [], []
    for move in range(1, MOVES + 1):
        time.sleep(PAUSE_S)  # the last picture of the move before has come
        page.tab.evaluate("window.loads = {}")
        page.tab.mouse("mouseMoved", x, y - move % 2, held=True)
        page.tab.wait_for("Object.keys(window.loads).length == 3")
        own.append(page.tab.evaluate("window.loads.sagittal - window.movedAt"))
        all_views.append(page.tab.evaluate("Math.max(...Object.values(window.loads)) - window.movedAt"))
    page.tab.mouse("mouseReleased", x, y)
    for title, values in (("the dragged view", own), ("all three views, the box refitted", all_views)):
        print(f"mouse -> picture of {title}: median {median(values):.0f} ms, longest {max(values):.0f} ms")


if __name__ == "__main__":
    main()
