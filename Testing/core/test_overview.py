"""The picture of a calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.planning.checks import ERROR, Check
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.report.overview import SIZE_PX, draw_overview
from AutoVolumeCalibrationLib.core.report.slices import belongs_to, ellipse_of, section_in_picture, slice_offsets_mm
from AutoVolumeCalibrationLib.core.report.style import BOX, OUTLIER
from AutoVolumeCalibrationLib.core.report.text import panel_lines
from AutoVolumeCalibrationLib.core.report.views import view_slice
from calibrations import calibration, scout_stacks


def pixels_of_colour(path, colour, tolerance=0.05):
    image = np.asarray(Image.open(path).convert("RGB"), dtype=float) / 255
    return int((np.abs(image - to_rgb(colour)).max(axis=-1) < tolerance).sum())


def text_of(result):
    return "\n".join(line.text for line in panel_lines(result))


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


def test_the_panel_tells_what_a_technologist_needs():
    text = text_of(calibration(rotation_deg=(-6.0, 0.0, 0.0)))
    for expected in (
        "Planned, please review the warnings",
        "outliers: GENU is 5 mm off",
        "passed: coverage",
        "pitch -6.0 ± 1.1°",
        "size 150 × 190 × 155 mm",
        "left\N{NO-BREAK SPACE}4",
        "26 x 5 mm, gap 1 mm",
        "6 of 7 found, 1 corrected",
        "missing: TOP",
        "contradict the others: GENU",
        "model TestModel on cpu, 1.5 s",
    ):
        assert expected in text


def test_an_error_is_said_first():
    result = calibration()
    bad = replace(result, checks=(*result.checks, Check("frame", ERROR, "two directions are not determined")))
    lines = [line.text for line in panel_lines(bad)]
    assert lines[:2] == ["Do not use without review", "frame: two directions are not determined"]


def test_many_findings_are_counted_not_crammed():
    result = calibration()
    many = replace(result, checks=tuple(Check(f"check {i}", ERROR, "word " * 30) for i in range(20)))
    assert "and 13 more findings" in text_of(many)


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
