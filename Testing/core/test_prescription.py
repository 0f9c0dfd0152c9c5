"""A box in scanner terms and DICOM geometry, and the way back."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, box_rule, tilted_axes
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.prescription import (
    box_from_dicom_geometry,
    prescribe,
    prescription_from_dict,
)
from AutoVolumeCalibrationLib.core.planning.scanner_conventions import (
    base_orientation,
    philips_angulation_deg,
    siemens_in_plane_deg,
    siemens_normal,
    siemens_oblique_text,
    siemens_phase_and_read,
)
from scanner_terms import box_from_prescription, philips_axes

PROTOCOLS = ["BrainAcPc", "BrainCoronalAcPc", "BrainSagittal3D"]
LETTER_AXIS = {"S": 0, "C": 1, "T": 2}


def rule_of(protocol: str, **changes):
    return replace(box_rule(load_protocol(protocol)), **changes)


def turned_box(seed: int, limit_deg: float, rule) -> OrientedBox:
    """A box somewhere, turned by up to ``limit_deg``, that holds whole slices."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    rotation = Rotation.from_rotvec(direction / np.linalg.norm(direction) * rng.uniform(0, limit_deg), degrees=True)
    size = rng.uniform(100, 250, 3)
    size[BOX_AXES.index(rule.slice_axis)] = rule.slab_mm(int(rng.integers(1, 60)))
    return OrientedBox("box", rng.normal(0, 40, 3), rotation.as_matrix(), size)


def straight_box(tilt=(0, 0, 0), center=(0, 0, 0)) -> OrientedBox:
    return OrientedBox("box", np.array(center, float), tilted_axes(np.eye(3), tilt), np.array([150.0, 180.0, 141.0]))


def assert_same_box(a: OrientedBox, b: OrientedBox, tolerance: float = 1e-6) -> None:
    assert a.center_mm == pytest.approx(b.center_mm, abs=tolerance)
    assert a.axes == pytest.approx(b.axes, abs=tolerance)
    assert a.size_mm == pytest.approx(b.size_mm, abs=tolerance)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(25))
def test_a_prescription_gives_its_box_again(protocol, seed):
    rule = rule_of(protocol, gap_mm=0.5 * (seed % 3))
    box = turned_box(seed, 85, rule)
    assert_same_box(box_from_prescription(prescribe(box, rule)), box)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(25))
