"""The base classes of scripted modules, and what the application makes of a module file (stand-in)."""
# ruff: noqa: N801, N802, N803, N815 - Slicer's names

from __future__ import annotations

import importlib.util
import sys
import unittest
from pathlib import Path

import slicer
from PySide6.QtCore import Property

from standin import qt
from standin.qmrml import qMRMLWidget

# Modules import all of it with a star.
__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]


class ScriptedLoadableModule:
    def __init__(self, parent) -> None:
        super().__init__()
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, filename: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / filename)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent) -> None:
        super().__init__()
        self.parent = parent
        self.layout = parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None: ...

    def cleanup(self) -> None: ...

    def enter(self) -> None: ...

    def exit(self) -> None: ...


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getAllParameterNodes(self) -> list:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def getParameterNode(self):
        return next(iter(self.getAllParameterNodes()), None) or slicer.mrmlScene.AddNode(self.createParameterNode())

    def createParameterNode(self):
        node = slicer.vtkMRMLScriptedModuleNode()
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        slicer.util.delayDisplay(message, 0)

    def runTest(self) -> None: ...


class qSlicerScriptedLoadableModule:
    """The module as the application knows it; only these attributes can be set."""

    __slots__ = (
        *("name", "path", "title", "categories", "dependencies", "contributors"),
        *("helpText", "acknowledgementText", "icon", "hidden", "_code", "_widget"),
    )

    def __init__(self, path: Path) -> None:
        """Import the module file and let it describe itself."""
        self.name, self.path, self._widget = path.stem, str(path), None
        spec = importlib.util.spec_from_file_location(path.stem, path)
        self._code = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = self._code
        spec.loader.exec_module(self._code)
        setattr(slicer.modules, self.name.lower(), self)
        setattr(slicer.modules, f"{self.name}Instance", getattr(self._code, self.name)(self))

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        if self._widget is None:
            self._widget = qSlicerScriptedLoadableModuleWidget(getattr(self._code, f"{self.name}Widget"))
            setattr(slicer.modules, f"{self.name}Widget", self._widget.self())
        return self._widget

    def unload(self) -> None:
        """Leave the module, clean up and delete its panel."""
        if self._widget is not None:
            if self._widget.isEntered:
                self._widget.exit()
            self._widget.self().cleanup()
            self._widget.close()
            self._widget.deleteLater()
        del sys.modules[self.name]


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel that the application shows; ``self()`` is the module's Python widget in it."""

    isEntered = Property(bool, lambda self: self._entered)

    def __init__(self, widget_class: type) -> None:
        super().__init__()
        self._entered = False
        self.setLayout(qt.QVBoxLayout())
        self._python = widget_class(self)
        self._python.setup()
        self.setMRMLScene(slicer.mrmlScene)  # after the set-up, as the application does

    def self(self) -> ScriptedLoadableModuleWidget:
        return self._python

    def enter(self) -> None:
        self._entered = True
        self._python.enter()

    def exit(self) -> None:
        self._entered = False
        self._python.exit()
