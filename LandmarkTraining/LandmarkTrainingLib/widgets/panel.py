"""The window: its sections, how they follow the scene, and the next step for the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..core.runs.run_process import Outcome
from ..mrml.training_choices import TrainingChoices
from .choices import Choices
from .current_run import CurrentRun
from .data_section import TRAINING_SET, DataSection
from .engine import TrainingEngine
from .log_section import LogSection
from .recipe_section import RecipeSection
from .result_section import ResultSection
from .run_section import RunSection


class Section(Protocol):
    """A part of the window."""

    def update(self) -> None:
        """Show the current state."""


class Panel:
    """Owns the sections, one class each, and updates them all when anything changes.

    Attributes:
        choices: the current choices; run: the training that is shown; comparing: the comparison that runs.
    """

    def __init__(
        self,
        root: qt.QWidget,
        engine: TrainingEngine,
        scene: slicer.vtkMRMLScene,
        parameter_node: Callable[[], slicer.vtkMRMLScriptedModuleNode],
    ) -> None:
        self.ui = slicer.util.childWidgetVariables(root)
        self._scene = scene
        self._updating = False
        self.choices = Choices(parameter_node, first_choices)
        self.run, self.comparing = CurrentRun(), CurrentRun()
        self.recipe = RecipeSection(self.ui, self.choices, engine)
        self.data = DataSection(self.ui, self.choices, engine, self.recipe.protocol)
        self.training = RunSection(self.ui, self.choices, engine, self.run, self.data, self.recipe)
        self.result = ResultSection(self.ui, self.choices, engine, self.recipe, self.run, self.comparing)
        self._sections: list[Section] = [
            self.data,
            self.recipe,
            self.training,
            self.result,
            LogSection(self.ui, self.run),
        ]
        for part in (self.choices, self.run, self.comparing, self.data):
            part.changed.connect(self.update)
        self.result.changed.connect(self._on_models_changed)
        handlers = {scene.EndCloseEvent: self._on_end_close, scene.EndImportEvent: self._on_end_import}
        self._tags = [scene.AddObserver(event, handler) for event, handler in handlers.items()]
        self._recall()

    def enter(self) -> None:
        """The window is shown: studies and models may have been added meanwhile."""
        self.recipe.fill()
        self.data.refresh()
        self.update()

    def close(self) -> None:
        """The window closes; a running training goes on, and can be opened again."""
        self.data.close()
        self.result.close()
        self.run.close()
        self.comparing.close()
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags = []

    def update(self) -> None:
        """Show the current state."""
        if self._updating:  # a section that changes something while it shows it
            return
        self._updating = True
        try:
            for section in self._sections:
                section.update()
            self.ui.nextLabel.text = self._next_step()
        finally:
            self._updating = False

    def _next_step(self) -> str:
        if self.run.running:
            return _("Training. It goes on when Slicer closes: 'Open run...' shows it again.")
        if self.comparing.running:
            return _("Comparing the models...")
        if self.run.outcome is Outcome.FINISHED:
            return self._next_after_training()
        if self.run.outcome is Outcome.STOPPED:
            return _("Next: resume the run, or start another one.")
        missing = self.training.why_not_ready()
        if missing:
            return missing
        if self.choices.now.datasets and self.data.found is None:
            return _("Next: check the data; then start the training.")
        return _("Next: correct the errors in the data.") if self.data.has_errors else _("Next: start the training.")

    def _next_after_training(self) -> str:
        if self.result.used:
            return _("The new model is in use. More corrected cases make the next one better.")
        if self.result.comparison is None:
            return self.result.why_not_compare() or _("Next: compare the new model with the current one.")
        if self.result.comparison.better:
            return _("The new model is better. Next: use it.")
        if self.result.comparison.may_override:
            return _("The current model stays, unless you decide otherwise: the new one was not shown to be better.")
        return _("The current model stays: the new one is worse. More corrected cases help most.")

    def _recall(self) -> None:
        """Take over what the scene's parameter node holds, and the run it names."""
        self.choices.recall()
        if not self.run.running:
            self.training.attach(self.choices.now.run)
        self.update()

    def _on_models_changed(self) -> None:
        self.recipe.fill()
        self.update()

    # VTK passes the scene and the event's name.
    def _on_end_close(self, *_event: object) -> None:
        shown = self.run.folder
        self.choices.recall()
        if shown is not None:  # a run does not belong to the scene
            self.choices.change(run=str(shown))
        self.update()

    def _on_end_import(self, *_event: object) -> None:
        self._recall()


def first_choices() -> TrainingChoices:
    """The first choices: the training set of Auto Volume Calibration, and a folder for runs in the user's home."""
    grown = slicer.app.userSettings().value(TRAINING_SET, "")
    return TrainingChoices(datasets=(grown,) if grown else (), output=str(Path.home() / "LandmarkTraining"))
