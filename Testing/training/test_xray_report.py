"""Numbers of the published tables, from errors whose measures are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from LandmarkTrainingLib.core.xray.xray_published import BENCHMARKS, METHODS, settings_of
from LandmarkTrainingLib.core.xray.xray_report import Part, measures, report, together

HEADS, CHESTS = BENCHMARKS["cephalometric"], BENCHMARKS["chest"]
ERRORS = np.array([[1.0, 2.0], [2.5, 4.5]])


def part(images, landmarks, errors, readers_apart=None, peaks=None):
    """Errors in tenths of a pixel's unit, as of heads."""
    errors = np.array(errors)
    peaks = np.ones(errors.shape) if peaks is None else np.array(peaks)
    return Part(images, landmarks, errors, 10 * errors, peaks, readers_apart)


def whole(parts, benchmark):
    facts = {"unit": benchmark.unit, "architecture": "unet", "parameters": 1_230_000, "step": 7, "matrix": 512}
    return {**facts, "annotator": None, "parts": {name: measures(part, benchmark) for name, part in parts.items()}}


def test_measures_are_those_worked_out_by_hand():
    measured = measures(part(("151", "152"), ("A", "B"), ERRORS), HEADS)
    assert measured["images"] == 2 and measured["points"] == 4
    assert measured["mean"] == pytest.approx(2.5)
    # squares of -1.5, -0.5, 0 and 2 are 6.5 together
    assert measured["sd"] == pytest.approx(np.sqrt(6.5 / 4))
    # an error of exactly 2 or 2.5 is within it
    assert measured["success"] == {"2": 0.5, "2.5": 0.75, "3": 0.75, "4": 0.75}
    assert measured["landmarks"] == {"A": 1.75, "B": 3.25}
    assert measured["errors"] == {"151": [1.0, 2.0], "152": [2.5, 4.5]}
    assert measured["pixels"] == {"mean": pytest.approx(25), "landmarks": {"A": 17.5, "B": 32.5}}
    assert "readers" not in measured


def test_a_point_that_nobody_placed_counts_nowhere():
    measured = measures(part(("151", "152"), ("A", "B"), [[1.0, np.nan], [2.5, np.nan]]), HEADS)
    assert measured["points"] == 2 and measured["mean"] == pytest.approx(1.75) and measured["success"]["2"] == 0.5
    assert measured["landmarks"] == {"A": 1.75, "B": None} and measured["errors"]["151"] == [1.0, None]


def test_errors_are_stated_in_units_of_the_distance_of_the_readers():
    apart = np.array([[20.0, 30.0], [20.0, 50.0]])  # mean 20 and 40 pixels; errors of 10, 20, 25 and 45
    measured = measures(part(("151", "152"), ("A", "B"), ERRORS, apart), HEADS)["readers"]
    assert measured["distance"] == pytest.approx(30) and measured["landmarks"] == {"A": 20, "B": 40}
    assert measured["ratio"] == pytest.approx(25 / 30)
    assert measured["within"] == 0.5, "10 of 20 and 20 of 40 pixels are, 25 of 20 and 45 of 40 are not"


def test_every_landmark_has_its_own_deviation_and_every_image_its_own_confidence():
    # Readers 20 sqrt(2) apart: a reader is 20 from the truth, twice as much is the keypoints' constant.
    apart = np.full((2, 2), 20 * np.sqrt(2))
    apart[:, 1] *= 10
    # Image 151: both off by their own constant. Image 152: far off.
    errors = np.array([[4.0, 40.0], [400.0, 4000.0]])
    doubtful = part(("151", "152"), ("A", "B"), errors, apart, [[0.9, 0.7], [0.2, 0.2]])
    measured = measures(doubtful, HEADS)["readers"]
    similarity = np.exp(-0.5)
    assert measured["similarity"] == pytest.approx(similarity / 2)
    # Right up to the threshold 0.60; the sure detection comes first, and half of the objects are found.
    assert measured["mean_average_precision"] == pytest.approx(3 / 10 * 51 / 101)
    reversed_peaks = part(("151", "152"), ("A", "B"), errors, apart, [[0.1, 0.1], [0.2, 0.2]])
    assert measures(reversed_peaks, HEADS)["readers"]["mean_average_precision"] == pytest.approx(3 / 10 * 51 / 101 / 2)


def test_the_report_shows_each_landmark_against_the_readers():
    apart = np.array([[20.0, 30.0], [20.0, 50.0]])
    text = report(whole({"test": part(("151", "152"), ("A", "B"), ERRORS, apart)}, HEADS), HEADS)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert ["A", "17.50", "20.00", "0.88"] in rows and ["B", "32.50", "40.00", "0.81"] in rows
    assert ["test", "30.00", "0.83", "50.00 %"] in [row[:4] for row in rows]


def test_several_splits_are_also_told_as_one_weighted_by_their_images():
    parts = {"test1": part(("151", "152"), ("A", "B"), ERRORS), "test2": part(("301",), ("A", "B"), np.zeros((1, 2)))}
    both = together(parts)["test1 + test2"]
    assert both.images == ("151", "152", "301") and measures(both, HEADS)["mean"] == pytest.approx(10 / 6)
    assert list(together({"test": parts["test1"]})) == ["test"]


def test_the_report_shows_the_table_in_the_units_of_the_benchmark():
    lines = report(whole({"test": part(("a", "b"), ("A", "B"), 2 * ERRORS)}, CHESTS), CHESTS).splitlines()
    (table,) = [line for line in lines if line.startswith("| test ")]
    assert [cell.strip() for cell in table.strip("|").split("|")] == [
        *("test", "2", "4", "5.00", "2.55", "25.00 %", "75.00 %", "100.00 %", "50.00")
    ]
    assert any("mean px" in line and "within 9 px" in line for line in lines) and "unet, 1.23 million" in lines[2]


@pytest.mark.parametrize("method", METHODS)
def test_every_published_network_has_settings_for_every_benchmark(method):
    for benchmark in BENCHMARKS.values():
        config = settings_of(method, benchmark)
        assert config.sigma_mm == 3.0 and config.steps == 100 * benchmark.learnt // 4
        assert config.options["stem"] in ((1,) if method in ("scn", "gu2net") else (1, 2, 4))
