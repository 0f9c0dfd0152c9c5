"""How far an individual's own lines may be rotated against the axes of a joint's part."""

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.constellation import LineVariation, constellation_from_dict
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.json_files import require_schema
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import TWO_SIDED, coverage_of
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.protocol_editing import constellation_to_dict
from joint_landmarks import joint_landmarks
from posed_landmarks import named, replaced

CONDYLES = (("COND_POST_L",), ("COND_POST_R",))
SHAFT = (("FEMUR_SHAFT_LOW",), ("FEMUR_SHAFT_HIGH",))
LINES = (
    LineVariation(CONDYLES, 0.0, 18, 1.5, 2.5, "right", "femur"),
    LineVariation(SHAFT, 2.0, 18, 7.0, 0.0, "superior", "femur"),
    LineVariation(CONDYLES, 0.0, 18, 9.0, 9.0, "right", "tibia"),
)


@pytest.fixture(scope="module")
def knee():
    protocol = load_protocol("KneeSagittal")
    return replace(protocol, constellation=replace(protocol.constellation, lines=LINES))


def frame_of(knee, changes=()):
    marks = joint_landmarks(knee, "right", 5.0)
    for name in changes:
        marks = replaced(marks, named(marks, name).corrected(named(marks, name).position_mm))
    return fit_frame(marks, knee)


def test_the_first_line_turns_about_two_axes_and_the_second_about_the_first_ones(knee):
    frame = frame_of(knee)
    assert np.rad2deg(frame.line_sd_rad) == pytest.approx([2.0, 1.5, 2.5]), "not the 7 deg of the shaft's roll"
    added = frame.line_covariance - frame.covariance
    assert np.diagonal(added)[:3] == pytest.approx(frame.line_sd_rad**2) and np.abs(added[3:]).max() == 0


def test_the_printed_angles_add_it(knee):
    frame, coverage = frame_of(knee), coverage_of(knee.boxes[0], ())
    plain, own = coverage.angles_deg(frame.covariance), coverage.angles_deg(frame.covariance, frame.line_sd_rad)
    assert own**2 - plain**2 == pytest.approx((TWO_SIDED * np.array([2.0, 1.5, 2.5])) ** 2)


def test_it_is_gone_once_the_axes_follow_the_placed_lines(knee):
    assert not frame_of(knee, ["COND_POST_L"]).line_sd_rad.any()


@pytest.mark.parametrize("follows", [{"femur": 0.5, "tibia": 0.5}, {"patella": 1.0}])
def test_nothing_is_stated_of_axes_that_nobody_measured(knee, follows):
    assert not frame_of(replace(knee, frame=replace(knee.frame, follows=follows))).line_sd_rad.any()


def test_files_keep_it(knee):
    data = {
        "format": "AutoVolumeCalibration/anatomy/1",
        "name": "knee",
        **constellation_to_dict(knee.constellation),
    }
    require_schema(json.loads(json.dumps(data)), "anatomy", "made", ProtocolError, "")
    assert constellation_from_dict(data, "made").lines == LINES


def test_the_shipped_knee_states_the_scatter_of_its_lines():
    """Two condyles about 50 mm apart, each within a millimetre or so among people: one to three degrees."""
    for name in ("KneeSagittal", "KneeCoronal", "KneeAxial"):
        sd_deg = np.rad2deg(fit_frame(joint_landmarks(load_protocol(name), "right"), load_protocol(name)).line_sd_rad)
        assert ((sd_deg[1:] > 0.5) & (sd_deg[1:] < 4.0)).all(), name
