"""Undo and redo for the plans of one study."""

from __future__ import annotations

from ...core.workflow.calibration import Calibration

#: Most plans to keep; each is small, because they share the scouts.
LIMIT = 100


class UndoStack:
    """The current plan, and those before and after it."""

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
        """Start with ``present`` and nothing to undo."""
        self._past, self._future, self.present = [], [], present

    def add(self, plan: Calibration) -> None:
        """Make ``plan`` the current one, as a step that can be undone."""
        if self.present is not None:
            self._past = [*self._past[1 - LIMIT :], self.present]
        self._future, self.present = [], plan

    def replace(self, plan: Calibration) -> None:
        """Make ``plan`` the current one, as part of the last step."""
        self.present = plan

    def undo(self) -> Calibration:
        """Go back to the plan before the last step."""
        return self._move(self._past, self._future)

    def redo(self) -> Calibration:
        """Go forward to the plan that was undone last."""
        return self._move(self._future, self._past)

    def _move(self, source: list[Calibration], target: list[Calibration]) -> Calibration:
        plan = source.pop()
        if self.present is not None:
            target.append(self.present)
        self.present = plan
        return plan
