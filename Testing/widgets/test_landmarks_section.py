"""Landmarks: the table and everything the user can do with a point; every correction can be undone."""

from __future__ import annotations

import numpy as np
import pytest

from fake_detection import FAINT, NOT_FOUND

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def test_the_table_tells_status_uncertainty_and_definition(planned):
    assert planned.ui.landmarksTable.rowCount == 45
    assert planned.row("AC").status == "found"
    assert planned.row("AC").sd == "1.4"
    assert "Anterior commissure" in planned.row("AC").tooltip
    assert planned.row(FAINT).status == "unsure"
    assert planned.row(NOT_FOUND).sd == ""


def names_in_order(planned) -> list[str]:
    table = planned.ui.landmarksTable
    return [table.item(row, 0).text() for row in range(table.rowCount)]


def test_what_is_to_be_reviewed_comes_first_and_stays_there_while_it_is_corrected(planned):
    order = names_in_order(planned)
    review = [name for name in order if planned.row(name).status != "found"]
    assert {FAINT, NOT_FOUND} <= set(review)
    assert order[: len(review)] == review
    assert planned.ui.onlyDoubtfulCheckBox.text == f"Only the {len(review)} to review"
    planned.move(FAINT, [0, 1, 0])
    assert planned.row(FAINT).status == "set by you"
    assert names_in_order(planned) == order
    assert planned.ui.onlyDoubtfulCheckBox.text == f"Only the {len(review) - 1} to review"


def test_the_title_stands_beside_the_short_name(planned):
    assert planned.row("AC").title == "Anterior commissure"


def test_a_point_has_the_same_colour_in_the_table_and_in_the_views(planned):
    planned.move("AC", [0, 3, 0])
    display = planned.landmarks.GetDisplayNode()
    for name in (landmark.name for landmark in planned.calibration.landmarks):
        index = planned.point(name)
        if planned.landmarks.GetNthControlPointPositionStatus(index) != planned.landmarks.PositionDefined:
            continue
        selected = planned.landmarks.GetNthControlPointSelected(index)
        shown = display.GetSelectedColor() if selected else display.GetColor()
        assert planned.row(name).color == "#" + "".join(f"{round(255 * part):02x}" for part in shown), name
    assert planned.row("AC").color == planned.row("PC").color


def test_the_table_can_show_only_what_needs_a_look(planned):
    planned.choose(FAINT)
    planned.ui.onlyDoubtfulCheckBox.checked = True
    table = planned.ui.landmarksTable
    shown = {table.item(row, 0).text() for row in range(table.rowCount)}
    assert {NOT_FOUND, FAINT} <= shown
    assert "AC" not in shown
    assert planned.panel.landmarks.selected() == FAINT
    planned.ui.onlyDoubtfulCheckBox.checked = False
    assert table.rowCount == 45


def test_names_in_the_views_can_be_hidden(planned):
    display = planned.landmarks.GetDisplayNode()
    planned.ui.namesCheckBox.checked = False
    assert not display.GetPointLabelsVisibility()
    planned.move("AC", [0, 1, 0])
    assert not planned.ui.namesCheckBox.checked
    planned.ui.namesCheckBox.checked = True
    assert display.GetPointLabelsVisibility()


def test_buttons_wait_for_a_chosen_point_and_say_so(planned):
    assert not planned.ui.placeButton.enabled
    assert planned.ui.placeButton.toolTip == "Click a landmark in the table first."
    planned.choose("AC")
    assert planned.ui.placeButton.enabled
    assert planned.ui.restoreButton.toolTip == "This landmark was not corrected."
    assert planned.ui.restoreAllButton.toolTip == "No landmark was corrected."
    assert planned.ui.undoButton.toolTip == "There is nothing to undo."
    assert planned.ui.followButton.toolTip == "First drag a landmark to its position."
    planned.choose(NOT_FOUND)
    assert planned.ui.lockButton.toolTip == "This landmark has no position yet."


def test_a_moved_point_turns_the_box_and_can_be_restored(planned):
    before = planned.calibration.box
    planned.choose("AC")
    planned.move("AC", [0, 0, 9])
    moved = planned.calibration.box
    assert np.abs(moved.axes - before.axes).max() > 0.005
    assert planned.row("AC").status == "set by you"
    planned.click(planned.ui.restoreButton)
    assert planned.calibration.box.axes == pytest.approx(before.axes)
    assert planned.row("AC").status == "found"


