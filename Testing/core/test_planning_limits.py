"""Slices with gaps, faces of small and large heads, and the borders of what the frame's fit accepts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, FaceRule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from posed_landmarks import landmarks_at, random_placement, random_shape, with_errors


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


@pytest.mark.parametrize("gap_mm", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size_mm", [1.0, 3.0, 3.1, 8.0, 8.1, 47.5, 120.0])
def test_the_fewest_slices_that_cover_a_size_are_counted_with_their_gaps(protocol, size_mm, gap_mm):
    rule = replace(protocol.boxes[0], slice_thickness_mm=3.0, gap_mm=gap_mm)
    count = rule.slice_count(size_mm)
    covered = count * 3.0 + (count - 1) * gap_mm
    assert covered >= size_mm - 1e-9
    assert count == 1 or covered - 3.0 - gap_mm < size_mm


def test_a_slab_of_whole_slices_needs_no_further_slice(protocol):
    """Three slices of 4 mm and two gaps of 1 mm are 14 mm; a fiftieth of a millimetre more needs a fourth."""
    rule = replace(protocol.boxes[0], slice_thickness_mm=4.0, gap_mm=1.0)
    assert rule.slab_mm(3) == 14
    assert [rule.slice_count(size) for size in (13.98, 14.0, 14.004, 14.02)] == [3, 3, 3, 4]
    assert [rule.slice_count(size) for size in (0.0, 3.9, 4.0, 4.1)] == [1, 1, 1, 2]


def test_a_box_with_gaps_is_rounded_up_to_a_slab_of_whole_slices(protocol):
    rule = replace(protocol.boxes[0], slice_thickness_mm=4.0, gap_mm=1.0, round_up_to_slices=True)
    frame = fit_frame(landmarks_at(protocol), protocol)
    plain = plan_box(frame, protocol, replace(rule, round_up_to_slices=False))
    along = BOX_AXES.index(rule.slice_axis)
    size, needed = plan_box(frame, protocol, rule).size_mm[along], plain.size_mm[along]
    slabs = [4.0 * count + (count - 1) for count in range(1, 100)]
    assert size == pytest.approx(min(slab for slab in slabs if slab >= needed - 0.005))


@pytest.mark.parametrize("scale", [0.7, 1.3])
@pytest.mark.parametrize("name", ["BrainAcPc", "BrainHippocampus"])
def test_the_faces_of_a_larger_head_are_uncertain_in_proportion(name, scale):
    """All lengths alike, those of the errors too: nothing but the unit has changed."""
    protocol = load_protocol(name)
    rng = np.random.default_rng(4)
    marks = with_errors(landmarks_at(protocol, random_shape(protocol, rng), random_placement(4)), rng)
    frame = fit_frame(marks, protocol)
    larger = replace(
        frame,
        scale=frame.scale * scale,
        origin_mm=frame.origin_mm * scale,
        expected_mm={landmark: place * scale for landmark, place in frame.expected_mm.items()},
        expected_covariance_mm2=frame.expected_covariance_mm2 * scale**2,
    )
    rule = replace(protocol.boxes[0], round_up_to_slices=False)
    wider = replace(rule, faces={f: FaceRule(r.landmarks, r.margin_mm * scale) for f, r in rule.faces.items()})
    box, scaled = plan_box(frame, protocol, rule), plan_box(larger, protocol, wider)
    assert scaled.size_mm == pytest.approx(box.size_mm * scale)
    for face, sd in box.face_sd_mm.items():
        assert scaled.face_sd_mm[face] == pytest.approx(sd * scale, rel=1e-9)


def at(points_mm) -> list[Landmark]:
    names = ("AC", "PC", "VERTEX", "LATERAL_R")
    return [Landmark(n, np.array(p, float), np.eye(3), 0.9, PREDICTED) for n, p in zip(names, points_mm, strict=True)]


@pytest.mark.parametrize(("half_width_mm", "enough"), [(2.0, False), (5.9, False), (6.1, True), (12.0, True)])
def test_points_must_spread_six_millimetres_in_a_second_direction(protocol, half_width_mm, enough):
    """The corners of a rectangle spread by half its sides, root mean square; turned, so that no axis is special."""
    turn = random_placement(2).turn
    corners = [turn @ [40 * i, half_width_mm * k, 0.0] for i in (-1, 1) for k in (-1, 1)]
    if enough:
        assert fit_frame(at(corners), protocol).scale > 0
    else:
        with pytest.raises(InputError, match="line"):
            fit_frame(at(corners), protocol)


def with_pitched_anatomy(folder, angle_deg: float):
    """A protocol whose own landmarks are those of the brain, pitched about AC by ``angle_deg``."""
    data = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    anatomy = json.loads(resource_path("Anatomies", f"{data.pop('anatomy')}.json").read_text(encoding="utf-8"))
    turn = Rotation.from_euler("x", angle_deg, degrees=True).as_matrix()
    landmarks = [{**mark, "reference_mm": (turn @ mark["reference_mm"]).tolist()} for mark in anatomy["landmarks"]]
    path = folder / "Pitched.json"
    path.write_text(json.dumps({**data, "landmarks": landmarks}), encoding="utf-8")
    return path


@pytest.mark.parametrize("angle_deg", [-2.5, 0.0, 2.5])
def test_a_constellation_nearly_in_its_frame_is_accepted(tmp_path, angle_deg):
    assert load_protocol(with_pitched_anatomy(tmp_path, angle_deg)).boxes


@pytest.mark.parametrize("angle_deg", [-10.0, -3.5, 3.5, 10.0, 90.0, 180.0])
def test_a_constellation_pitched_against_its_frame_is_refused(tmp_path, angle_deg):
    """Else every box would be turned by that much, without a word."""
    with pytest.raises(ProtocolError, match="frame") as caught:
        load_protocol(with_pitched_anatomy(tmp_path, angle_deg))
    assert f"{abs(angle_deg):.0f}" in str(caught.value) or f"{abs(angle_deg):.1f}" in str(caught.value)


def misled(protocol, seed: int, fraction: float) -> tuple[list[Landmark], set[str]]:
    """Landmarks of which a part, on one side of the head, lies 300 mm off in one direction; and the names of these."""
    rng = np.random.default_rng(seed)
    marks = with_errors(landmarks_at(protocol, random_shape(protocol, rng), random_placement(seed)), rng)
    order = np.argsort(protocol.constellation.reference_mm @ rng.normal(size=3))
    push = rng.normal(size=3)
    push *= 300 / np.linalg.norm(push)
    bad = {marks[i].name for i in order[: round(fraction * len(marks))]}
    return [replace(m, position_mm=m.position_mm + push) if m.name in bad else m for m in marks], bad


@pytest.mark.parametrize("seed", range(12))
def test_a_start_that_outliers_turned_does_not_decide_who_is_one(protocol, seed):
    """Far outliers draw the first, unweighted fit so far off that it takes sound points for outliers."""
    marks, bad = misled(protocol, seed, 0.3)
    good = [mark for mark in marks if mark.name not in bad]
    frame, clean = fit_frame(marks, protocol), fit_frame(good, protocol)
    assert set(frame.outliers) >= bad
    assert np.abs(rotation_angles_deg(clean.axes, frame.axes)).max() < 2


@pytest.mark.parametrize(("deviations", "outlier"), [(2.35, False), (2.65, True)])
def test_an_outlier_is_off_by_more_than_two_and_a_half_deviations_per_axis(protocol, deviations, outlier):
    """The robust weight (1 + d^2 / 3 / 2.5^2)^-2 falls below a quarter there, d counted in standard deviations.

    The point's own error of 20 mm is far larger than how heads vary, and too vague to draw the fit.
    """
    marks = landmarks_at(protocol, placement=random_placement(6), sd_mm=0.5)
    off = np.full(3, 20.0 * deviations)
    vague = replace(marks[7], position_mm=marks[7].position_mm + off, covariance_mm2=np.eye(3) * 20.0**2)
    frame = fit_frame([vague if mark is marks[7] else mark for mark in marks], protocol)
    assert frame.outliers == ((vague.name,) if outlier else ())


@pytest.mark.parametrize("scale", [0.75, 1.3])
def test_errors_are_counted_in_proportion_to_the_head(protocol, scale):
    """A larger head measured with larger errors is known to the same angles."""
    rng = np.random.default_rng(8)
    marks = with_errors(landmarks_at(protocol, random_shape(protocol, rng), sd_mm=3.0), rng)
    larger = [replace(m, position_mm=m.position_mm * scale, covariance_mm2=m.covariance_mm2 * scale**2) for m in marks]
    here, there = fit_frame(marks, protocol), fit_frame(larger, protocol)
    assert np.sqrt(np.diagonal(there.covariance)[:3]) == pytest.approx(
        np.sqrt(np.diagonal(here.covariance)[:3]), rel=0.01
    )
    assert np.sqrt(np.diagonal(there.covariance)[3:]) == pytest.approx(
        scale * np.sqrt(np.diagonal(here.covariance)[3:]), rel=0.01
    )
