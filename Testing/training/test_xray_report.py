"""Numbers of the published tables, from errors whose measures are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from LandmarkTrainingLib.core.xray.xray_published import BENCHMARKS, METHODS, settings_of
from LandmarkTrainingLib.core.xray.xray_report import Part, measures, report, together

HEADS, CHESTS = BENCHMARKS["cephalometric"], BENCHMARKS["chest"]
ERRORS = np.array([[1.0, 2.0], [2.5, 4.5]])


def whole(parts, benchmark):
    facts = {"unit": benchmark.unit, "architecture": "unet", "parameters": 1_230_000, "step": 7, "matrix": 512}
    return {**facts, "annotator": None, "parts": {name: measures(part, benchmark) for name, part in parts.items()}}


def test_measures_are_those_worked_out_by_hand():
    measured = measures(Part(("151", "152"), ("A", "B"), ERRORS), HEADS)
    assert measured["images"] == 2 and measured["points"] == 4
    assert measured["mean"] == pytest.approx(2.5)
    # squares of -1.5, -0.5, 0 and 2 are 6.5 together
    assert measured["sd"] == pytest.approx(np.sqrt(6.5 / 4))
    # an error of exactly 2 or 2.5 is within it
    assert measured["success"] == {"2": 0.5, "2.5": 0.75, "3": 0.75, "4": 0.75}
    assert measured["landmarks"] == {"A": 1.75, "B": 3.25}
    assert measured["errors"] == {"151": [1.0, 2.0], "152": [2.5, 4.5]}


def test_several_splits_are_also_told_as_one_weighted_by_their_images():
    parts = {"test1": Part(("151", "152"), ("A", "B"), ERRORS), "test2": Part(("301",), ("A", "B"), np.zeros((1, 2)))}
    both = together(parts)["test1 + test2"]
    assert both.images == ("151", "152", "301") and measures(both, HEADS)["mean"] == pytest.approx(10 / 6)
    assert list(together({"test": parts["test1"]})) == ["test"]


def test_the_report_shows_the_table_in_the_units_of_the_benchmark():
    lines = report(whole({"test": Part(("a", "b"), ("A", "B"), 2 * ERRORS)}, CHESTS), CHESTS).splitlines()
    (table,) = [line for line in lines if line.startswith("| test ")]
    assert [cell.strip() for cell in table.strip("|").split("|")] == [
        *("test", "2", "4", "5.00", "2.55", "25.00 %", "75.00 %", "100.00 %")
    ]
    assert any("mean px" in line and "within 9 px" in line for line in lines) and "unet, 1.23 million" in lines[2]


@pytest.mark.parametrize("method", METHODS)
def test_every_published_network_has_settings_for_every_benchmark(method):
    for benchmark in BENCHMARKS.values():
        config = settings_of(method, benchmark)
        assert config.sigma_mm == 3.0 and config.steps == 100 * benchmark.learnt // 4
        assert config.options["stem"] in ((1,) if method in ("scn", "gu2net") else (1, 2, 4))