def test_dicom_positions_give_the_box_again(protocol, seed):
    rule = rule_of(protocol, gap_mm=0.5 * (seed % 3))
    box = turned_box(seed, 85, rule)
    p = prescribe(box, rule)
    fov = {
        "superior": (box.size_mm[0], box.size_mm[1]),
        "anterior": (box.size_mm[0], box.size_mm[2]),
        "right": (box.size_mm[1], box.size_mm[2]),
    }[rule.slice_axis]
    again = box_from_dicom_geometry(
        p.image_orientation_patient,
        p.first_position_mm,
        p.last_position_mm,
        fov,
        p.slice_thickness_mm,
        slice_axis=rule.slice_axis,
        name="box",
    )
    # A slab turned by more than 45 deg in its plane may exchange the names of its in-plane axes.
    corners, expected = again.corners_mm(), box.corners_mm()
    nearest = np.linalg.norm(corners[:, None] - expected[None], axis=2).min(axis=1)
    assert nearest == pytest.approx(np.zeros(8), abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_pixel_centres_lie_half_a_pixel_inside(seed):
    rule = rule_of("BrainAcPc")
    box = turned_box(seed, 30, rule)
    p = prescribe(box, rule)
    row, column = np.reshape(p.image_orientation_patient, (2, 3))
    pixel = (box.size_mm[0] / 192, box.size_mm[1] / 256)
    shift = pixel[0] / 2 * row + pixel[1] / 2 * column
    again = box_from_dicom_geometry(
        p.image_orientation_patient,
        p.first_position_mm + shift,
        p.last_position_mm + shift,
        (box.size_mm[0], box.size_mm[1]),
        p.slice_thickness_mm,
        pixel_mm=pixel,
        name="box",
    )
    assert_same_box(again, box)


def test_a_stack_of_axial_slices_runs_left_posterior_and_up():
    p = prescribe(straight_box(center=(10, 20, 30)), rule_of("BrainAcPc"))
    assert p.image_orientation_patient == pytest.approx((1, 0, 0, 0, 1, 0))
    assert p.center_mm == pytest.approx((-10, -20, 30))
    assert p.slices == 47
    # Right anterior corner, 69 mm below and above the middle.
    assert p.first_position_mm == pytest.approx((-85, -110, -39))
    assert p.last_position_mm == pytest.approx((-85, -110, 99))


@pytest.mark.parametrize(
    ("protocol", "rows_columns", "orientation"),
    [
        ("BrainCoronalAcPc", (1, 0, 0, 0, 0, -1), "coronal"),
        ("BrainSagittal3D", (0, 1, 0, 0, 0, -1), "sagittal"),
    ],
)
def test_other_planes_are_seen_as_usual(protocol, rows_columns, orientation):
    p = prescribe(straight_box(), rule_of(protocol))
    assert p.image_orientation_patient == pytest.approx(rows_columns)
    assert p.base_orientation == orientation
    along = np.subtract(p.last_position_mm, p.first_position_mm)
    assert along @ np.cross(rows_columns[:3], rows_columns[3:]) > 0


def test_a_rule_that_does_not_round_prescribes_slices_that_cover_the_box():
    rule = rule_of("BrainAcPc", round_up_to_slices=False)
    box = OrientedBox("box", np.zeros(3), np.eye(3), np.array([150.0, 180.0, 139.5]))
    p = prescribe(box, rule)
    assert p.slices == 47
    assert box_from_prescription(p).size_mm[2] == pytest.approx(141)


@pytest.mark.parametrize(
    ("normal", "orientation"),
    [
        ((1, 0, 0), 0),
        ((0, -1, 0), 1),
        ((0, 0, 1), 2),
        ((1, 1, 1), 2),
        ((1, 1, 0), 1),
        ((1, 0, 1), 2),
        ((0, 1, 1), 2),
        ((0.9, 0.5, 0.5), 0),
        ((1 + 1e-7, 1, 0), 1),
        ((1 + 1e-5, 1, 0), 0),
    ],
)
def test_ties_go_to_transverse_then_coronal(normal, orientation):
    assert base_orientation(np.array(normal)) == orientation


@pytest.mark.parametrize(
    ("normal", "phase", "read"),
    [((0, 0, 1), (0, 1, 0), (-1, 0, 0)), ((0, 1, 0), (1, 0, 0), (0, 0, -1)), ((1, 0, 0), (0, 1, 0), (0, 0, 1))],
)
def test_unrotated_phase_and_read_of_the_three_planes(normal, phase, read):
    found_phase, found_read = siemens_phase_and_read(np.array(normal, float), 0.0)
    assert found_phase == pytest.approx(phase)
    assert found_read == pytest.approx(read)


@pytest.mark.parametrize("seed", range(50))
def test_the_in_plane_rotation_is_found_again(seed):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=3)
    normal = siemens_normal(normal / np.linalg.norm(normal))
    angle = rng.uniform(-44.9, 134.9)
    phase, read = siemens_phase_and_read(normal, angle)
    assert siemens_in_plane_deg(normal, phase) == pytest.approx(angle)
    assert siemens_in_plane_deg(normal, -phase) == pytest.approx(angle)
    assert np.array([normal, phase, read]) @ np.array([normal, phase, read]).T == pytest.approx(np.eye(3))


def test_phase_from_right_to_left_is_a_quarter_turn_of_an_axial_stack():
    p = prescribe(straight_box(), rule_of("BrainAcPc", phase_axis="right"))
    assert p.in_plane_deg == pytest.approx(90)
    assert p.phase_direction == "R >> L"
    assert (p.fov_read_mm, p.fov_phase_mm) == (180, 150)
    p = prescribe(straight_box(), rule_of("BrainAcPc", phase_axis="anterior"))
    assert p.in_plane_deg == pytest.approx(0)
    assert p.phase_direction == "A >> P"
    assert (p.fov_read_mm, p.fov_phase_mm) == (150, 180)


