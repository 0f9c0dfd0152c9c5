"""The nodes of the training window: curves, and the choices that are saved with the scene."""

from __future__ import annotations

import math

import pytest

slicer = pytest.importorskip("slicer")

from LandmarkTrainingLib.mrml.curve_nodes import show_curves  # noqa: E402
from LandmarkTrainingLib.mrml.training_choices import (  # noqa: E402
    TrainingChoices,  # noqa: E402
    read_choices,  # noqa: E402
    write_choices,  # noqa: E402
)

ROWS = [
    {"step": 10, "steps": 100, "loss": None, "check_median_mm": 9.0, "note": "first"},
    {"step": 20, "steps": 100, "loss": 0.5, "check_median_mm": 4.0, "check_sagittal_mm": 3.0},
]


def cells(table, column: str) -> list[float]:
    values = table.GetTable().GetColumnByName(column)
    return [values.GetValue(row) for row in range(values.GetNumberOfTuples())]


def series_of(chart) -> dict:
    nodes = (chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes()))
    return {node.GetYColumnName(): node for node in nodes}


def test_loss_and_error_are_drawn_against_the_step(scene):
    chart = show_curves(scene, ROWS)
    series = series_of(chart)
    assert set(series) == {"loss", "check_median_mm"}
    for node in series.values():
        assert node.GetXColumnName() == "step"
        assert node.GetPlotType() == node.PlotTypeScatter
    table = series["loss"].GetTableNode()
    assert cells(table, "step") == [10, 20]
    assert cells(table, "check_median_mm") == [9, 4]
    assert math.isnan(cells(table, "loss")[0])
    assert cells(table, "check_sagittal_mm")[1] == 3
    assert table.GetTable().GetColumnByName("note") is None


def test_new_numbers_update_the_same_nodes(scene, nodes_in):
    chart = show_curves(scene, ROWS[:1])
    count = nodes_in()
    assert show_curves(scene, ROWS) is chart
    assert nodes_in() == count
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert cells(series_of(chart)["loss"].GetTableNode(), "step") == [10, 20]


def test_a_saved_scene_brings_the_curves_back_and_they_are_found_again(scene, tmp_path):
    show_curves(scene, ROWS)
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path)
    scene.Clear(False)
    assert scene.ReadFromMRB(path, False)
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1
    chart = show_curves(scene, ROWS)
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2
    assert set(series_of(chart)) == {"loss", "check_median_mm"}


def test_a_run_without_numbers_has_empty_curves(scene):
    assert cells(series_of(show_curves(scene, []))["loss"].GetTableNode(), "step") == []


CHOICES = TrainingChoices(
    datasets=("/data/a", "/data/b ä"),
    validation="/data/v",
    recipe="scn",
    steps=7,
    learning_rate=0.1,
    extra='a="b"\nc=1',
)


@pytest.fixture
def node(scene):
    return scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "Parameters")


def test_choices_are_kept_by_a_node(node):
    assert read_choices(node) is None
    write_choices(node, CHOICES)
    assert read_choices(node) == CHOICES


def test_choices_survive_a_saved_scene(scene, node, tmp_path):
    write_choices(node, CHOICES)
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path)
    scene.Clear(False)
    assert scene.ReadFromMRB(path, False)
    assert read_choices(scene.GetFirstNodeByName("Parameters")) == CHOICES


def test_the_same_choices_again_change_nothing(node):
    write_choices(node, CHOICES)
    events = []
    node.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    write_choices(node, CHOICES)
    assert events == []


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"steps": "many", "datasets": [1], "later": 2, "seed": true}'])
def test_choices_of_another_version_are_left_out(node, text):
    node.SetParameter("Choices", text)
    assert read_choices(node) in (None, TrainingChoices())
