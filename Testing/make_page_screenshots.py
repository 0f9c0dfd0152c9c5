"""Draws the page of the day into docs/pictures: the sample study, beside one that could not be planned.

Run: ``python Testing/make_page_screenshots.py``.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from PIL import Image  # noqa: E402

from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts  # noqa: E402
from AutoVolumeCalibrationLib.service.page.server import showing  # noqa: E402
from AutoVolumeCalibrationLib.service.page.settings import PageSettings  # noqa: E402
from browser import browser  # noqa: E402
from command_line import SAMPLE  # noqa: E402
from service.page_desks import PLANNED, REFUSED, fake_desk  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
REASON = (
    "only sagittal slices found, at least two of the three planes are needed. "
    "Add the missing scouts (sagittal, coronal, axial)."
)


def main() -> None:
    """Write ``service_day.png`` and ``service_plan.png``."""
    plan = calibrate(read_scouts([SAMPLE / "dicom"]), load_protocol("BrainAcPc"), load_model(device="cpu"))
    plan = replace(plan, timings_s={})  # as in the pictures of the node
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        settings = PageSettings(one.getsockname()[1])
    with TemporaryDirectory() as scratch:
        desk = fake_desk(Path(scratch), plan)
        refused = desk.states[REFUSED]
        desk.states[REFUSED] = replace(refused, outcome=replace(refused.outcome, message=REASON))
        with showing(settings, desk), browser(Path(scratch) / "profile") as tab:
            tab.open(f"{settings.address}studies/{PLANNED}")
            tab.enter("[name=by]", "AB")
            tab.click("button[value=accepted]")
            tab.screenshot(PICTURES / "service_plan.png")
            tab.open(settings.address)
            tab.screenshot(PICTURES / "service_day.png")
    for name in ("service_plan.png", "service_day.png"):
        with Image.open(PICTURES / name) as picture:
            picture.convert("RGB").quantize(128).save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    main()
