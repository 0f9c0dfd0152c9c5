"""Notices when the user moves, rotates or resizes the scan box in a view."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk

from ..correction_observer import Schedule


class BoxObserver:
    """Calls ``on_drawn(dragging)`` once per event-loop turn in which the ROI changed, and once when it is released."""

    def __init__(
        self, node: slicer.vtkMRMLMarkupsROINode, on_drawn: Callable[[bool], None], schedule: Schedule
    ) -> None:
        self._node: slicer.vtkMRMLMarkupsROINode | None = node
        self._on_drawn, self._schedule = on_drawn, schedule
        self._due = self._dragging = False
        handlers = {
            vtk.vtkCommand.ModifiedEvent: self._on_changed,
            node.PointModifiedEvent: self._on_changed,
            node.PointStartInteractionEvent: self._on_start,
            node.PointEndInteractionEvent: self._on_end,
        }
        self._tags = [node.AddObserver(event, handler) for event, handler in handlers.items()]

    def remove(self) -> None:
        """Stop watching; what is scheduled will not happen. May be called again."""
        if self._node is not None:
            for tag in self._tags:
                self._node.RemoveObserver(tag)
        self._node = None

    def _on_changed(self, *_event: object) -> None:
        if not self._due:
            self._due = True
            self._schedule(self._notify)

    def _on_start(self, *_event: object) -> None:
        self._dragging = True

    def _on_end(self, *_event: object) -> None:
        self._dragging = False
        self._on_changed()

    def _notify(self) -> None:
        self._due = False
        if self._node is not None and self._node.GetScene() is not None:
            self._on_drawn(self._dragging)
