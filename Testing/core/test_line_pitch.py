"""How far an individual's own line may be pitched against the axes of the fitted typical head."""

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.constellation import LineVariation, constellation_from_dict
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.json_files import require_schema
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import OK
from AutoVolumeCalibrationLib.core.planning.checks.evidence import Evidence
from AutoVolumeCalibrationLib.core.planning.checks.plan_checks import run_checks
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import TWO_SIDED, coverage_of
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.protocol_editing import constellation_to_dict
from fake_models import blank_stacks
from posed_landmarks import landmarks_at, named, replaced

LARGE_DEG = 4.0


def with_pitch_sd(protocol: Protocol, degrees: float, line=None) -> Protocol:
    """The protocol with an anatomy that states this variation of its line, or of another one."""
    lines = (LineVariation(line or protocol.frame.line, degrees, 40),)
    return replace(protocol, constellation=replace(protocol.constellation, lines=lines))


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return with_pitch_sd(load_protocol("BrainAcPc"), LARGE_DEG)


def test_it_is_part_of_the_stated_pitch_of_the_line_and_of_nothing_else(protocol):
    marks = landmarks_at(protocol)
    frame, plain = fit_frame(marks, protocol), fit_frame(marks, with_pitch_sd(protocol, 0.0))
    added = frame.line_covariance - plain.covariance
    assert added[0, 0] == pytest.approx(np.deg2rad(LARGE_DEG) ** 2)
    added[0, 0] = 0
    assert np.abs(added).max() < 1e-12
    assert frame.covariance == pytest.approx(plain.covariance)
    assert frame.expected_covariance_mm2 == pytest.approx(plain.expected_covariance_mm2)
    rule = protocol.boxes[0]
    assert plan_box(frame, protocol, rule).face_sd_mm == pytest.approx(plan_box(plain, protocol, rule).face_sd_mm)


@pytest.mark.parametrize("name", ["AC", "PC"])
def test_it_is_gone_once_an_end_of_the_line_is_placed(protocol, name):
    marks = landmarks_at(protocol)
    placed = named(marks, name).corrected(named(marks, name).position_mm)
    frame = fit_frame(replaced(marks, placed), protocol)
    assert not frame.line_sd_rad.any() and frame.line_covariance == pytest.approx(frame.covariance)


def test_the_variation_of_another_line_says_nothing(protocol):
    other = with_pitch_sd(protocol, LARGE_DEG, (("SPLE",), ("GENU",)))
    assert not fit_frame(landmarks_at(protocol), other).line_sd_rad.any()


def test_the_printed_pitch_adds_it_in_quadrature(protocol):
    coverage = coverage_of(protocol.boxes[0], ())
    covariance = np.eye(6) * np.deg2rad(3.0) ** 2
    assert coverage.angles_deg(covariance, np.deg2rad([4.0, 0.0, 0.0])) == pytest.approx(
        np.array([5.0, 3.0, 3.0]) * TWO_SIDED
    )
    assert coverage.angles_deg(covariance) == pytest.approx(np.full(3, 3.0 * TWO_SIDED))


def test_what_no_slice_can_improve_raises_no_warning(protocol):
    """The tilt's check asks for slices or points: it judges how well the head's own axes are determined."""
    marks = landmarks_at(protocol)
    frame, rule = fit_frame(marks, protocol), protocol.boxes[0]
    evidence = Evidence(
        blank_stacks([-15.0, 0.0, 15.0]), marks, (), frame, plan_box(frame, protocol, rule), protocol, rule
    )
    assert [check.level for check in run_checks(evidence)] == [OK]


def test_files_keep_it(protocol):
    data = {
        "format": "AutoVolumeCalibration/anatomy/1",
        "name": "brain",
        **constellation_to_dict(protocol.constellation),
    }
    require_schema(json.loads(json.dumps(data)), "anatomy", "made", ProtocolError, "")
    assert constellation_from_dict(data, "made").lines == protocol.constellation.lines


def test_a_line_through_an_unknown_landmark_is_refused(protocol):
    data = constellation_to_dict(protocol.constellation)
    data["lines"][0]["from"] = ["NOSE"]
    with pytest.raises(ProtocolError, match="lines: NOSE not defined"):
        constellation_from_dict(data, "made")
