"""The line that the box follows, on the slices of the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.report.content import reference_line
from AutoVolumeCalibrationLib.core.report.reference_line import common_name, draw_reference_line, line_ends
from AutoVolumeCalibrationLib.core.report.slices import section_in_picture
from AutoVolumeCalibrationLib.core.report.views import view_slice
from calibrations import PLACES, RULE, calibration, scout_stacks

STRAIGHT = (0.0, 0.0, 0.0)


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def drawn(axes, result, plane, slices=1, index=0):
    (stack,) = scout_stacks(slices=slices, planes=(plane,))
    view = view_slice(stack, index)
    return draw_reference_line(axes, view, line_ends(result), section_in_picture(view, result.box))


def test_the_line_of_the_protocol_runs_from_pc_to_ac():
    start, end = line_ends(calibration(rotation_deg=STRAIGHT))
    assert (start.name, end.name) == ("PC", "AC")
    np.testing.assert_allclose([start.position_mm, end.position_mm], [PLACES["PC"], PLACES["AC"]])


def test_a_box_with_a_line_of_its_own_shows_that_one():
    result = calibration(rotation_deg=STRAIGHT)
    rule = replace(RULE, line=(("SPLE",), ("LEFT", "RIGHT")))
    result = replace(result, protocol=replace(result.protocol, boxes=(rule,)))
    assert reference_line(result) == (("SPLE",), ("LEFT", "RIGHT"))
    start, end = line_ends(result)
    assert start.landmark == "SPLE" and end.landmark is None
    np.testing.assert_allclose(end.position_mm, (0.0, -15.0, 5.0))


def test_a_missing_end_is_where_the_others_expect_it():
    result = calibration(rotation_deg=STRAIGHT)
    result = replace(result, landmarks=tuple(Landmark(m.name) if m.name == "AC" else m for m in result.landmarks))
    np.testing.assert_allclose(line_ends(result)[1].position_mm, PLACES["AC"])
    frame = AnatomicalFrame(result.frame.origin_mm, result.frame.axes, 1.0, result.frame.covariance)
    assert line_ends(replace(result, frame=frame)) is None


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (("AC",), "AC"),
        (("HIPPOCAMPUS_TAIL_L", "HIPPOCAMPUS_TAIL_R"), "HIPPOCAMPUS_TAIL"),
        (("RIGO", "LIGO"), "RIGO + LIGO"),
    ],
)
def test_several_landmarks_have_one_name(names, name):
    assert common_name(names) == name


def test_the_line_is_drawn_along_the_box_and_dotted_beyond_its_ends(axes):
    along = drawn(axes, calibration(rotation_deg=STRAIGHT), "sagittal")
    # Picture right is posterior: AC at 0, PC at 28, the box from -85 to 105.
    np.testing.assert_allclose(along[:, 1], 0.0, atol=1e-9)
    np.testing.assert_allclose([along[:, 0].min(), along[:, 0].max()], [-85.0, 105.0])
    solid, dotted = axes.lines[:2]
    np.testing.assert_allclose(sorted(solid.get_xdata()), [0.0, 28.0], atol=1e-9)
    assert solid.get_linestyle() == "-" and dotted.get_linestyle() != "-"


def test_slices_that_see_the_line_from_its_end_or_from_far_leave_it_out(axes):
    result = calibration(rotation_deg=STRAIGHT)
    assert len(drawn(axes, result, "coronal")) == 0
    assert len(drawn(axes, result, "sagittal", slices=5, index=0)) == 0, "40 mm beside it"
    assert not axes.lines


def test_an_end_beside_the_slice_is_a_ring(axes):
    result = calibration(rotation_deg=STRAIGHT)
    on_slice = len(drawn(axes, result, "sagittal")) and len(axes.lines)
    moved = tuple(
        replace(m, position_mm=m.position_mm + [15.0, 0, 0]) if m.name == "AC" else m for m in result.landmarks
    )
    drawn(axes, replace(result, landmarks=moved), "sagittal")
    assert len(axes.lines) == 2 * on_slice + 1
