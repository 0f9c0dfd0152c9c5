"""Watches a landmark node and asks for a refit when a point moves."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from .slice_under_mouse import SlicePlane, is_placing, plane_under_mouse

Schedule = Callable[[Callable[[], None]], None]

_MOVES = (
    slicer.vtkMRMLMarkupsNode.PointModifiedEvent,
    slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent,
    slicer.vtkMRMLMarkupsNode.PointPositionUndefinedEvent,
    slicer.vtkMRMLMarkupsNode.PointPositionMissingEvent,
    slicer.vtkMRMLMarkupsNode.PointRemovedEvent,
)
#: After either the node may have left its scene.
_SCENE_CHANGES = (slicer.vtkMRMLScene.NodeRemovedEvent, slicer.vtkMRMLScene.EndCloseEvent)


class CorrectionObserver:
    """Calls back once for any number of moves between two turns of the event loop.

    Slicer fires the same event for a point that is hidden, selected, renamed or locked as for one that moves, so
    ``moved`` decides. What the callback itself writes into the node does not count as a move by the user. When the
    node leaves its scene (closed, cleared, deleted) the observer removes itself.

    A point that is dragged or placed with the mouse in a slice view moves within that slice: the observer notes which
    one it is.
    """

    def __init__(
        self,
        node: slicer.vtkMRMLMarkupsFiducialNode,
        moved: Callable[[], bool],
        on_moved: Callable[[bool, SlicePlane | None], None],
        schedule: Schedule,
    ) -> None:
        """Start to watch ``node``, which is in a scene.

        Args:
            moved: whether there is something to do, see ``landmark_nodes.wants_refit``.
            on_moved: refits and writes the landmarks; receives whether the user still holds a point, and the slice in
                which it was dragged or placed (None: not in a slice view). Its exceptions go through to the event
                loop.
            schedule: runs a callable in the next turn of the event loop; in Slicer
                ``lambda call: qt.QTimer.singleShot(0, call)``.
        """
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = node
        self._moved, self._on_moved, self._schedule = moved, on_moved, schedule
        self._due = self._busy = self._dragging = False
        self._plane: SlicePlane | None = None
        scene = node.GetScene()
        self._observed = [(node, node.AddObserver(event, self._on_point)) for event in _MOVES]
        self._observed.append((node, node.AddObserver(node.PointStartInteractionEvent, self._on_drag_start)))
        self._observed.append((node, node.AddObserver(node.PointEndInteractionEvent, self._on_drag_end)))
        self._observed += [(scene, scene.AddObserver(event, self._on_scene)) for event in _SCENE_CHANGES]

    @property
    def active(self) -> bool:
        """False once it was removed, by hand or with its node."""
        return self._node is not None

    def remove(self) -> None:
        """Stop watching; what is scheduled will not happen. May be called again."""
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._observed = []
        self._node = None

    # VTK passes (object, event name); Slicer's own events have no name.
    def _on_point(self, *_event: object) -> None:
        if not (self._busy or self._dragging) and self._node is not None and is_placing(self._node.GetScene()):
            self._plane = plane_under_mouse(self._node.GetScene())
        if not (self._busy or self._due) and self._moved():
            self._due = True
            self._schedule(self._refit)

    def _on_drag_start(self, *_event: object) -> None:
        self._dragging = True
        self._plane = plane_under_mouse(self._node.GetScene()) if self._node is not None else None

    def _on_drag_end(self, *_event: object) -> None:
        self._dragging = False
        self._on_point()
        if not self._due:
            self._plane = None

    def _on_scene(self, *_event: object) -> None:
        if self._node is not None and self._node.GetScene() is None:
            self.remove()

    def _refit(self) -> None:
        self._due = False
        if self._node is None:
            return
        plane = self._plane
        if not self._dragging:
            self._plane = None
        self._busy = True
        try:
            self._on_moved(self._dragging, plane)
        finally:
            self._busy = False