def test_a_small_turn_of_the_head_moves_the_in_plane_angle_little():
    angles = [prescribe(straight_box((0, 0, yaw)), rule_of("BrainAcPc")).in_plane_deg for yaw in (-3, 3)]
    assert max(angles) - min(angles) == pytest.approx(6)


def normal_from_text(text: str) -> np.ndarray:
    """The normal that a double-oblique text means, as its definition says."""
    base, *tilts = text.split(" > ")
    normal = np.eye(3)[LETTER_AXIS[base]]
    for tilt in tilts:
        letter, angle = tilt.split()
        radians = math.radians(float(angle))
        normal = math.cos(radians) * normal - math.sin(radians) * np.eye(3)[LETTER_AXIS[letter]]
    return normal


@pytest.mark.parametrize("seed", range(40))
def test_the_double_oblique_text_gives_the_normal(seed):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=3)
    normal = siemens_normal(normal / np.linalg.norm(normal))
    text = siemens_oblique_text(normal)
    assert re.fullmatch(r"[SCT]( > [SCT] -?\d+\.\d){0,2}", text)
    assert normal_from_text(text) @ normal > math.cos(math.radians(0.15))


def test_an_axial_slice_with_its_front_raised_reads_transverse_to_coronal():
    assert siemens_oblique_text(swap_ras_lps(straight_box((12.3, 0, 0)).axes[2])) == "T > C -12.3"
    assert siemens_oblique_text(np.array([0.0, 0.0, 1.0])) == "T"


@pytest.mark.parametrize("seed", range(40))
def test_philips_angulations_are_found_again(seed):
    rng = np.random.default_rng(seed)
    angles = tuple(rng.uniform(-80, 80, 3))
    assert philips_angulation_deg(philips_axes(angles)) == pytest.approx(angles)


@pytest.mark.parametrize(
    ("tilt", "ap_fh_rl"), [((10, 0, 0), (0, 0, -10)), ((0, 10, 0), (-10, 0, 0)), ((0, 0, 10), (0, 10, 0))]
)
def test_philips_angulations_turn_about_posterior_head_and_left(tilt, ap_fh_rl):
    p = prescribe(straight_box(tilt, center=(1, 2, 3)), rule_of("BrainAcPc"))
    assert p.philips_angulation_deg == pytest.approx(ap_fh_rl)
    assert p.philips_offcentre_mm == pytest.approx((-2, 3, -1))


@pytest.mark.parametrize("seed", range(10))
def test_philips_terms_give_the_axes_of_the_box(seed):
    rule = rule_of("BrainAcPc")
    box = turned_box(seed, 40, rule)
    axes = philips_axes(prescribe(box, rule).philips_angulation_deg)
    assert swap_ras_lps(axes) * [[-1], [-1], [1]] == pytest.approx(box.axes)


def test_the_text_names_sides_as_at_the_console():
    text = prescribe(straight_box((12.3, 0, 0), center=(5, 0, -7.25)), rule_of("BrainAcPc")).to_text()
    assert "R 5.0, P 0.0, F 7.2 mm" in text
    assert "T > C -12.3 deg" in text
    assert "47 x 3 mm, gap 0 mm" in text


def test_a_prescription_survives_json():
    p = prescribe(turned_box(1, 40, rule_of("BrainAcPc")), rule_of("BrainAcPc"))
    assert prescription_from_dict(json.loads(json.dumps(p.to_dict()))) == p


def test_the_prescription_states_its_coordinate_system():
    """It is LPS in a file that says RAS at its top; results of earlier versions do not say so."""
    stored = prescribe(turned_box(1, 40, rule_of("BrainAcPc")), rule_of("BrainAcPc")).to_dict()
    assert stored["coordinate_system"] == "LPS"
    earlier = {key: value for key, value in stored.items() if key != "coordinate_system"}
    assert prescription_from_dict(earlier) == prescription_from_dict(stored)
