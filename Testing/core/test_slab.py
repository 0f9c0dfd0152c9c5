"""A site's fixed slab: only centre and angles are planned, and what stays uncovered is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, FixedSlab, box_rule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json
from AutoVolumeCalibrationLib.core.planning.margins import faces_at_risk, plan_coverage
from AutoVolumeCalibrationLib.core.planning.protocol_editing import save_by_example, with_box, with_margins, with_slab
from AutoVolumeCalibrationLib.core.planning.slab import slab_of_series
from AutoVolumeCalibrationLib.core.scouts.series_geometry import manufacturer, read_series_geometry
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.checked_plan import with_box as with_drawn_box
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from calibrations import ellipsoid_head, scout_stacks
from dicom_localizers import write_localizer

SLAB = FixedSlab(28, 4.0, 0.4, 230.0, 200.0)
TALL = FixedSlab(60, 4.0, 0.0, 250.0, 220.0)


def with_fixed(slab: FixedSlab, tmp_path, protocol="BrainAcPc"):
    base = load_protocol(protocol)
    changed, text = with_slab(base, base.boxes[0].name, slab, tmp_path)
    write_text(changed.source, text)
    return changed


def plan_with(protocol, covariance=1.0, seed=5):
    rng = np.random.default_rng(seed)
    places = protocol.constellation.reference_mm + rng.normal(0, 0.5, protocol.constellation.reference_mm.shape)
    found = [
        Landmark(name, place, covariance * np.eye(3), 0.9, PREDICTED, ("axial",))
        for name, place in zip(protocol.constellation.names, places, strict=True)
    ]
    return plan_from_landmarks(scout_stacks(), protocol, (), predicted=found)


def series(folder, slices=12, spacing_mm=5.0, thickness_mm=4.0, plane="axial", edit=None):
    geometry = ScoutGeometry(
        slices=slices, slice_spacing_mm=spacing_mm, thickness_mm=thickness_mm, pixel_mm=4.0, matrix=60
    )
    stacks = cut_three_planes(ellipsoid_head(), geometry, np.zeros(3), np.eye(3), [plane])
    write_localizer(stacks, folder, edit=edit)
    return folder


def test_only_centre_and_angles_follow_the_head(tmp_path):
    protocol = with_fixed(SLAB, tmp_path)
    plan, free = plan_with(protocol), plan_with(load_protocol("BrainAcPc"))
    scan = plan.prescription
    assert (scan.slices, scan.slice_thickness_mm, scan.gap_mm) == (28, 4.0, 0.4)
    assert (scan.fov_read_mm, scan.fov_phase_mm) == (230.0, 200.0)
    assert plan.box.axes == pytest.approx(free.box.axes)
    assert plan.box.center_mm == pytest.approx(free.box.center_mm, abs=0.5)


def test_what_a_short_slab_leaves_out_is_named_first_with_its_probability(tmp_path):
    plan = plan_with(with_fixed(SLAB, tmp_path))
    first = plan.checks[0]
    assert (first.name, first.level) == ("coverage", "warning")
    risks = faces_at_risk(plan.box, plan.frame, plan.protocol, plan_coverage(plan))
    assert {risk.face for risk in risks} == {"inferior", "superior"}
    for risk in risks:
        amount = f"{risk.face} {risk.beyond_mm:.1f} mm ({risk.probability:.0%})"
        assert amount in first.message.replace("up to ", "").replace("probability ", "")
    assert all(0.05 < risk.probability <= 1 for risk in risks)
    assert "move the slab" in first.message


def test_a_tall_slab_covers(tmp_path):
    plan = plan_with(with_fixed(TALL, tmp_path))
    assert not faces_at_risk(plan.box, plan.frame, plan.protocol, plan_coverage(plan))
    assert "coverage" not in [check.name for check in plan.checks]


def test_the_probability_is_that_of_the_face(tmp_path):
    plan = plan_with(load_protocol("BrainAcPc"))
    coverage = plan_coverage(plan)
    assert coverage.outside_probability("left", coverage.offset_mm["left"], 2.0) == pytest.approx(0.5)
    reach = coverage.reach_mm({"left": 2.0})["left"]
    assert coverage.outside_probability("left", reach, 2.0) == pytest.approx(0.05, abs=1e-3)
    assert coverage.outside_probability("left", -1.0, 0.0) == 1.0
    assert coverage.outside_probability("left", 1.0, 0.0) == 0.0


def test_a_protocol_file_carries_its_slab(tmp_path):
    again = load_protocol(with_fixed(SLAB, tmp_path).source)
    rule = again.boxes[0]
    assert rule.slab == SLAB and again.name == "BrainAcPcSlab"
    assert (rule.slice_thickness_mm, rule.gap_mm) == (4.0, 0.4)
    assert with_slab(again, rule.name, TALL, tmp_path)[0].name == "BrainAcPcSlab"


@pytest.mark.parametrize("wrong", [{"slices": 0}, {"fov_read_mm": 0}, {"gap_mm": -1}, {"slices": 2.5}])
def test_a_slab_that_makes_no_box_is_refused(wrong, tmp_path):
    path = with_fixed(SLAB, tmp_path).source
    data = read_json(path, ProtocolError, "")
    data["boxes"][0]["slab"].update(wrong)
    path.write_text(json_text(data))
    with pytest.raises(ProtocolError, match="slab"):
        load_protocol(path)


def test_margins_move_a_slab_and_a_drawn_size_ends_it(tmp_path):
    plan = plan_with(with_fixed(SLAB, tmp_path))
    moved = plan_with(with_margins(plan.protocol, plan.box.name, {"superior": 45.0}, tmp_path))
    assert moved.box.size_mm == pytest.approx(plan.box.size_mm)
    assert (moved.box.center_mm - plan.box.center_mm) @ plan.box.axes[2] > 10
    shifted = replace(plan.box, center_mm=plan.box.center_mm + 5)
    assert box_rule(with_box(plan.protocol, plan, shifted, tmp_path)).slab == SLAB
    larger = replace(plan.box, size_mm=plan.box.size_mm + 8)
    assert box_rule(with_box(plan.protocol, plan, larger, tmp_path)).slab is None
    text = save_by_example(plan.protocol, plan.frame, plan.frame.expected_mm, shifted, "Mine", "Mine")
    path = tmp_path / "Mine.json"
    write_text(path, text)
    assert box_rule(load_protocol(path)).slab == SLAB


def test_the_slab_of_a_series_is_its_geometry(tmp_path):
    rule = box_rule(load_protocol("BrainAcPc"))
    slab = slab_of_series(read_series_geometry(series(tmp_path / "a")), rule)
    assert slab == FixedSlab(12, 4.0, 1.0, 240.0, 240.0)
    overlapping = read_series_geometry(series(tmp_path / "b", spacing_mm=2.0, thickness_mm=4.0))
    assert slab_of_series(overlapping, rule) == FixedSlab(12, 2.0, 0.0, 240.0, 240.0)
    single = read_series_geometry(series(tmp_path / "c", slices=1) / "0001.dcm")
    assert slab_of_series(single, rule) == FixedSlab(1, 4.0, 0.0, 240.0, 240.0)


@pytest.mark.parametrize(("direction", "read", "phase"), [("ROW", 240.0, 180.0), ("COL", 180.0, 240.0)])
def test_a_padded_image_counts_with_what_was_encoded(direction, read, phase, tmp_path):
    def edit(dataset, _):
        dataset.PercentPhaseFieldOfView, dataset.InPlanePhaseEncodingDirection = "75", direction

    rule = box_rule(load_protocol("BrainAcPc"))  # phase runs right to left: along the rows
    slab = slab_of_series(read_series_geometry(series(tmp_path / "a", edit=edit)), rule)
    assert (slab.fov_read_mm, slab.fov_phase_mm) == (read, phase)


def test_a_series_of_another_plane_is_refused(tmp_path):
    sagittal = read_series_geometry(series(tmp_path / "a", plane="sagittal"))
    with pytest.raises(UsageError, match="are sagittal, those of box AxialWholeBrain are axial"):
        slab_of_series(sagittal, box_rule(load_protocol("BrainAcPc")))
    rule = box_rule(load_protocol("BrainSagittal3D"))
    assert slab_of_series(sagittal, rule).slices == 12
    assert rule.read_axis == "superior" and BOX_AXES.index(rule.read_axis) == 2


def test_what_is_not_one_series_is_refused(tmp_path):
    write_localizer(scout_stacks(), tmp_path / "localizer")
    with pytest.raises(InputError, match="several orientations"):
        read_series_geometry(tmp_path / "localizer")
    write_localizer(scout_stacks(), tmp_path / "three", one_series=False)
    with pytest.raises(InputError, match="several series"):
        read_series_geometry(tmp_path / "three")
    with pytest.raises(InputError, match="there is no such file or folder"):
        read_series_geometry(tmp_path / "nowhere")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no image")
    with pytest.raises(InputError, match="no DICOM image"):
        read_series_geometry(tmp_path / "text")
    thickness = series(tmp_path / "thickness", edit=lambda dataset, _: delattr(dataset, "SliceThickness"))
    with pytest.raises(InputError, match="thickness is missing"):
        read_series_geometry(thickness)
    gap = series(tmp_path / "gap")
    (gap / "0005.dcm").unlink()
    with pytest.raises(InputError, match="not evenly spaced"):
        read_series_geometry(gap)


def test_an_enhanced_series_of_many_frames_is_one_series(tmp_path):
    geometry = ScoutGeometry(slices=6, slice_spacing_mm=5.0, thickness_mm=4.0, pixel_mm=4.0, matrix=60)
    stacks = cut_three_planes(ellipsoid_head(), geometry, np.zeros(3), np.eye(3), ["axial"])
    (path,) = write_localizer(stacks, tmp_path / "frame 1 of", multiframe=True)
    found = read_series_geometry(path)
    assert slab_of_series(found, box_rule(load_protocol("BrainAcPc"))) == FixedSlab(6, 4.0, 1.0, 240.0, 240.0)


def test_the_manufacturer_comes_from_the_header(tmp_path):
    def edit(dataset, _):
        dataset.Manufacturer = "GE MEDICAL SYSTEMS"

    stack = read_series_geometry(series(tmp_path / "a", edit=edit)).stack
    assert manufacturer([stack]) == "GE MEDICAL SYSTEMS"
    assert manufacturer(scout_stacks()) == ""
    (tmp_path / "a" / "0001.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    assert manufacturer([stack]) == ""


def test_a_box_drawn_too_small_is_not_green_any_more():
    plan = plan_with(load_protocol("BrainAcPc"))
    assert "coverage" not in [check.name for check in plan.checks]
    drawn = with_drawn_box(plan, replace(plan.box, size_mm=plan.box.size_mm - [0.0, 24.0, 0.0]))
    assert drawn.checks[0].name == "coverage"
    assert "anterior" in drawn.checks[0].message and "posterior" in drawn.checks[0].message
    read = drawn.prescription.fov_read_mm
    assert read == pytest.approx(plan.prescription.fov_read_mm - 24)


def enhanced(direction, percent):
    """Gives an enhanced object the shared functional group that states how the phase was encoded."""

    def edit(dataset, _):
        group = Dataset()
        group.InPlanePhaseEncodingDirection, group.PercentPhaseFieldOfView = direction, percent
        dataset.SharedFunctionalGroupsSequence[0].MRFOVGeometrySequence = [group]

    return edit


@pytest.mark.parametrize(
    ("direction", "phase_axis", "size"), [("ROW", "right", (180, 240, 29)), ("COLUMN", "anterior", (240, 180, 29))]
)
def test_enhanced_objects_state_their_phase_encoding_in_a_functional_group(direction, phase_axis, size, tmp_path):
    geometry = ScoutGeometry(slices=6, slice_spacing_mm=5.0, thickness_mm=4.0, pixel_mm=4.0, matrix=60)
    stacks = cut_three_planes(ellipsoid_head(), geometry, np.zeros(3), np.eye(3), ["axial"])
    (path,) = write_localizer(stacks, tmp_path, multiframe=True, edit=enhanced(direction, 75.0))
    found = read_series_geometry(path)
    assert (found.slice_axis, found.phase_axis) == ("superior", phase_axis)
    assert found.box("whole").size_mm == pytest.approx(size)


def test_a_series_without_phase_encoding_states_none(tmp_path):
    found = read_series_geometry(series(tmp_path, plane="coronal"))
    assert (found.slice_axis, found.phase_axis) == ("anterior", "")
    assert found.box("whole").size_mm == pytest.approx((240, 59, 240))
