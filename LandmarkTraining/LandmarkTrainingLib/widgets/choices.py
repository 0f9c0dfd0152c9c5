"""The current choices of the window, stored in the parameter node; sections are notified of changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import slicer

from AutoVolumeCalibrationLib.mrml.signal import Signal

from ..mrml.training_choices import TrainingChoices, read_choices, write_choices


class Choices:
    """The one place where choices change.

    Attributes:
        now: the current choices.
        changed: emitted after each change.
    """

    def __init__(
        self,
        parameter_node: Callable[[], slicer.vtkMRMLScriptedModuleNode],
        first: Callable[[], TrainingChoices],
    ) -> None:
        self._parameter_node, self._first = parameter_node, first
        self.now = first()
        self.changed = Signal()

    def change(self, **values: Any) -> None:
        """Replace choices by name. A widget that is set to the current choice changes nothing."""
        changed = replace(self.now, **values)
        if changed != self.now:
            write_choices(self._parameter_node(), changed)
            self._take(changed)

    def recall(self) -> None:
        """Take the choices of the scene's parameter node, or the first ones where the user made none."""
        self._take(read_choices(self._parameter_node()) or self._first())

    def _take(self, choices: TrainingChoices) -> None:
        if choices != self.now:
            self.now = choices
            self.changed.emit()
