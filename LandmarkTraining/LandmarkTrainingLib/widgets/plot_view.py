"""Shows a chart in the application's views; does nothing where it has no window."""

from __future__ import annotations

import slicer


def show_chart(chart: slicer.vtkMRMLPlotChartNode) -> None:
    """Switch to a layout with a plot view where the current one has none, and put the chart there."""
    if has_window():
        slicer.modules.plots.logic().ShowChartInLayout(chart)


def has_window() -> bool:
    """Whether the application has views."""
    return slicer.app.layoutManager() is not None
