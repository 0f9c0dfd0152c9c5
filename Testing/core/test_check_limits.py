"""Each border of the quality gate, from both sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, WARNING
from AutoVolumeCalibrationLib.core.planning.checks.evidence import Evidence
from AutoVolumeCalibrationLib.core.planning.checks.plan_checks import run_checks
from AutoVolumeCalibrationLib.core.planning.checks.scout_checks import scout_checks
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from fake_models import blank_stacks
from posed_landmarks import landmarks_at, named, replaced

PROTOCOL = load_protocol("BrainAcPc")
NAMES = PROTOCOL.constellation.names


@pytest.fixture(scope="module")
def clear() -> Evidence:
    """A study that passes every check."""
    marks, rule = landmarks_at(PROTOCOL), PROTOCOL.boxes[0]
    frame = fit_frame(marks, PROTOCOL)
    return Evidence(blank_stacks([-15.0, 0.0, 15.0]), marks, (), frame, plan_box(frame, PROTOCOL, rule), PROTOCOL, rule)


def level(evidence: Evidence, name: str) -> str | None:
    return {check.name: check.level for check in run_checks(evidence)}.get(name)


def with_frame(evidence: Evidence, **changes) -> Evidence:
    return replace(evidence, frame=replace(evidence.frame, **changes))


@pytest.mark.parametrize(("typical_mm", "expected"), [(3.9, None), (4.1, WARNING), (5.1, WARNING), (5.3, ERROR)])
def test_points_lie_as_in_a_head_up_to_4_mm_and_are_none_beyond_5_2(clear, typical_mm, expected):
    assert level(with_frame(clear, residuals_mm=dict.fromkeys(NAMES, typical_mm)), "shape") == expected


def test_the_median_of_the_distances_counts_not_their_largest(clear):
    residuals = {name: 30.0 if i < len(NAMES) // 2 else 1.0 for i, name in enumerate(NAMES)}
    assert level(with_frame(clear, residuals_mm=residuals), "shape") is None


@pytest.mark.parametrize(("sd_mm", "expected"), [(4.9, None), (5.1, WARNING), (9.9, WARNING), (10.1, ERROR)])
def test_a_face_is_known_to_5_mm_and_unknown_beyond_10(clear, sd_mm, expected):
    sds = {**dict.fromkeys(FACES, 1.0), "anterior": sd_mm}
    assert level(replace(clear, box=replace(clear.box, face_sd_mm=sds)), "box") == expected


@pytest.mark.parametrize(("sd_deg", "expected"), [(2.4, None), (2.6, WARNING), (4.9, WARNING), (5.1, ERROR)])
def test_a_tilt_is_known_to_2_5_degrees_and_unknown_beyond_5(clear, sd_deg, expected):
    covariance = np.diag([1e-6, np.deg2rad(sd_deg) ** 2, 1e-6, 400.0, 400.0, 400.0])
    assert level(with_frame(clear, covariance=covariance), "tilt") == expected


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (0.64, ERROR),
        (0.66, WARNING),
        (0.81, WARNING),
        (0.83, None),
        (1.17, None),
        (1.19, WARNING),
        (1.34, WARNING),
        (1.36, ERROR),
    ],
)
def test_a_head_is_usual_within_18_and_possible_within_35_percent(clear, scale, expected):
    assert level(with_frame(clear, scale=scale), "size") == expected


@pytest.mark.parametrize(("count", "expected"), [(5, None), (6, WARNING), (15, WARNING), (16, ERROR)])
@pytest.mark.parametrize("what", ["outliers", "planes disagree"])
def test_12_percent_may_contradict_and_34_are_too_many(clear, what, count, expected):
    """Of 45 landmarks: 5.4 and 15.3."""
    assert len(NAMES) == 45
    changed = (
        with_frame(clear, outliers=NAMES[:count]) if what == "outliers" else replace(clear, disagreeing=NAMES[:count])
    )
    assert level(changed, what) == expected


def test_the_part_that_contradicts_is_of_those_found(clear):
    """6 of 45 are a warning, 3 of 22 too."""
    marks = [mark if i < 22 else Landmark(mark.name) for i, mark in enumerate(clear.landmarks)]
    assert level(replace(clear, landmarks=marks, disagreeing=NAMES[:3]), "planes disagree") == WARNING
    assert level(replace(clear, landmarks=marks, disagreeing=NAMES[:2]), "planes disagree") is None


@pytest.mark.parametrize(("found", "expected"), [(23, None), (22, WARNING), (10, WARNING), (8, ERROR)])
def test_half_of_the_landmarks_should_be_found_and_a_fifth_must(clear, found, expected):
    """Of 45: 22.5 and 9."""
    marks = [mark if i < found else Landmark(mark.name) for i, mark in enumerate(clear.landmarks)]
    assert level(replace(clear, landmarks=marks), "landmarks") == expected


@pytest.mark.parametrize(("confidence", "expected"), [(0.34, WARNING), (0.36, None)])
def test_an_end_of_the_reference_line_is_doubtful_below_0_35(clear, confidence, expected):
    doubtful = replace(named(clear.landmarks, "PC"), confidence=confidence)
    assert level(replace(clear, landmarks=replaced(clear.landmarks, doubtful)), "reference line") == expected


@pytest.mark.parametrize(("angle_deg", "expected"), [(29.5, None), (30.5, WARNING)])
def test_a_slice_may_be_30_degrees_oblique(clear, angle_deg, expected):
    turn = Rotation.from_euler("z", angle_deg, degrees=True).as_matrix()
    assert level(with_frame(clear, axes=turn), "oblique") == expected


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_placed_point_may_lie_2_mm_and_three_spreads_off(clear, sign):
    spread = np.linalg.norm(PROTOCOL.constellation.landmarks[0].sd_mm)
    first = clear.landmarks[0].corrected(clear.landmarks[0].position_mm)
    placed = replace(clear, landmarks=replaced(clear.landmarks, first))
    residuals = {**clear.frame.residuals_mm, first.name: 2.0 + 3.0 * spread + sign * 0.05}
    assert level(with_frame(placed, residuals_mm=residuals), "placed points") == (WARNING if sign > 0 else None)


def levels_of_images(pixels: np.ndarray) -> list[str]:
    """Names of the findings about three stacks of which the coronal one shows these pixels."""
    stacks = blank_stacks([-15.0, 0.0, 15.0])
    changed = tuple(replace(s, pixels=pixels.astype(np.float32)) for s in stacks[1].slices)
    return [check.name for check in scout_checks([stacks[0], ScoutStack("coronal", changed), stacks[2]])]


def test_an_image_too_small_to_be_judged_counts_as_anatomy():
    """Blocks of four pixels, of every second one, need seven a side."""
    assert levels_of_images(np.random.default_rng(0).normal(0, 10, (6, 6))) == []
    assert levels_of_images(np.full((6, 6), 5.0)) == ["empty plane"]


@pytest.mark.parametrize(("part", "empty"), [(0.3, True), (0.8, False)])
def test_an_image_is_empty_where_less_than_half_of_what_varies_does_so_over_blocks(part, empty):
    """Stripes as wide as many blocks, with noise: of the spread ``part`` is the stripes'."""
    rng = np.random.default_rng(0)
    stripes = np.where(np.arange(128) // 32 % 2, 1.0, -1.0) * np.ones((128, 1))
    assert (
        "empty plane" in levels_of_images(part * stripes + np.sqrt(1 - part**2) * rng.normal(size=(128, 128)))
    ) == empty


def test_an_image_that_varies_by_a_millionth_shows_nothing():
    stripes = np.where(np.arange(64) // 16 % 2, 1.0, 0.0) * np.ones((64, 1))
    assert levels_of_images(1000 + 1e-4 * stripes) == ["empty plane"]
    assert levels_of_images(1e-4 * stripes) == []


def test_absent_planes_are_named_together_and_single_slices_by_plane():
    many, one = blank_stacks([-15.0, 0.0, 15.0]), blank_stacks([0.0])
    (only,) = scout_checks(many[:1])
    assert only.level == WARNING and "coronal" in only.message and "axial" in only.message
    (single,) = scout_checks([one[0], many[1], one[2]])
    assert single.level == WARNING and "sagittal" in single.message and "axial" in single.message
    assert "coronal" not in single.message
