"""The prescription as a text node and the checks as a table node, updated in place."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk

from ..core.planning.checks.check import Check
from ..core.planning.prescription import Prescription

COLUMNS = ("Check", "Level", "Message")


def write_prescription(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLTextNode | None, prescription: Prescription, name: str
) -> slicer.vtkMRMLTextNode:
    """Show the prescription, one quantity a line, in ``node`` or in a new node called ``name``; gives the node."""
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", name)
    node.SetText(prescription.to_text())
    return node


def write_checks(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLTableNode | None, checks: Sequence[Check], name: str
) -> slicer.vtkMRMLTableNode:
    """Show one row for each check in ``node`` or in a new node called ``name``; gives the node."""
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
    rows = [tuple(_plain(text) for text in (check.name, check.level, check.message)) for check in checks]
    if rows != rows_of(node):
        table = vtk.vtkTable()
        for number, title in enumerate(COLUMNS):
            column = vtk.vtkStringArray()
            column.SetName(title)
            for row in rows:
                column.InsertNextValue(row[number])
            table.AddColumn(column)
        node.SetAndObserveTable(table)
    return node


def rows_of(node: slicer.vtkMRMLTableNode) -> list[tuple[str, ...]]:
    """The cells of the table, row by row."""
    columns = range(node.GetNumberOfColumns())
    return [tuple(node.GetCellText(row, column) for column in columns) for row in range(node.GetNumberOfRows())]


def _plain(text: str) -> str:
    """Text that survives the tab-separated file of a saved scene: Slicer does not escape tabs, quotes or line ends."""
    return " ".join(text.replace('"', "'").split())
