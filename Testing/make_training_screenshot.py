"""Draws the training window into Resources/Screenshots/training.png: before, during and after a fine-tuning.

Run: ``python Testing/make_training_screenshot.py``; takes some minutes. The window is that of the stand-in for Qt, not
of the application; the training is real, though short, on copies of the sample study with noise. Its numbers say
nothing about a model: truth are the points that the current model found.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QT_QPA_FONTDIR", "/usr/share/fonts/truetype/dejavu")

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark  # noqa: E402
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from data_sets import PROTOCOL, noisy, write_set  # noqa: E402
from standin.session import installed  # noqa: E402
from training_window import TrainingWindow  # noqa: E402

PICTURE = ROOT / "Resources" / "Screenshots" / "training.png"
SCOUTS = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: A column for each state, as wide as Slicer's module panel.
PANEL_WIDTH, HEIGHT, GAP = 432, 752, 6
BACKGROUND = "#20242a"
SETTINGS = "checkpoint_steps=5\npicture_steps=5\nbatch_size=2\nworkers=0"
STEPS, SHOWN_STEP = 20, 10


def main() -> None:
    """Make the data sets, go through the loop, and draw what is to be seen after each step."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AUTOVOLUME_MODELS"] = str(Path(folder) / "models")
        with installed(Path(folder)) as stand_in:
            from LandmarkTrainingLib.widgets.core_engine import CoreEngine

            window = TrainingWindow(stand_in, Path(folder), CoreEngine())
            columns = _go_through(window)
            stand_in.verify()
            _join(columns)
    print(f"wrote {PICTURE.relative_to(ROOT)}")


def _go_through(window: TrainingWindow) -> list:
    _make_data(window.folder)
    window.ui.stepsSpinBox.setValue(STEPS)
    window.ui.extraText.plainText = SETTINGS
    window.add_dataset("hospital")
    window.set_validation()
    window.click(window.ui.checkButton)
    window.wait(lambda: not window.panel.data.checking, timeout_s=60)
    columns = [_grab(window)]
    window.start()
    window.wait(lambda: not window.run.running or _step(window) >= SHOWN_STEP, timeout_s=300)
    columns.append(_grab(window))
    window.wait(lambda: not window.run.running, timeout_s=300)
    window.click(window.ui.compareButton)
    window.wait(lambda: not window.panel.comparing.running, timeout_s=300)
    columns.append(_grab(window))
    return columns


def _step(window: TrainingWindow) -> int:
    progress = window.run.watch.progress
    return progress.step if progress else 0


def _make_data(folder: Path) -> None:
    """Six people to learn from and two to compare on."""
    from AutoVolumeCalibrationLib.core.models.bundle import load_model
    from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts

    plan = calibrate(read_scouts([SCOUTS]), PROTOCOL, load_model(device="cpu"))
    first = LabelledStudy("case_0", plan.stacks, tuple(_plausible(plan)), {"kind": "files"})
    studies = [replace(first, name=f"case_{n}", stacks=noisy(plan.stacks, n)) for n in range(8)]
    for name, part in (("hospital", studies[:6]), ("validation", studies[6:])):
        (folder / name).mkdir()
        write_set(folder / name, part)


def _plausible(plan: Calibration) -> Iterator[Landmark]:
    """The found points near their expected places, each as if the user had placed it; none on top of another."""
    taken: list[np.ndarray] = []
    for mark in plan.landmarks:
        place = mark.position_mm
        if place is None or np.linalg.norm(place - plan.frame.expected_mm[mark.name]) > 10:
            continue
        if all(np.linalg.norm(place - other) > 3 for other in taken):
            taken.append(place)
            yield mark.corrected(place)


def _grab(window: TrainingWindow):
    window.widget.parent.resize(PANEL_WIDTH, HEIGHT)
    window.settle()
    return window.widget.parent.grab()


def _join(columns: list) -> None:
    import qt

    width = sum(column.width() for column in columns) + (len(columns) - 1) * GAP
    picture = qt.QImage(width, max(column.height() for column in columns), qt.QImage.Format_RGB32)
    picture.fill(qt.QColor(BACKGROUND))
    painter = qt.QPainter(picture)
    left = 0
    for column in columns:
        painter.drawPixmap(left, 0, column)
        left += column.width() + GAP
    painter.end()
    picture.save(str(PICTURE))


if __name__ == "__main__":
    main()
