"""Loads a real .ui file with the stand-in's widgets, and refuses what that does not know."""
# ruff: noqa: N802 - Qt's names

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from standin import ctk, qmrml, qt

_DESIGNER_ONLY = {"buddy"}  # written as properties into .ui files, although Qt has none of this name


class QUiLoader(QtUiTools.QUiLoader):
    """Qt's loader; errors are raised instead of printed.

    Raises (from ``load``):
        ElementTree.ParseError, RuntimeError: not a .ui file.
        AttributeError: an unknown class, property, signal or slot, by name.
    """

    def load(self, device: QtCore.QFile, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        device.close()
        tree = ElementTree.parse(device.fileName()).getroot()
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)  # Qt cannot pass MRML pointers; they are made in Python below
        self._made: list[QtCore.QObject] = []
        self._failure: Exception | None = None
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        root = super().load(buffer, parent)
        if self._failure:
            raise self._failure
        if root is None:
            raise RuntimeError(f"{device.fileName()}: {self.errorString()}")
        _check_properties(tree, root)
        for connection in connections if connections is not None else ():
            _connect(root, *(connection.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")))
        root._made = self._made  # Qt owns the C++ halves only
        return root

    def createWidget(self, class_name: str, parent=None, name: str = ""):
        return self._make(class_name, parent, name)

    def createLayout(self, class_name: str, parent=None, name: str = ""):
        return self._make(class_name, parent if isinstance(parent, QtWidgets.QWidget) else None, name)

    def _make(self, class_name: str, parent, name: str):
        try:
            made = _find_class(class_name)(parent) if parent else _find_class(class_name)()
        except AttributeError as error:  # would be lost in Qt, which calls this
            self._failure = self._failure or error
            return None
        made.setObjectName(name)
        self._made.append(made)
        return made


def _find_class(name: str) -> type:
    if name == "Line":  # Designer's name for a frame drawn as a line
        return qt.QFrame
    if name.startswith("ctk"):
        return getattr(ctk, name)
    return getattr(qmrml if name.startswith(("qMRML", "qSlicer")) else qt, name)


def _find(root: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = root if root.name == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise AttributeError(f"a connection names {name}, which is not in the .ui file")
    return found


def _connect(root: QtWidgets.QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    _find(root, sender).connect(signal, _find(root, receiver), slot)


def _check_properties(tree: ElementTree.Element, root: QtWidgets.QWidget) -> None:
    """Qt keeps an unknown property as a dynamic one, silently; meant ones carry stdset="0"."""
    for element in tree.iter("widget"):
        widget = _find(root, element.get("name"))
        for entry in element.findall("property"):
            name = entry.get("name")
            dynamic = name in _DESIGNER_ONLY or entry.get("stdset") == "0"
            if not dynamic and widget.metaObject().indexOfProperty(name) < 0:
                raise AttributeError(f"{widget.className()} {widget.name} has no property {name}")
