"""The few qMRML and qSlicer classes that our panels use, on the real MRML scene (stand-in)."""
# ruff: noqa: N801, N802, N815 - Qt's and Slicer's names

from __future__ import annotations

import shiboken6
from PySide6.QtCore import Property, Signal

from standin import qt
from standin.pythonqt import field, with_setters


def __getattr__(name: str):
    raise AttributeError(f"the stand-in has no slicer.{name}: if Slicer has it, add it to {__file__}")


class qMRMLWidget(qt.QWidget):
    """Hands its scene on to what is connected to ``mrmlSceneChanged(vtkMRMLScene*)`` in the .ui file."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qSlicerWidget(qMRMLWidget):
    """Slicer's own root widget."""


@with_setters
class qMRMLNodeComboBox(qt.QWidget):
    """Selects a node of the scene; disabled until it is given one."""

    currentNodeChanged = Signal((object,), (bool,))
    currentNodeIDChanged = Signal(str)
    nodeTypes = field("QStringList", "nodeTypes", "_refresh")
    baseName = field(str, "baseName")
    noneDisplay = field(str, "noneDisplay", "_refresh")
    addEnabled = field(bool, "addEnabled")
    removeEnabled = field(bool, "removeEnabled")
    renameEnabled = field(bool, "renameEnabled")
    editEnabled = field(bool, "editEnabled")
    noneEnabled = field(bool, "noneEnabled", "_refresh")
    showHidden = field(bool, "showHidden", "_refresh")
    showChildNodeTypes = field(bool, "showChildNodeTypes", "_refresh")
    selectNodeUponCreation = field(bool, "selectNodeUponCreation")

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._nodeTypes, self._baseName, self._noneDisplay = [], "", "None"
        self._addEnabled = self._removeEnabled = self._showChildNodeTypes = self._selectNodeUponCreation = True
        self._renameEnabled = self._editEnabled = self._noneEnabled = self._showHidden = False
        self._scene, self._observers, self._attributes, self._nodes, self._current = None, [], [], [], None
        self._box = qt.QComboBox()
        row = qt.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.activated.connect(self._on_activated)
        self.enabled = False

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is self._scene:
            return
        for tag in self._observers:
            self._scene.RemoveObserver(tag)
        self._scene, self._observers = scene, []
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
            self._observers = [scene.AddObserver(event, self._on_scene_changed) for event in events]
        self.enabled = scene is not None
        self._refresh()

    def addAttribute(self, node_class: str, name: str, value: str | None = None) -> None:
        self._attributes.append((node_class, name, value))
        self._refresh()

    def nodeCount(self) -> int:
        return len(self._nodes)

    def currentNode(self):
        return self._current

    def setCurrentNode(self, node) -> None:
        self._select(node if node in self._nodes else None)

    def _select_by_id(self, identifier: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(identifier) if identifier else None)

    currentNodeID = Property(str, lambda self: self._current.GetID() if self._current else "", _select_by_id)

    def addNode(self, node_class: str | None = None):
        """What "Create new ..." in the menu does."""
        node_class = node_class or self._nodeTypes[0]
        name = self._baseName or node_class.removeprefix("vtkMRML").removesuffix("Node")
        node = self._scene.AddNewNodeByClass(node_class, self._scene.GenerateUniqueName(name))
        for of_class, attribute, value in self._attributes:
            if node.IsA(of_class):
                node.SetAttribute(attribute, value or "")
        self._refresh()
        if self._selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def _offers(self, node) -> bool:
        wanted = any(
            node.IsA(kind) if self._showChildNodeTypes else node.GetClassName() == kind for kind in self._nodeTypes
        )
        for of_class, name, value in self._attributes:
            found = node.GetAttribute(name)
            wanted = wanted and (not node.IsA(of_class) or (found is not None and value in (None, found)))
        return wanted and (self._showHidden or not node.GetHideFromEditors())

    def _on_scene_changed(self, scene, _event) -> None:
        # Qt may have deleted the widget; a scene that is being read or closed is looked at when it is complete.
        if shiboken6.isValid(self) and not scene.IsBatchProcessing():
            self._refresh()

    def _refresh(self) -> None:
        scene = self._scene
        every = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())] if scene else []
        self._nodes = [node for node in every if self._offers(node)]
        fallback = None if self._noneEnabled or not self._nodes else self._nodes[0]
        self._select(self._current if self._current in self._nodes else fallback)

    def _select(self, node) -> None:
        self._box.clear()
        self._box.addItems([self._noneDisplay] * self._noneEnabled + [each.GetName() for each in self._nodes])
        self._box.setCurrentIndex(self._nodes.index(node) + self._noneEnabled if node else self._noneEnabled - 1)
        if node is not self._current:
            self._current = node
            self.currentNodeChanged[object].emit(node)
            self.currentNodeChanged[bool].emit(node is not None)
            self.currentNodeIDChanged.emit(self.currentNodeID)

    def _on_activated(self, row: int) -> None:
        index = row - self._noneEnabled
        self._select(self._nodes[index] if index >= 0 else None)
