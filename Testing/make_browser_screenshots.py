"""Draws a correction in the browser into docs/pictures: the sample study, six pictures, a played mouse.

Run: ``python Testing/make_browser_screenshots.py``. It prints the times that the docs state, too.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from PIL import Image, ImageDraw, ImageFont  # noqa: E402

from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts  # noqa: E402
from command_line import SAMPLE  # noqa: E402
from view_page import ViewPage, open_page, view_command  # noqa: E402

PICTURE = ROOT / "docs" / "pictures" / "view_correction.png"
COLUMNS, WIDTH, CAPTION, GAP = 2, 800, 30, 8
POINT, BY = "AC", (0, -7)


class Strip:
    """Pictures of the page, each with a caption."""

    def __init__(self, page: ViewPage, folder: Path) -> None:
        self._page, self._folder = page, folder
        self._frames: list[tuple[str, Image.Image]] = []

    def take(self, caption: str) -> None:
        """Add the page as it is once the last picture has come."""
        time.sleep(1.5)
        path = self._folder / "frame.png"
        self._page.tab.screenshot(path)
        with Image.open(path) as frame:
            height = round(frame.height * WIDTH / frame.width)
            self._frames.append((caption, frame.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)))

    def save(self, path: Path) -> None:
        """All pictures in one file, row by row."""
        height = self._frames[0][1].height + CAPTION
        rows = -(-len(self._frames) // COLUMNS)
        size = (COLUMNS * (WIDTH + GAP) - GAP, rows * (height + GAP) - GAP)
        strip = Image.new("RGB", size, "white")
        font = ImageFont.load_default(20)
        for number, (caption, frame) in enumerate(self._frames):
            left, top = number % COLUMNS * (WIDTH + GAP), number // COLUMNS * (height + GAP)
            ImageDraw.Draw(strip).text((left + 4, top + 3), f"{number + 1}  {caption}", "black", font)
            strip.paste(frame, (left, top + CAPTION))
        strip.quantize(128).save(path, optimize=True)


def main() -> None:
    """Write ``view_correction.png``."""
    plan = calibrate(read_scouts([SAMPLE / "dicom"]), load_protocol("BrainAcPc"), load_model(device="cpu"))
    back = Path.cwd()
    with TemporaryDirectory() as scratch:
        os.chdir(scratch)  # the page names the folder as the command was given it
        folder = Path("plan")
        plan.save(folder, sources=[SAMPLE / "dicom"])
        begun = time.perf_counter()
        with view_command(folder) as address:
            print(f"command to address: {time.perf_counter() - begun:.1f} s")
            begun = time.perf_counter()
            with open_page(address, Path(scratch) / "profile") as page:
                page.wait_for_pictures()
                print(f"address to pictures, with the start of Chromium: {time.perf_counter() - begun:.1f} s")
                strip = Strip(page, Path(scratch))
                play(page, plan, strip)
        os.chdir(back)
    strip.save(PICTURE)


def play(page: ViewPage, plan, strip: Strip) -> None:
    """Open, choose, drag, release, rerun detection, save."""
    strip.take("Open: the plan on the scouts")
    page.choose(POINT)
    strip.take(f"Click {POINT} in the table: the views go there")
    held = page.hold(page.place_of(POINT, "sagittal", plan), BY)
    strip.take(f"Drag {POINT}: the box and the console card follow")
    page.tab.mouse("mouseReleased", *held)
    page.wait_for_status(POINT, "set in one plane")
    page.tab.mouse("mouseMoved", 5, 5)
    strip.take("Release: the correction is a step that can be undone")
    page.press("undo")
    page.wait_for_status(POINT, "found")
    strip.take("Undo: as it was")
    page.press("redo")
    page.wait_for_status(POINT, "set in one plane")
    begun = time.perf_counter()
    page.press("repredict")
    page.wait_for_text("#status", "Detection was rerun")
    print(f"re-predict: {time.perf_counter() - begun:.1f} s")
    begun = time.perf_counter()
    page.press("save")
    page.wait_for_text("#status", "Saved in")
    print(f"save: {time.perf_counter() - begun:.1f} s")
    strip.take("Redo, re-predict guided by it, save")


if __name__ == "__main__":
    main()
