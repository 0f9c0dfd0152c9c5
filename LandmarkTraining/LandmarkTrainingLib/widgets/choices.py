"""What is chosen in the window now; the parameter node follows, and all sections are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import slicer

from AutoVolumeCalibrationLib.widgets.shared.signal import Signal

from ..mrml.training_choices import TrainingChoices, read_choices, write_choices


class Choices:
    """The one place where choices change.

    Attributes:
        now: what is chosen.
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

    def change(self, **values: object) -> None:
        """Choose something else. A widget that is set to what is chosen already changes nothing."""
        changed = replace(self.now, **values)
        if changed != self.now:
            write_choices(self._parameter_node(), changed)
            self._take(changed)

    def recall(self) -> None:
        """What the scene's parameter node holds, or the first choices where a person made none."""
        self._take(read_choices(self._parameter_node()) or self._first())

    def _take(self, choices: TrainingChoices) -> None:
        if choices != self.now:
            self.now = choices
            self.changed.emit()
