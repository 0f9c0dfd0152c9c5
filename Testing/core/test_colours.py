"""Colours that carry a meaning stay apart for people with red, green or blue blindness."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.font_manager import FontProperties, findfont, get_font

from AutoVolumeCalibrationLib.core.report import style
from benchmarks.limits_of_scouts.figures import FLAGS, OUTCOMES
from colour_vision import VISION, seen_distance

ROOT = Path(__file__).resolve().parents[2]

#: The palette of Okabe and Ito has 16 at the least among the colours that are used here; green and red of traffic
#: lights (#3fb950, #ff5a5f) have 1.
LEAST_DISTANCE = 15.0

#: Picture -> the colours in it that must not be mixed up.
MEANINGS = {
    "levels of the checks": tuple(style.LEVEL_COLOURS.values()),
    "overview and failures": (
        style.BOX,
        style.REFERENCE_LINE,
        style.EXPECTED,
        style.OUTLIER,
        style.CORRECTED_MARK,
        style.confidence_colour(0.0),
        style.confidence_colour(1.0),
    ),
    "planned and reference box": (style.BOX, style.REFERENCE_BOX),
    "outcomes of the benchmark": tuple(outcome.colour for outcome in OUTCOMES.values()),
    "outcomes where there is no head": tuple(outcome.colour for outcome in FLAGS.values()),
    "lines of a chart": tuple(colour for colour, _ in style.SERIES),
}


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("picture", MEANINGS)
def test_the_colours_of_a_picture_stay_apart(picture, vision):
    for first, second in combinations(MEANINGS[picture], 2):
        assert seen_distance(first, second, vision) >= LEAST_DISTANCE, (first, second)


def test_the_simulation_finds_what_red_green_blind_people_confuse():
    assert seen_distance("#3fb950", "#ff5a5f", "deuteranopia") < 2
    assert seen_distance("#3fb950", "#ff5a5f", "normal") > 100
    for vision, matrix in VISION.items():
        assert matrix.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5), f"{vision}: white stays white"


def test_colour_never_stands_alone():
    assert len(set(style.LEVEL_SIGNS.values())) == len(set(style.LEVEL_WORDS.values())) == 3
    assert len({marker for _, marker in style.SERIES}) == len(style.SERIES)
    for outcomes in (OUTCOMES, FLAGS):
        bad = [outcome.hatch for name, outcome in outcomes.items() if "wrong" in name or name == "not flagged"]
        good = [outcome.hatch for name, outcome in outcomes.items() if name.startswith(("right", "called"))]
        assert all(bad) and len(set(bad)) == len(bad) and not set(bad) & set(good)


def test_the_signs_are_in_the_font_of_the_pictures():
    glyphs = get_font(findfont(FontProperties(family=style.FONT))).get_charmap()
    assert all(ord(sign) in glyphs for sign in style.LEVEL_SIGNS.values())


def test_charts_take_their_colours_from_one_place():
    """A colour chosen anywhere else is never measured."""
    folders = (
        "AutoVolumeCalibration/AutoVolumeCalibrationLib",
        "LandmarkTraining/LandmarkTrainingLib",
        "Testing/benchmarks",
    )
    found = []
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "matplotlib" in text and path.name != "style.py":
            found += [
                f"{path.name}: {match}" for match in re.findall(r"[\"'](?:#[0-9a-fA-F]{6}|tab:\w+|C\d)[\"']", text)
            ]
    assert not found
