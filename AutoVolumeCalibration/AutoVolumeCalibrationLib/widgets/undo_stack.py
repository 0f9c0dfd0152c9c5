"""Back and forth through the plans of one study."""

from __future__ import annotations

from ..core.workflow.calibration import Calibration

#: Plans that are kept; each is small, because they share the scouts.
LIMIT = 100


class UndoStack:
    """The plan that holds now, and those before and after it."""

    def __init__(self) -> None:
        self._past: list[Calibration] = []
        self._future: list[Calibration] = []
        self.present: Calibration | None = None

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def begin(self, present: Calibration | None) -> None:
        """Start anew: nothing to go back to."""
        self._past, self._future, self.present = [], [], present

    def add(self, plan: Calibration) -> None:
        """``plan`` holds from now on, and can be taken back."""
        if self.present is not None:
            self._past = [*self._past[1 - LIMIT :], self.present]
        self._future, self.present = [], plan

    def replace(self, plan: Calibration) -> None:
        """``plan`` belongs to the step that holds now."""
        self.present = plan

    def undo(self) -> Calibration:
        """The plan before."""
        self._future.append(self.present)
        self.present = self._past.pop()
        return self.present

    def redo(self) -> Calibration:
        """The plan that was taken back last."""
        self._past.append(self.present)
        self.present = self._future.pop()
        return self.present
