"""Box: protocol and box choice, margins, the box as the user draws it, scanner terms."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

from AutoVolumeCalibrationLib.core.planning.margins import margins_mm, proposed_margins_mm  # noqa: E402


def draw_box(panel, *, move_mm=(0, 0, 0), grow_mm=(0, 0, 0)) -> None:
    """What the user does to the ROI in a view, without the mouse."""
    box = panel.current.study.scan_box
    matrix = slicer.util.arrayFromVTKMatrix(box.GetObjectToNodeMatrix())
    matrix[:3, 3] += move_mm
    box.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    box.SetSize(*(np.array(box.GetSize()) + grow_mm))
    panel.settle()


def choose_protocol(panel, name: str) -> None:
    combo_box = panel.ui.protocolComboBox
    combo_box.setCurrentIndex(combo_box.findData(name))
    combo_box.activated.emit(combo_box.currentIndex)
    panel.settle()


def terms(panel, vendor: str = "DICOM") -> dict[str, str]:
    """The lines of a card."""
    vendors, table = panel.ui.vendorComboBox, panel.ui.consoleTable
    vendors.setCurrentIndex(vendors.findText(vendor))
    vendors.activated.emit(vendors.currentIndex)
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}


def test_another_protocol_plans_another_box_from_the_same_points(planned):
    before = planned.calibration
    choose_protocol(planned, "BrainSagittal3D")
    assert planned.calibration.protocol.name == "BrainSagittal3D"
    assert planned.ui.boxComboBox.itemText(0) == "Sagittal 3D T1, 1 mm"
    assert len(planned.detection.calls) == 1
    planned.click(planned.ui.undoButton)
    assert planned.calibration is before
    assert planned.ui.protocolComboBox.itemData(planned.ui.protocolComboBox.currentIndex) == "BrainAcPc"


def test_the_protocol_chosen_first_is_the_one_that_is_planned(panel):
    panel.load()
    choose_protocol(panel, "BrainHippocampus")
    panel.calibrate()
    assert panel.detection.calls[0][0] == "BrainHippocampus"


def test_margins_are_shown_with_what_they_promise_and_can_be_changed(planned):
    plan = planned.calibration
    actual = margins_mm(plan.box, plan.frame, plan.protocol)
    assert planned.ui.leftMargin.value == pytest.approx(actual["left"], abs=0.05), "not the rule's smallest"
    assert planned.ui.leftCoverage.text.endswith("(assumed)"), "the fake model's deviations were never measured"
    left = planned.calibration.box.size_mm[0]
    planned.ui.leftMargin.setValue(12)
    planned.settle()
    assert planned.calibration.box.size_mm[0] == pytest.approx(left + 7)
    assert "covered" in planned.ui.leftCoverage.text
    assert planned.calibration.protocol.name == "BrainAcPcAdjusted"
    assert planned.current.study.scan_box.GetSize()[0] == pytest.approx(left + 7)
    planned.move("AC", [0, 3, 0])
    assert planned.ui.leftMargin.value == 12
    planned.click(planned.ui.undoButton)
    planned.click(planned.ui.undoButton)
    plan = planned.calibration
    actual = margins_mm(plan.box, plan.frame, plan.protocol)
    assert planned.ui.leftMargin.value == pytest.approx(actual["left"], abs=0.05), "not the rule's smallest"


def test_one_click_sets_the_margins_that_hold_95_percent_of_heads_and_can_be_undone(planned):
    proposed = proposed_margins_mm(planned.calibration)
    planned.click(planned.ui.safeMarginsButton)
    for face, margin in proposed.items():
        assert getattr(planned.ui, f"{face}Margin").value == pytest.approx(margin)
    assert planned.calibration.protocol.name == "BrainAcPcAdjusted"
    planned.click(planned.ui.undoButton)
    plan = planned.calibration
    actual = margins_mm(plan.box, plan.frame, plan.protocol)
    assert planned.ui.leftMargin.value == pytest.approx(actual["left"], abs=0.05), "not the rule's smallest"


def test_a_box_drawn_by_hand_stays_in_place_when_a_point_moves(planned):
    before = planned.calibration.box
    draw_box(planned, move_mm=(4, 0, 0), grow_mm=(10, 0, 0))
    drawn = planned.calibration.box
    assert drawn.size_mm[0] == pytest.approx(before.size_mm[0] + 10)
    assert planned.ui.leftMargin.value == pytest.approx(5 + 1, abs=0.1)
    assert planned.ui.rightMargin.value == pytest.approx(5 + 9, abs=0.1)
    planned.move("AC", [0, 0, 4])
    assert planned.calibration.box.size_mm[0] == pytest.approx(drawn.size_mm[0], abs=1)
    planned.click(planned.ui.undoButton)
    planned.click(planned.ui.undoButton)
    assert planned.calibration.box is before
    assert not planned.ui.undoButton.enabled


def test_back_to_the_protocol_forgets_the_adjustments(planned):
    assert not planned.ui.resetBoxButton.enabled
    assert planned.ui.resetBoxButton.toolTip == "The box already follows its protocol."
    before = planned.calibration.box
    draw_box(planned, grow_mm=(0, 20, 0))
    planned.click(planned.ui.resetBoxButton)
    assert planned.calibration.box.size_mm == pytest.approx(before.size_mm)
    assert planned.calibration.protocol.name == "BrainAcPc"


def listed(panel) -> list[str]:
    combo_box = panel.ui.protocolComboBox
    return [combo_box.itemText(row) for row in range(combo_box.count)]


def leave(panel, how: str) -> None:
    """Another patient follows."""
    if how == "closed scene":
        panel.app.scene.Clear(False)
    elif how == "deleted study":
        panel.app.scene.RemoveNode(panel.current.study.node)
    panel.settle()
    panel.load()


@pytest.mark.parametrize("how", ["closed scene", "deleted study", "new study"])
@pytest.mark.parametrize("start", ["calibrateButton", "byHandButton"])
def test_an_adjusted_box_is_not_planned_for_the_next_patient(planned, how, start):
    offered = listed(planned)
    planned.ui.leftMargin.setValue(40)
    planned.settle()
    assert planned.calibration.protocol.name == "BrainAcPcAdjusted"
    leave(planned, how)
    assert listed(planned) == offered
    assert planned.ui.protocolComboBox.itemData(planned.ui.protocolComboBox.currentIndex) == "BrainAcPc"
    planned.click(getattr(planned.ui, start))
    planned.wait()
    assert planned.calibration.protocol.name == "BrainAcPc"
    assert planned.ui.leftMargin.value < 20, "by hand the margin grows with the uncertainty, not to that of before"


def test_back_in_its_study_the_adjusted_box_is_there_again_and_can_be_reset(planned):
    first = planned.current.study.node
    planned.ui.leftMargin.setValue(40)
    planned.settle()
    planned.load()
    planned.calibrate()
    plan = planned.calibration
    actual = margins_mm(plan.box, plan.frame, plan.protocol)
    assert planned.ui.leftMargin.value == pytest.approx(actual["left"], abs=0.05), "not the rule's smallest"
    planned.ui.studySelector.setCurrentNode(first)
    planned.settle()
    assert planned.ui.leftMargin.value == 40
    planned.click(planned.ui.resetBoxButton)
    plan = planned.calibration
    actual = margins_mm(plan.box, plan.frame, plan.protocol)
    assert planned.ui.leftMargin.value == pytest.approx(actual["left"], abs=0.05), "not the rule's smallest"


def test_a_protocol_that_the_user_opened_stays_for_the_next_patient(planned, tmp_path):
    draw_box(planned, grow_mm=(0, 16, 0))
    path = tmp_path / "WideAdjusted.json"
    planned.app.dialogs.answer("QFileDialog.getSaveFileName", str(path))
    planned.click(planned.ui.saveProtocolButton)
    planned.app.dialogs.answer("QFileDialog.getOpenFileName", str(path))
    planned.click(planned.ui.protocolFileButton)
    leave(planned, "closed scene")
    assert planned.ui.protocolComboBox.itemData(planned.ui.protocolComboBox.currentIndex) == str(path)


def test_a_box_without_extent_is_told_and_the_plan_stays(planned):
    before = planned.calibration
    planned.current.study.scan_box.SetSize(0, 100, 100)
    planned.settle()
    assert "box without extent" in planned.ui.statusLabel.text
    assert planned.calibration is before


def test_a_box_is_saved_as_a_protocol_and_opened_again(planned, tmp_path):
    draw_box(planned, grow_mm=(0, 16, 0))
    drawn = planned.calibration.box
    planned.app.dialogs.answer("QFileDialog.getSaveFileName", str(tmp_path / "Wide.json"))
    planned.click(planned.ui.saveProtocolButton)
    assert (tmp_path / "Wide.json").is_file()
    choose_protocol(planned, "BrainAcPc")
    planned.app.dialogs.answer("QFileDialog.getOpenFileName", str(tmp_path / "Wide.json"))
    planned.click(planned.ui.protocolFileButton)
    assert planned.calibration.protocol.name == "Wide"
    assert planned.calibration.box.size_mm == pytest.approx(drawn.size_mm)


def test_a_protocol_name_that_cannot_be_is_refused_in_words(planned, tmp_path, caplog):
    planned.app.dialogs.answer("QFileDialog.getSaveFileName", str(tmp_path / "1 wide.json"))
    planned.click(planned.ui.saveProtocolButton)
    assert "is not a valid protocol name" in caplog.text
    assert list(tmp_path.glob("*.json")) == []


def test_a_damaged_protocol_file_is_refused_and_the_choice_stays(planned, tmp_path, caplog):
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    planned.app.dialogs.answer("QFileDialog.getOpenFileName", str(tmp_path / "bad.json"))
    planned.click(planned.ui.protocolFileButton)
    assert "bad.json" in caplog.text
    assert planned.calibration.protocol.name == "BrainAcPc"


def test_one_of_several_boxes_is_chosen(planned, tmp_path):
    import json

    from AutoVolumeCalibrationLib.core.files.resources import resource_path

    data = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    second = {**data["boxes"][0], "name": "Thin", "title": "Thin slices", "slice_thickness_mm": 1}
    data = {**data, "name": "Two", "boxes": [*data["boxes"], second]}
    (tmp_path / "Two.json").write_text(json.dumps(data), encoding="utf-8")
    planned.app.dialogs.answer("QFileDialog.getOpenFileName", str(tmp_path / "Two.json"))
    planned.click(planned.ui.protocolFileButton)
    planned.ui.boxComboBox.setCurrentIndex(1)
    planned.ui.boxComboBox.activated.emit(1)
    planned.settle()
    assert planned.calibration.box.name == "Thin"
    assert "1 mm" in terms(planned)["Slices"]
    draw_box(planned, grow_mm=(8, 0, 0))
    assert [rule.name for rule in planned.calibration.protocol.boxes] == ["AxialWholeBrain", "Thin"]
    assert planned.calibration.box.name == "Thin"


def copy(panel, field: str) -> str:
    """Press the button on the line of a field; gives what it copies."""
    table = panel.ui.consoleTable
    (row,) = [row for row in range(table.rowCount) if table.item(row, 0).text() == field]
    panel.click(table.cellWidget(row, 2))
    return slicer.app.clipboard().text()


@pytest.mark.parametrize("vendor", ["Siemens", "GE", "Philips"])
def test_the_card_of_each_vendor_is_shown_follows_and_is_copied_line_by_line(planned, vendor):
    from AutoVolumeCalibrationLib.core.planning.console.card import card_text
    from AutoVolumeCalibrationLib.core.planning.console.cards import console_cards

    before = terms(planned, vendor)
    (card,) = [card for card in console_cards(planned.calibration) if card.vendor == vendor]
    assert before == {line.label: line.typed for line in card.lines}
    assert card.evidence in planned.ui.consoleNotesLabel.text
    assert all(note in planned.ui.consoleNotesLabel.text for note in card.notes)
    line = card.lines[-1]
    assert copy(planned, line.label) == line.value
    assert line.source.split(";")[0][:20] in planned.ui.consoleTable.item(len(card.lines) - 1, 1).toolTip()
    planned.click(planned.ui.copyAllButton)
    assert slicer.app.clipboard().text() == card_text(card)
    planned.move("AC", [0, 3, 6])
    assert terms(planned, vendor) != before


def test_all_numbers_are_there_too(planned):
    lines = terms(planned, "DICOM")
    assert {"Centre", "Orientation", "DICOM IOP"} <= lines.keys()
    assert copy(planned, "Centre") == lines["Centre"]


def test_the_vendor_that_was_shown_last_is_shown_again(planned):
    terms(planned, "Philips")
    planned.app.scene.Clear(False)
    planned.settle()
    assert planned.ui.vendorComboBox.count == 0
    assert not planned.ui.copyAllButton.enabled
    planned.load()
    planned.calibrate()
    assert planned.ui.vendorComboBox.currentText == "Philips"


def test_the_numbers_follow_while_the_box_is_dragged_and_the_drag_is_one_step(planned):
    before, box = planned.calibration.box, planned.current.study.scan_box
    box.InvokeEvent(box.PointStartInteractionEvent)
    seen = set()
    for _ in range(4):
        draw_box(planned, grow_mm=(6, 0, 0))
        seen.add(planned.ui.boxLabel.text)
    box.InvokeEvent(box.PointEndInteractionEvent)
    planned.settle()
    assert len(seen) == 4
    assert planned.calibration.box.size_mm[0] == pytest.approx(before.size_mm[0] + 24)
    planned.click(planned.ui.undoButton)
    assert planned.calibration.box is before
