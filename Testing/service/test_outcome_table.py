"""``batch.csv``: grows, holds numbers, and no formulas."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.planning.risk.finding import PlanRisk
from AutoVolumeCalibrationLib.core.storage.results import read_results
from AutoVolumeCalibrationLib.service.batch import table as tables
from AutoVolumeCalibrationLib.service.batch.table import COLUMNS, OutcomeTable, numbers, write_table
from AutoVolumeCalibrationLib.service.engine.outcome import Outcome
from calibrations import calibration


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rows_come_one_by_one_after_the_earlier_ones(tmp_path):
    path = tmp_path / "batch.csv"
    table = OutcomeTable(path, [Outcome("old", 0, "ok: fine")])
    assert [row["study"] for row in rows(path)] == ["old"]
    table.append(Outcome("b", 3, "cannot be read,\nreally"))
    assert [row["study"] for row in rows(path)] == ["old", "b"]
    assert rows(path)[1]["message"] == "cannot be read,\\nreally"
    write_table(path, [Outcome("a", 0, ""), Outcome("b", 3, "")])
    assert [row["study"] for row in rows(path)] == ["a", "b"]


def test_a_row_that_could_not_be_added_comes_with_the_next(tmp_path, monkeypatch):
    path = tmp_path / "batch.csv"
    table = OutcomeTable(path, [])

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError("a spreadsheet holds it")

    with monkeypatch.context() as patch:
        patch.setattr(tables, "open", refuse, raising=False)
        table.append(Outcome("a", 0, "ok"))
    table.append(Outcome("b", 0, "ok"))
    assert [row["study"] for row in rows(path)] == ["a", "b"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1"])
def test_no_text_is_a_formula(tmp_path, name):
    write_table(tmp_path / "batch.csv", [Outcome(name, 3, f"{name}: refused")])
    (row,) = rows(tmp_path / "batch.csv")
    for cell in (row["study"], row["message"]):
        assert cell.startswith("'")
        assert not cell.startswith(("=", "+", "-", "@", "\t"))


def test_a_plan_is_in_the_table_in_numbers(tmp_path):
    plan = replace(calibration(), risk=PlanRisk(0.0471, 0.1, 0.3))
    write_table(tmp_path / "batch.csv", [Outcome("a", 0, "ok", numbers(plan), 1.234), Outcome("b", 3, "no")])
    planned, refused = rows(tmp_path / "batch.csv")
    assert list(planned) == ["study", "exit_code", "message", *COLUMNS, "seconds"]
    assert float(planned["center_left_mm"]) == pytest.approx(plan.prescription.center_mm[0], abs=0.01)
    assert float(planned["angulation_rl_deg"]) == pytest.approx(plan.prescription.philips_angulation_deg[2], abs=0.01)
    assert float(planned["size_head_foot_mm"]) == pytest.approx(plan.box.size_mm[2], abs=0.01)
    assert planned["light"] == plan.checks[0].level
    assert planned["slices"] == str(plan.prescription.slices)
    assert planned["risk"] == "0.0471"
    assert planned["seconds"] == "1.23"
    assert all(refused[column] == "" for column in COLUMNS)


def test_a_plan_that_was_read_again_has_the_same_numbers(tmp_path):
    plan = replace(calibration(), risk=PlanRisk(0.0471, 0.1, 0.3))
    plan.save(tmp_path / "plan")
    assert numbers(read_results(tmp_path / "plan")) == pytest.approx(numbers(plan))


def test_a_model_that_states_no_risk_leaves_the_column_empty():
    assert numbers(calibration())["risk"] is None
