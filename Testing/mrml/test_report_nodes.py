"""Prescription and checks as nodes."""

from __future__ import annotations

import pytest

from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING, Check

pytest.importorskip("slicer")

from AutoVolumeCalibrationLib.mrml.report_nodes import rows_of, write_checks, write_prescription

CHECKS = (Check("tilt", ERROR, "only known to 6 deg: add slices"), Check("box", WARNING, "the left face, 7 mm"))


def test_checks_are_the_rows_of_a_table_and_are_replaced_in_place(scene):
    node = write_checks(scene, None, CHECKS, "S Checks")
    assert node.GetName() == "S Checks"
    assert rows_of(node) == [(check.name, check.level, check.message) for check in CHECKS]
    assert write_checks(scene, node, [Check("ready", OK, "fine")], "S Checks") is node
    assert rows_of(node) == [("ready", "ok", "fine")]
    assert [node.GetColumnName(number) for number in range(3)] == ["Check", "Level", "Message"]


def test_no_check_is_an_empty_table(scene):
    assert rows_of(write_checks(scene, None, (), "x")) == []


def test_the_same_reports_again_change_nothing(scene, plan):
    table, text = write_checks(scene, None, CHECKS, "c"), write_prescription(scene, None, plan.prescription, "p")
    events = []
    for node in (table, text):
        node.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    write_checks(scene, table, CHECKS, "c")
    write_prescription(scene, text, plan.prescription, "p")
    assert events == []


def test_what_a_saved_table_cannot_hold_is_written_plainly(scene):
    node = write_checks(scene, None, [Check("a\tb", OK, 'two\nlines and "quotes"')], "x")
    assert rows_of(node) == [("a b", "ok", "two lines and 'quotes'")]
