"""The picture of a calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING, Check
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.report import labels, slices
from AutoVolumeCalibrationLib.core.report.content import names_that_matter, points_to_check, worst_level
from AutoVolumeCalibrationLib.core.report.overview import SIZE_PX, draw_overview
from AutoVolumeCalibrationLib.core.report.panels import card_panels, plan_panels
from AutoVolumeCalibrationLib.core.report.sheet import Sheet, width_px, wrapped
from AutoVolumeCalibrationLib.core.report.slices import belongs_to, ellipse_of, section_in_picture, slice_offsets_mm
from AutoVolumeCalibrationLib.core.report.style import BOX, LEVEL_COLOURS, LEVEL_SIGNS, OUTLIER
from AutoVolumeCalibrationLib.core.report.views import view_slice
from calibrations import RULE, calibration, scout_stacks

#: Of a panel, pixels.
WIDTH = 500.0


def pixels_of_colour(path, colour, tolerance=0.05):
    image = np.asarray(Image.open(path).convert("RGB"), dtype=float) / 255
    return int((np.abs(image - to_rgb(colour)).max(axis=-1) < tolerance).sum())


def text_of(result):
    panels = [*plan_panels(result, WIDTH), *card_panels(result, WIDTH)]
    return " ".join("\n".join(panel.text for panel in panels).split())


def written(result, path, monkeypatch):
    """(text, its options) of every line that the picture writes outside its slices, and the names on the slices."""
    lines, names = [], []
    monkeypatch.setattr(Sheet, "write", lambda self, x, y, text, size, **options: lines.append((text, size, options)))
    text = slices.draw_text
    for module in (slices, labels):
        monkeypatch.setattr(module, "draw_text", lambda *a, **k: (names.append(a[2]), text(*a, **k)))
    draw_overview(result, path)
    return lines, names


def test_the_picture_is_a_png_of_the_stated_size_that_shows_the_box(tmp_path):
    path = tmp_path / "overview.png"
    draw_overview(calibration(), path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", SIZE_PX)
    assert pixels_of_colour(path, BOX) > 2000
    assert [file.name for file in tmp_path.iterdir()] == ["overview.png"]


def test_an_outlier_is_red_and_nothing_else_is(tmp_path):
    result = calibration()
    draw_overview(result, tmp_path / "outlier.png")
    frame = AnatomicalFrame(result.frame.origin_mm, result.frame.axes, 1.0, result.frame.covariance)
    draw_overview(replace(result, frame=frame), tmp_path / "none.png")
    legend = pixels_of_colour(tmp_path / "none.png", OUTLIER)
    assert pixels_of_colour(tmp_path / "outlier.png", OUTLIER) > 1.5 * legend


@pytest.mark.parametrize(
    "stacks",
    [
        scout_stacks(slices=1),
        scout_stacks(slices=2, planes=("sagittal", "axial")),
        scout_stacks(slices=9, planes=("coronal",)),
        scout_stacks(slices=3, rotation_deg=(25.0, -15.0, 20.0)),
    ],
    ids=["one slice a plane", "a plane missing", "one plane of many slices", "oblique"],
)
def test_all_kinds_of_scouts_are_drawn(stacks, tmp_path):
    draw_overview(calibration(stacks), tmp_path / "overview.png")
    assert pixels_of_colour(tmp_path / "overview.png", BOX) > 500


def test_a_calibration_by_hand_without_model_and_checks_is_drawn(tmp_path):
    result = calibration()
    bare = replace(result, model=None, checks=(), timings_s={}, landmarks=(), box=replace(result.box, face_sd_mm={}))
    draw_overview(bare, tmp_path / "overview.png")
    assert "no model" in text_of(bare)


def test_nothing_is_left_where_the_picture_cannot_be_written(tmp_path):
    with pytest.raises(UsageError, match="absent"):
        draw_overview(calibration(), tmp_path / "absent" / "overview.png")
    (tmp_path / "overview.png").mkdir()
    with pytest.raises(UsageError, match="folder"):
        draw_overview(calibration(), tmp_path / "overview.png")
    assert [file.name for file in tmp_path.iterdir()] == ["overview.png"]


def test_the_panels_say_what_a_technologist_needs():
    text = text_of(calibration(rotation_deg=(-6.0, 0.0, 0.0)))
    for expected in (
        "GENU is 5 mm off",
        "the head lies in the scouts",
        "GENU: contradicts the others",
        "pitch -6.0 ± 1.1°",
        "150 × 190 × 155 mm",
        "left 4",
        "6 of 7 found; corrected: PC; missing: TOP",
        "model TestModel on cpu, 1.5 s",
        "Siemens: Routine card",
        "GE: scan parameters",
        "Philips: ExamCard geometry",
        "Evidence:",
    ):
        assert expected in text, expected


def test_a_share_of_heads_is_stated_only_where_it_was_measured():
    result = calibration()
    assert "95 %" not in text_of(result) and "(assumed)" in text_of(result)
    measured = replace(coverage_of(RULE, ()), heads=15, cases=300)
    text = text_of(replace(result, model=replace(result.model, coverage=(measured,))))
    assert text.count("(95 %, measured on 15 people)") == 1 and "reach (95 %)" in text and "assumed" not in text


def test_a_finding_that_stands_alone_is_not_cut():
    words = " ".join(f"word{number}" for number in range(24))
    result = replace(calibration(), checks=(Check("ready", OK, words),))
    assert "word23" in text_of(result) and "..." not in text_of(result)


@pytest.mark.parametrize("level", [OK, WARNING, ERROR])
def test_the_heading_has_sign_words_and_colour_of_the_worst_level(level, tmp_path, monkeypatch):
    result = replace(calibration(), checks=(Check("coverage", OK, "fine"), Check("frame", level, "as it is")))
    (heading, size, options), *_ = written(result, tmp_path / "overview.png", monkeypatch)[0]
    words = {OK: "ready for review", WARNING: "review the warnings", ERROR: "Do not use"}
    assert heading.startswith(LEVEL_SIGNS[level]) and words[level] in heading
    assert options["colour"] == LEVEL_COLOURS[level] and size >= 20
    assert worst_level(result) == level


def test_errors_are_listed_before_warnings():
    result = calibration()
    bad = replace(result, checks=(*result.checks, Check("frame", ERROR, "two directions are not determined")))
    assert plan_panels(bad, WIDTH)[0].paragraphs[0].lines == ["two directions are not determined"]


def test_many_findings_are_counted_not_crammed():
    result = calibration()
    many = replace(result, checks=tuple(Check(f"check {i}", ERROR, "word " * 60) for i in range(20)))
    panel = plan_panels(many, WIDTH)[0]
    assert "and 18 more findings" in panel.text and panel.height_px < 250


def test_type_is_read_on_a_web_page(tmp_path, monkeypatch):
    """At README width the picture has half its size: nothing that matters is then smaller than 9 pixels."""
    lines, _ = written(calibration(), tmp_path / "overview.png", monkeypatch)
    shrink = 800 / SIZE_PX[0] * 100 / 72
    sizes = [size * shrink for text, size, options in lines if not text.isdigit()]
    assert np.median(sizes) > 8.5 and min(sizes) > 6.5


def test_the_line_and_its_ends_are_named_in_the_picture(tmp_path, monkeypatch):
    _, names = written(calibration(), tmp_path / "overview.png", monkeypatch)
    assert {"AC", "PC", "GENU"} <= set(names), "ends of the line, and the point that contradicts the others"
    assert not {"SPLE", "LEFT", "RIGHT"} & set(names), "the others are dots"


def test_points_to_check_come_with_their_reason():
    result = calibration()
    doubtful = replace(result.landmarks[0], confidence=0.2)
    result = replace(result, landmarks=(doubtful, *result.landmarks[1:]))
    assert [(group.names, group.reason) for group in points_to_check(result)] == [
        (("GENU",), "contradicts the others"),
        (("AC",), "not clearly visible"),
    ]
    assert names_that_matter(result) == ["AC", "PC", "GENU"]


def test_text_is_wrapped_by_its_measured_width():
    lines = wrapped("The anatomy may reach beyond the box, anterior 5.0 mm: move these faces out.", 13.0, 300.0)
    assert len(lines) > 1 and all(width_px(line, 13.0) <= 300 for line in lines)
    assert wrapped("HIPPOCAMPUS_TAIL_L", 13.0, 20.0) == ["HIPPOCAMPUS_TAIL_L"]
    assert wrapped("", 13.0, 100.0) == []
    assert wrapped("covered (95 %)", 13.0, 20.0)[-1] == "(95\N{NO-BREAK SPACE}%)"


def test_a_landmark_belongs_to_the_slices_near_it():
    (stack,) = scout_stacks(slices=3, planes=("axial",))  # 20 mm apart: each reaches 10 mm
    view = view_slice(stack, 1)

    def at(height, sd):
        return np.array([0.0, 0.0, height]), np.eye(3) * sd**2

    assert belongs_to(view, *at(9.0, 0.1))
    assert not belongs_to(view, *at(12.0, 0.1))
    assert belongs_to(view, *at(12.0, 3.0))
    assert not belongs_to(view, *at(18.0, 100.0))


def test_the_ellipse_shows_two_standard_deviations_in_the_slice():
    (stack,) = scout_stacks(slices=1, planes=("sagittal",))
    view = view_slice(stack, 0)  # picture right is posterior, up is superior
    long, short, angle = ellipse_of(view, np.diag([100.0, 9.0, 1.0]))
    assert (long, short) == (pytest.approx(12.0), pytest.approx(4.0))
    assert angle % 180 == pytest.approx(0.0)
    tilted = np.array([[1.0, 0, 0], [0, 5.0, -4.0], [0, -4.0, 5.0]])  # long towards posterior-superior
    assert ellipse_of(view, tilted)[2] % 180 == pytest.approx(45.0)


def test_the_prescribed_slices_are_spread_about_the_box_center():
    result = calibration()
    offsets, axis = slice_offsets_mm(result.prescription)
    np.testing.assert_allclose(np.abs(axis @ result.box.axes.T), [0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(offsets.mean(), result.box.center_mm @ axis)
    np.testing.assert_allclose(np.diff(offsets), 6.0)
    assert len(offsets) == result.prescription.slices


def test_the_outline_of_a_straight_box_is_drawn_at_its_size():
    result = calibration(rotation_deg=(0.0, 0.0, 0.0))
    (stack,) = scout_stacks(slices=1, planes=("coronal",))
    outline = section_in_picture(view_slice(stack, 0), result.box)
    np.testing.assert_allclose(np.ptp(outline, axis=0), [150.0, 155.0])