def test_all_corrections_are_restored_at_once(planned):
    for name in ("AC", "PC"):
        planned.move(name, [0, 3, 0])
    planned.click(planned.ui.restoreAllButton)
    assert {planned.row(name).status for name in ("AC", "PC")} == {"found"}
    assert not planned.ui.restoreAllButton.enabled


def test_every_step_is_undone_and_redone(planned):
    start = planned.place_of("AC")
    planned.move("AC", [0, 4, 0])
    planned.move("AC", [0, 4, 0])
    planned.choose("AC")
    planned.click(planned.ui.restoreButton)
    for expected in (8, 4, 0):
        planned.click(planned.ui.undoButton)
        assert planned.place_of("AC") == pytest.approx(start + [0, expected, 0])
    assert planned.row("AC").status == "found"
    assert not planned.landmarks.GetNthControlPointLocked(planned.point("AC"))
    for expected in (4, 8, 0):
        planned.click(planned.ui.redoButton)
        assert planned.place_of("AC") == pytest.approx(start + [0, expected, 0])
    assert not planned.ui.redoButton.enabled


def test_a_drag_is_one_step(planned):
    start, node = planned.place_of("AC"), planned.landmarks
    node.InvokeEvent(node.PointStartInteractionEvent)
    for _ in range(5):
        planned.move("AC", [0, 1, 0])
    # The last move and the release come in one turn of the event loop.
    node.SetNthControlPointPositionWorld(planned.point("AC"), *(start + [0, 6, 0]))
    node.InvokeEvent(node.PointEndInteractionEvent)
    planned.settle()
    assert node.GetNthControlPointLocked(planned.point("AC"))
    planned.click(planned.ui.undoButton)
    assert planned.place_of("AC") == pytest.approx(start)
    assert not planned.ui.undoButton.enabled


def test_a_corrected_point_is_locked_and_can_be_unlocked(planned):
    planned.move("AC", [0, 4, 0])
    planned.choose("AC")
    assert planned.ui.lockButton.text == "Unlock"
    planned.click(planned.ui.lockButton)
    assert not planned.landmarks.GetNthControlPointLocked(planned.point("AC"))
    assert planned.ui.lockButton.text == "Lock"


def test_a_missing_point_is_placed_and_that_is_one_step(planned):
    planned.choose(NOT_FOUND)
    planned.click(planned.ui.placeButton)
    interaction = planned.app.scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert NOT_FOUND in planned.ui.statusLabel.text
    place = planned.calibration.frame.expected_mm[NOT_FOUND] + [0, 1, 1]
    planned.landmarks.SetNthControlPointPositionWorld(planned.point(NOT_FOUND), *place)
    planned.settle()
    assert planned.row(NOT_FOUND).status == "set by you"
    planned.click(planned.ui.undoButton)
    assert planned.row(NOT_FOUND).status.startswith("missing")
    assert not planned.ui.undoButton.enabled


def test_placing_a_found_point_anew_is_one_step_too(planned):
    start = planned.place_of("AC")
    planned.choose("AC")
    planned.click(planned.ui.placeButton)
    assert planned.row("AC").status.startswith("missing")
    planned.landmarks.SetNthControlPointPositionWorld(planned.point("AC"), *(start + [0, 3, 0]))
    planned.settle()
    planned.click(planned.ui.undoButton)
    assert planned.place_of("AC") == pytest.approx(start)
    assert not planned.ui.undoButton.enabled


def test_too_few_points_are_told_in_the_status_line_and_the_box_stays(planned):
    before = planned.calibration.box
    names = [mark.name for mark in planned.calibration.landmarks]
    modifying = planned.landmarks.StartModify()
    for name in names[2:]:
        planned.landmarks.SetNthControlPointPositionMissing(planned.point(name))
    planned.landmarks.EndModify(modifying)
    planned.settle()
    assert "at least 3 are needed" in planned.ui.statusLabel.text
    assert planned.calibration.box is before


def test_hiding_points_changes_nothing(planned):
    before = planned.calibration
    planned.landmarks.GetDisplayNode().SetVisibility(False)
    planned.landmarks.SetNthControlPointVisibility(0, False)
    planned.settle()
    assert planned.calibration is before
    assert not planned.ui.undoButton.enabled


def test_many_moves_leave_no_nodes_and_no_observers_behind(planned):
    nodes = planned.app.scene.GetNumberOfNodes()
    observers = len(planned.current._observers), len(planned.current._tags)
    for turn in range(60):
        planned.move("AC", [0, 0.1 * (-1) ** turn, 0])
        planned.click(planned.ui.undoButton)
    assert planned.app.scene.GetNumberOfNodes() == nodes
    assert (len(planned.current._observers), len(planned.current._tags)) == observers
