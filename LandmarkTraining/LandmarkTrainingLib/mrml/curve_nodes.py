"""The curves of a run as nodes: a table of its log, a plot series for each curve, a chart. Updated in place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import slicer
import vtk

from ..core.runs.run_watch import ERROR, LOSS, STEP, number

#: Attribute by which the nodes are found in a loaded scene.
ROLE = "LandmarkTraining.Curves"
TABLE, CHART = "Table", "Chart"

#: Column of the log -> (name in the legend, colour).
CURVES = {ERROR: ("Error (mm)", (0.85, 0.33, 0.10)), LOSS: ("Loss", (0.00, 0.45, 0.74))}


def show_curves(scene: slicer.vtkMRMLScene, rows: Sequence[Mapping[str, Any]]) -> slicer.vtkMRMLPlotChartNode:
    """Put the rows of a log into the scene's table of training curves; returns the chart that draws them.

    Every numeric column is in the table, for custom charts; loss and error are drawn. One set of nodes serves all runs
    of a scene: runs are compared by their files.
    """
    table = _node(scene, "vtkMRMLTableNode", TABLE, "Training log")
    table.SetUseColumnTitleAsColumnHeader(True)
    table.SetLocked(True)
    table.SetAndObserveTable(_table(rows))
    chart = _node(scene, "vtkMRMLPlotChartNode", CHART, "Training curves")
    _set_up_chart(chart)
    for column, (title, color) in CURVES.items():
        series = _node(scene, "vtkMRMLPlotSeriesNode", column, title)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetPlotType(series.PlotTypeScatter)
        series.SetXColumnName(STEP)
        series.SetYColumnName(column)
        series.SetMarkerStyle(series.MarkerStyleCircle if len(rows) < 3 else series.MarkerStyleNone)
        series.SetColor(*color)
        if not chart.HasPlotSeriesNodeID(series.GetID()):
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _set_up_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    chart.SetTitle("Training")
    chart.SetXAxisTitle("Step")
    chart.SetYAxisTitle("Error (mm), loss")
    # Loss and error differ by orders of magnitude, and both fall by factors.
    chart.SetYAxisLogScale(True)


def _table(rows: Sequence[Mapping[str, Any]]) -> vtk.vtkTable:
    """One column per name with a number in any row; NaN where a row has none. Steps come first."""
    names = dict.fromkeys([STEP, ERROR, LOSS])
    names.update(dict.fromkeys(name for row in rows for name in row if number(row, name) is not None))
    table = vtk.vtkTable()
    for name in names:
        column = vtk.vtkDoubleArray()
        column.SetName(name)
        for row in rows:
            value = number(row, name)
            column.InsertNextValue(math.nan if value is None else value)
        table.AddColumn(column)
    return table


def _node(scene: slicer.vtkMRMLScene, node_class: str, role: str, name: str) -> Any:
    """The node with this role, created if it does not exist."""
    for index in range(scene.GetNumberOfNodesByClass(node_class)):
        node = scene.GetNthNodeByClass(index, node_class)
        if node.GetAttribute(ROLE) == role:
            return node
    node = scene.AddNewNodeByClass(node_class, name)
    node.SetAttribute(ROLE, role)
    return node
