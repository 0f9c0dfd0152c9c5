"""Fixtures of the panel tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.models import store
from fake_detection import FakeDetection
from standin.fixtures import real_views, stand_in
from training_window import window

__all__ = ["real_views", "stand_in", "window"]

MODULE = Path(__file__).resolve().parents[2] / "AutoVolumeCalibration" / "AutoVolumeCalibration.py"


@pytest.fixture
def brain_alone(monkeypatch) -> None:
    """Only the brain's models are shipped, whatever else is."""
    shipped = store.shipped_models()
    of_brain = {name: folder for name, folder in shipped.items() if store.bundle_anatomy(folder) == "brain"}
    monkeypatch.setattr(store, "shipped_models", lambda: of_brain)


class OpenPanel:
    """The module's panel in the stand-in, with a fake network, and what the user does with it."""

    def __init__(self, stand_in) -> None:
        self.app = stand_in
        self.widget = stand_in.open_module(MODULE)
        self.panel, self.ui = self.widget.panel, self.widget.panel.ui
        self.current = self.panel.current
        self.detection = self.panel.calibrate.find = FakeDetection()

    @property
    def calibration(self):
        return self.current.calibration

    @property
    def landmarks(self):
        """The fiducial node."""
        return self.current.study.landmarks

    def load(self, **options) -> None:
        """Scouts of a simple head, as if they had just been read."""
        from calibrations import scout_stacks

        self.current.select(self.current.engine.add_stacks(scout_stacks(**options)))
        self.settle()

    def calibrate(self, timeout_s: float = 10.0) -> None:
        self.ui.calibrateButton.click()
        self.wait(timeout_s)

    def wait(self, timeout_s: float = 10.0) -> None:
        """Until the work under way is done."""
        self.app.wait_until(lambda: not self.panel.jobs.busy, timeout_s)
        self.settle()

    def settle(self) -> None:
        """Let everything happen that waits for the next turn of the event loop, and what follows from it."""
        for _ in range(3):
            self.app.process_events()

    def choose(self, name: str) -> None:
        """Click a landmark in the table."""
        self.ui.landmarksTable.selectRow(self.row_of(name))
        self.settle()

    def row_of(self, name: str) -> int:
        table = self.ui.landmarksTable
        return next(row for row in range(table.rowCount) if table.item(row, 0).text() == name)

    def row(self, name: str) -> SimpleNamespace:
        """What the table says of a landmark."""
        import qt

        table, row = self.ui.landmarksTable, self.row_of(name)
        return SimpleNamespace(
            title=table.item(row, 1).text(),
            sd=table.item(row, 2).text(),
            status=table.item(row, 3).text(),
            tooltip=table.item(row, 0).toolTip(),
            color=table.item(row, 0).data(qt.Qt.DecorationRole).name(),
        )

    def place_of(self, name: str) -> np.ndarray:
        return np.array(self.landmarks.GetNthControlPointPositionWorld(self.point(name)))

    def point(self, name: str) -> int:
        return self.landmarks.GetControlPointIndexByLabel(name)

    def move(self, name: str, by_mm) -> None:
        """Move a point as a script or an undone drag does."""
        self.landmarks.SetNthControlPointPositionWorld(self.point(name), *(self.place_of(name) + by_mm))
        self.settle()

    def click(self, button) -> None:
        assert button.enabled, button.toolTip
        button.click()
        self.settle()


@pytest.fixture
def panel(stand_in, brain_alone) -> OpenPanel:
    """The panel, empty; models of the brain are shipped, and the test may promote others."""
    return OpenPanel(stand_in)


@pytest.fixture
def planned(panel) -> OpenPanel:
    """The panel with calibrated scouts."""
    panel.load()
    panel.calibrate()
    return panel
