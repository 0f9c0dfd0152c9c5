"""How people's own lines lie against the axes of their bones."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.axis_lines import AxisLine, along_lines
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about
from joint_landmarks import joint_points
from LandmarkTrainingLib.core.reference_knees.own_lines import own_lines, turns_rad

CONDYLES = (("COND_POST_L",), ("COND_POST_R",))


@pytest.mark.parametrize(("axis", "about"), [("right", None), ("anterior", "right"), ("superior", "right")])
def test_the_turn_brings_the_axis_onto_the_line(axis, about):
    rng = np.random.default_rng(3)
    axes = rotation_about(rng.normal(size=3))
    places = {"A": np.zeros(3), "B": axes[["right", "anterior", "superior"].index(axis)] * 40 + rng.normal(0, 3, 3)}
    line = AxisLine(axis, (("A",), ("B",)), about)
    turn = turns_rad(axes, line, places)
    assert axes @ rotation_about(axes.T @ turn).T == pytest.approx(along_lines(axes, (line,), places))
    assert turn[["right", "anterior", "superior"].index(axis)] == pytest.approx(0, abs=1e-9)
    assert about is None or turn[1:] == pytest.approx(np.zeros(2), abs=1e-9)


def test_condyles_that_scatter_give_the_line_its_roll_and_yaw():
    """One condyle 2 mm up, back, or down and forward: of 50 mm about 2.3 deg, less what the fit follows."""
    protocol = load_protocol("KneeSagittal")
    names = protocol.constellation.names
    people = {}
    for number, (forward, up) in enumerate([(2, 0), (-2, 0), (0, 2), (0, -2)]):
        points = joint_points(protocol, "right", 4.0 * number)
        points[names.index("COND_POST_L")] += [0, forward, up]
        people[number] = [dict(zip(names, points, strict=True))]
    variations = {(each.axis, each.part): each for each in own_lines(protocol.constellation, people, "EMINENCE")}
    line = variations["right", "femur"]
    assert (line.line, line.heads, line.pitch_sd_deg) == (CONDYLES, 4, 0.0)
    expected = np.rad2deg(2 / 49.7) * np.sqrt(4 / 3 / 2)
    assert 0.5 * expected < line.roll_sd_deg < 1.2 * expected
    assert 0.5 * expected < line.yaw_sd_deg < 1.2 * expected
    # The neutral tibia's own plateau runs 0.3 mm up and 1.3 mm forward on 42 mm, which is part of it.
    assert variations["right", "tibia"].yaw_sd_deg == pytest.approx(1.7 * np.sqrt(4 / 3), abs=0.3)
