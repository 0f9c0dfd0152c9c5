"""The training window in the stand-in, with a fake engine, and what the user does with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_engine import FakeEngine
from LandmarkTrainingLib.core.datasets.findings import Finding

#: What the fake engine may find in a data set.
SWAPPED = Finding("error", "case_3", "left and right are swapped", "Swap the names.")

MODULE = Path(__file__).resolve().parents[1] / "LandmarkTraining" / "LandmarkTraining.py"


class TrainingWindow:
    """The module's window.

    Attributes:
        folder: for files of the test; runs go into ``runs`` in it.
    """

    def __init__(self, stand_in, folder: Path, engine=None) -> None:
        self.app, self.folder = stand_in, folder
        self.engine = engine or FakeEngine()
        self._open()
        self.choices.change(output=str(folder / "runs"))

    def _open(self) -> None:
        self.module = self.app.load_module(MODULE)
        import sys

        logic = sys.modules["LandmarkTraining"].LandmarkTrainingLogic
        logic.engine = property(lambda _logic: self.engine)
        widget = self.module.widgetRepresentation()
        widget.show()
        widget.enter()
        self.widget, self.panel = widget.self(), widget.self().panel
        self.ui, self.choices, self.run = self.panel.ui, self.panel.choices, self.panel.run
        self.settle()

    def reopen(self) -> None:
        """Close the window and load the module again, as Slicer's Reload does."""
        self.widget.cleanup()
        self.settle()
        self._open()

    def settle(self) -> None:
        """Let everything happen that waits for the next turn of the event loop."""
        for _ in range(3):
            self.app.process_events()

    def click(self, button) -> None:
        assert button.enabled, button.toolTip
        button.click()
        self.settle()

    def choose_folder(self, button, folder: Path | str) -> None:
        self.app.dialogs.answer("QFileDialog.getExistingDirectory", str(folder))
        self.click(button)

    def add_dataset(self, name: str = "cases") -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        self.choose_folder(self.ui.addDatasetButton, folder)
        return folder

    def set_validation(self) -> None:
        self.ui.validationPath.currentPath = str(self.folder / "validation")
        self.settle()

    def start(self) -> None:
        self.click(self.ui.startButton)

    def train(self) -> None:
        """A training from its start to its end."""
        self.start()
        self.wait_for_end()

    def wait_for_end(self) -> None:
        self.wait(lambda: not self.run.running)

    def wait_for_numbers(self) -> None:
        self.wait(lambda: self.run.watch.rows)

    def wait(self, condition, timeout_s: float = 30) -> None:
        """Until the condition holds; the window looks more often than it would."""

        def look() -> bool:
            for run in (self.run, self.panel.comparing):
                if run.running:
                    run.look()
            return condition()

        self.app.wait_until(look, timeout_s=timeout_s)
        self.settle()

    def compare(self) -> None:
        self.click(self.ui.compareButton)
        self.wait(lambda: not self.panel.comparing.running)

    def check(self) -> None:
        """Check the data, to the end."""
        self.click(self.ui.checkButton)
        self.wait(lambda: not self.panel.data.checking)

    def choose(self, combo, data: str) -> None:
        combo.setCurrentIndex(combo.findData(data))
        self.settle()

    def last_settings(self) -> dict[str, object]:
        """Settings that the last command names."""
        arguments = self.engine.commands[-1]
        pairs = [value.split("=", 1) for flag, value in zip(arguments, arguments[1:], strict=False) if flag == "--set"]
        return {name: json.loads(value) for name, value in pairs}

    @property
    def next(self) -> str:
        """What the window says to do next."""
        return self.ui.nextLabel.text


@pytest.fixture
def window(stand_in, tmp_path) -> Iterator[TrainingWindow]:
    """The window, empty; what it started and was not stopped is ended."""
    opened = TrainingWindow(stand_in, tmp_path)
    yield opened
    for run in (opened.run, opened.panel.comparing):
        if run.running:
            run.stop()
            run.stop()
