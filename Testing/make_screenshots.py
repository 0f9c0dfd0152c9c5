"""Draws the walk-through of the user guide into Resources/Screenshots: load, calibrate, correct, export.

Also the sample data's thumbnail.

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

PICTURES = ROOT / "Resources" / "Screenshots"
THUMBNAIL = ROOT / "AutoVolumeCalibration" / "Resources" / "Icons" / "ColinScouts.png"
MODULE = ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibration.py"
SCOUTS = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: A small laptop's screen; of it the panel gets what menu, toolbars and module selector above and the data probe below
#: leave in Slicer.
SCREEN, PANEL_WIDTH, GAP = (1366, 768), 432, 6
ABOVE, BELOW = 104, 104
BACKGROUND, STRIP_TEXT = "#20242a", "#9aa4af"
THUMBNAIL_SIDE = 128

#: How far AC is dragged for the picture of a correction, screen pixels upwards.
DRAG_PIXELS = 6


def main() -> None:
    """Load the sample, calibrate, correct AC, and draw what is to be seen after each step."""
    with tempfile.TemporaryDirectory() as folder, installed(Path(folder)) as stand_in:
        size = ((SCREEN[0] - PANEL_WIDTH - 2 * GAP) // 2, (SCREEN[1] - GAP) // 2)
        views = open_views(stand_in.scene, stand_in.application_logic, size) if can_render() else None
        widget = stand_in.open_module(MODULE)
        panel = widget.panel
        _load(stand_in, panel, _archive(Path(folder) / "archive"))
        _draw(stand_in, widget, views, "series.png", "landmarksTab")
        stand_in.scene.Clear(False)
        _load(stand_in, panel, SCOUTS)
        _draw(stand_in, widget, views, "load.png", "landmarksTab")
        _calibrate(stand_in, panel)
        _draw(stand_in, widget, views, "panel.png", "landmarksTab")
        _draw(stand_in, widget, views, "box.png", "boxTab")
        _draw(stand_in, widget, views, "console.png", "consoleTab")
        if views:
            _image(views.yellow.image()).scaledToHeight(THUMBNAIL_SIDE).save(str(THUMBNAIL))
            _drag_first_landmark(stand_in, panel, views)
            _draw(stand_in, widget, views, "correct.png", "landmarksTab")
        _draw(stand_in, widget, views, "export.png", "exportTab")
        stand_in.verify()
        if views:
            views.close()


def _archive(folder: Path) -> Path:
    """The sample as an archive may hold it: the localizer twice, and a projection."""
    import pydicom

    parts = ((1, "localizer", None), (2, "localizer, repeated", None), (3, "MIP", ["DERIVED", "SECONDARY", "MIP"]))
    for number, description, image_type in parts:
        (folder / str(number)).mkdir(parents=True)
        for path in sorted(SCOUTS.glob("*.dcm")):
            dataset = pydicom.dcmread(path)
            dataset.SeriesNumber, dataset.SeriesDescription = number, description
            dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID}.{number}"
            dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{number}"
            if image_type:
                dataset.ImageType = image_type
            dataset.save_as(folder / str(number) / path.name)
    return folder


def _load(stand_in: StandIn, panel, folder: Path) -> None:
    stand_in.dialogs.answer("QFileDialog.getExistingDirectory", str(folder))
    panel.ui.loadFolderButton.click()
    stand_in.wait_until(lambda: not panel.jobs.busy, timeout_s=60)


def _calibrate(stand_in: StandIn, panel) -> None:
    panel.ui.calibrateButton.click()
    stand_in.wait_until(lambda: not panel.jobs.busy, timeout_s=300)
    panel.ui.landmarksTable.selectRow(0)
    stand_in.process_events()


def _drag_first_landmark(stand_in: StandIn, panel, views) -> None:
    """Drag the chosen landmark upwards in the sagittal view, as the user would with the mouse."""
    place = panel.current.calibration.landmarks[0].position_mm
    views.jump_to(place)
    x, y = views.yellow.pixel_of(place)
    views.yellow.drag((x, y), (x, y + DRAG_PIXELS))
    views.yellow.move((5, 5))
    for _ in range(3):
        stand_in.process_events()


def _draw(stand_in: StandIn, widget, views, name: str, tab: str) -> None:
    """The panel on one of its tabs as it stands in a window of SCREEN, the views on its right."""
    import qt

    ui = widget.panel.ui
    ui.tabs.setCurrentWidget(getattr(ui, tab))
    ui.namesCheckBox.checked = False
    widget.parent.resize(PANEL_WIDTH, SCREEN[1] - ABOVE - BELOW)
    for _ in range(3):
        stand_in.process_events()
    panel = widget.parent.grab()
    picture = qt.QImage(SCREEN[0] if views else panel.width(), SCREEN[1], qt.QImage.Format_RGB32)
    picture.fill(qt.QColor(BACKGROUND))
    painter = qt.QPainter(picture)
    painter.drawPixmap(0, ABOVE, panel)
    # Where the panel is higher, Slicer scrolls it.
    painter.fillRect(0, SCREEN[1] - BELOW, PANEL_WIDTH + GAP, BELOW, qt.QColor(BACKGROUND))
    painter.setPen(qt.QColor(STRIP_TEXT))
    painter.drawText(12, ABOVE // 2, "Slicer's menu, toolbars and module selector")
    painter.drawText(12, SCREEN[1] - BELOW // 2, "Slicer's data probe and status bar")
    if views:
        _paint_views(painter, picture, views)
    painter.end()
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture.save(str(PICTURES / name))
    print(f"wrote {(PICTURES / name).relative_to(ROOT)}")


def _paint_views(painter, picture, views) -> None:
    views.three_d.fit()
    views.three_d.renderer.GetActiveCamera().Zoom(1.6)
    right = picture.width() - views.red.size[0]
    lower = picture.height() - views.red.size[1]
    left = right - GAP - views.red.size[0]
    for view, x, y in (
        (views.red, left, 0),
        (views.three_d, right, 0),
        (views.green, left, lower),
        (views.yellow, right, lower),
    ):
        painter.drawImage(x, y, _image(view.image()))


def _image(pixels):
    """A QImage of an array (height, width, 3) uint8; it owns its pixels."""
    import numpy as np
    import qt

    height, width, _channels = pixels.shape
    return qt.QImage(np.ascontiguousarray(pixels).data, width, height, 3 * width, qt.QImage.Format_RGB888).copy()


if __name__ == "__main__":
    main()
