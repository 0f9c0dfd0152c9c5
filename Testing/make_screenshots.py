"""Draws the panel beside the views into Resources/Screenshots/panel.png, and the sample data's thumbnail.

Run: ``python Testing/make_screenshots.py``. The panel is that of the stand-in for Qt, not of the application; the
views are Slicer's own, where there is EGL or a display, and left out elsewhere.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_QPA_FONTDIR", "/usr/share/fonts/truetype/dejavu")

from standin.session import StandIn, installed  # noqa: E402
from views_support import can_render, open_views  # noqa: E402

PICTURE = ROOT / "Resources" / "Screenshots" / "panel.png"
THUMBNAIL = ROOT / "AutoVolumeCalibration" / "Resources" / "Icons" / "ColinScouts.png"
MODULE = ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibration.py"
SCOUTS = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: A small laptop's screen, and what of it the panel takes.
HEIGHT, PANEL_WIDTH, GAP = 768, 430, 8
BACKGROUND = "#20242a"


def main() -> None:
    """Load the sample, calibrate, look at AC, and draw what is to be seen."""
    with tempfile.TemporaryDirectory() as folder, installed(Path(folder)) as stand_in:
        views = open_views(stand_in.scene, stand_in.application_logic) if can_render() else None
        panel = stand_in.open_module(MODULE).panel
        _load_and_calibrate(stand_in, panel)
        _draw(stand_in, panel, views)
        if views:
            views.close()
    print(f"wrote {PICTURE.relative_to(ROOT)}")


def _load_and_calibrate(stand_in: StandIn, panel) -> None:
    stand_in.dialogs.answer("QFileDialog.getExistingDirectory", str(SCOUTS))
    panel.ui.loadFolderButton.click()
    stand_in.wait_until(lambda: not panel.work.busy, timeout_s=60)
    panel.ui.calibrateButton.click()
    stand_in.wait_until(lambda: not panel.work.busy, timeout_s=300)
    panel.ui.landmarksTable.selectRow(0)
    stand_in.verify()


def _draw(stand_in: StandIn, panel, views) -> None:
    import qt

    panel.ui.scannerButton.checked = True
    panel.ui.inputsButton.checked = True
    columns = [_grab(stand_in, panel, names) for names in (UPPER, LOWER)]
    if views:
        columns.append(_views_picture(views))
    width = sum(column.width() for column in columns) + GAP * (len(columns) - 1)
    picture = qt.QImage(width, HEIGHT, qt.QImage.Format_RGB32)
    picture.fill(qt.QColor(BACKGROUND))
    painter = qt.QPainter(picture)
    left = 0
    for column in columns:
        painter.drawImage(left, 0, column)
        left += column.width() + GAP
    painter.end()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    picture.save(str(PICTURE))


if __name__ == "__main__":
    main()
