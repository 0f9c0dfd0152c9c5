import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import FaceRule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.planning.checks.evidence import Evidence
from AutoVolumeCalibrationLib.core.planning.checks.plan_checks import run_checks
from AutoVolumeCalibrationLib.core.planning.checks.scout_checks import scout_checks
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.margins import faces_at_risk
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from fake_models import blank_stacks, spot_stack
from posed_landmarks import Placement, landmarks_at, moved, named, random_placement, replaced, without


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


@pytest.fixture(scope="module")
def stacks():
    return blank_stacks([-15.0, 0.0, 15.0])


def evidence(protocol, stacks, marks=None, disagreeing=(), **changes):
    marks = landmarks_at(protocol) if marks is None else marks
    frame = fit_frame(marks, protocol)
    rule = protocol.boxes[0]
    found = Evidence(stacks, marks, disagreeing, frame, plan_box(frame, protocol, rule), protocol, rule)
    return replace(found, **changes)


def findings(*arguments, **options):
    """Name -> level of all findings."""
    return {check.name: check.level for check in run_checks(evidence(*arguments, **options))}


def confident(protocol, value):
    return [replace(m, confidence=value) for m in landmarks_at(protocol)]


def field_of_view(planes_shapes):
    """One slice of 2 mm pixels through the middle for each plane, rows x columns."""
    return [
        spot_stack(plane, np.zeros(3), shape=shape, spacing_mm=(2.0, 2.0), spot_mm=50.0)
        for plane, shape in planes_shapes.items()
    ]


def test_a_clear_study_is_ready_and_says_nothing_else(protocol, stacks):
    checks = run_checks(evidence(protocol, stacks))
    assert [(check.name, check.level) for check in checks] == [("ready", OK)]
    assert f"{len(protocol.constellation.names)} landmarks" in checks[0].message


def test_a_clear_study_in_any_pose_is_ready(protocol):
    turn = random_placement(0, angle_deg=20).turn
    marks = [moved(m, Placement(turn, np.zeros(3))) for m in landmarks_at(protocol)]
    assert findings(protocol, blank_stacks([-12.0, 0.0, 12.0]), marks) == {"ready": OK}


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_missing_plane_is_a_warning_that_names_it(protocol, stacks, plane):
    kept = [stack for i, stack in enumerate(stacks) if i != plane]
    found = run_checks(evidence(protocol, kept))
    assert [(c.name, c.level) for c in found] == [("planes", WARNING)]
    assert f"No {stacks[plane].plane} scout" in found[0].message


def test_a_single_slice_in_a_plane_is_a_warning_that_names_the_plane(protocol):
    many, one = blank_stacks([-12.0, 0.0, 12.0]), blank_stacks([0.0])
    found = run_checks(evidence(protocol, [many[0], one[1], many[2]]))
    assert [(c.name, c.level) for c in found] == [("slices", WARNING)] and "one slice in the coronal plane" in found[
        0
    ].message
    assert "slices" not in findings(protocol, many)
    # Two stacks of one slice each, as some scanners send them, are two slices.
    assert "slices" not in findings(protocol, [many[0], one[1], blank_stacks([9.0])[1], many[2]])


@pytest.mark.parametrize("content", ["zeros", "constant", "noise"])
def test_a_plane_without_signal_is_an_error(stacks, content):
    rng = np.random.default_rng(0)
    pictures = {
        "zeros": np.zeros((64, 64), np.float32),
        "constant": np.full((64, 64), 800, np.float32),
        "noise": np.abs(rng.normal(0, 10, (64, 64)) + 1j * rng.normal(0, 10, (64, 64))).astype(np.float32),
    }
    dark = tuple(replace(s, pixels=pictures[content]) for s in stacks[1].slices)
    found = scout_checks([stacks[0], ScoutStack("coronal", dark), stacks[2]])
    assert [(c.name, c.level) for c in found] == [("empty plane", ERROR)]
    assert "coronal" in found[0].message


def test_one_dark_slice_among_others_is_no_empty_plane(stacks):
    first, *rest = stacks[1].slices
    dark = replace(first, pixels=np.zeros_like(first.pixels))
    assert scout_checks([stacks[0], ScoutStack("coronal", (dark, *rest)), stacks[2]]) == []


@pytest.mark.parametrize(("confidence", "level"), [(0.5, ERROR), (0.65, WARNING), (0.75, None)])
def test_what_is_hardly_recognised_is_no_head(protocol, stacks, confidence, level):
    assert findings(protocol, stacks, confident(protocol, confidence)).get("anatomy") == level


@pytest.mark.parametrize(("typical_mm", "level"), [(1.5, None), (4.6, WARNING), (7.0, ERROR)])
def test_points_that_do_not_lie_as_in_a_head_are_told(protocol, stacks, typical_mm, level):
    found = evidence(protocol, stacks)
    frame = replace(found.frame, residuals_mm=dict.fromkeys(protocol.constellation.names, typical_mm))
    checks = {c.name: c.level for c in run_checks(replace(found, frame=frame))}
    assert checks.get("shape") == level
    placed = [found.landmarks[0].corrected(found.landmarks[0].position_mm), *found.landmarks[1:]]
    assert "shape" not in {c.name for c in run_checks(replace(found, frame=frame, landmarks=placed))}


def test_a_person_who_placed_a_point_knows_that_it_is_a_head(protocol, stacks):
    marks = confident(protocol, 0.3)
    marks[0] = marks[0].corrected(marks[0].position_mm)
    assert "anatomy" not in findings(protocol, stacks, marks)


def test_an_anatomy_of_few_landmarks_is_not_called_unclear(protocol, stacks):
    few = [m for m in landmarks_at(protocol) if m.name in ("AC", "VERTEX", "LATERAL_L", "LATERAL_R")]
    assert "anatomy" not in findings(protocol, stacks, few)


@pytest.mark.parametrize(("lost", "level"), [(15, None), (30, WARNING), (40, ERROR)])
def test_landmarks_that_were_not_found_are_counted(protocol, stacks, lost, level):
    names = [name for name in protocol.constellation.names if name not in ("AC", "PC", "VERTEX", "LATERAL_L")]
    assert findings(protocol, stacks, without(landmarks_at(protocol), *names[-lost:])).get("landmarks") == level


@pytest.mark.parametrize("how", ["doubtful", "missing"])
def test_a_doubtful_end_of_the_reference_line_is_named(protocol, stacks, how):
    marks = landmarks_at(protocol)
    changed = Landmark("PC") if how == "missing" else replace(named(marks, "PC"), confidence=0.21)
    found = {c.name: c for c in run_checks(evidence(protocol, stacks, replaced(marks, changed)))}
    assert found["reference line"].level == WARNING and "PC" in found["reference line"].message


def test_a_doubtful_point_elsewhere_is_not(protocol, stacks):
    marks = landmarks_at(protocol)
    assert findings(protocol, stacks, replaced(marks, replace(named(marks, "EYE_L"), confidence=0.21))) == {"ready": OK}


def test_the_line_of_the_box_counts_as_reference(stacks):
    protocol = load_protocol("BrainSubcallosal")
    marks = landmarks_at(protocol)
    line = protocol.boxes[0].line
    end = line[0][0]
    assert findings(protocol, stacks, replaced(marks, Landmark(end)))["reference line"] == WARNING


@pytest.mark.parametrize(("bad", "level"), [(3, None), (7, WARNING), (17, ERROR)])
def test_points_that_contradict_the_others_are_counted(protocol, stacks, bad, level):
    found = evidence(protocol, stacks)
    frame = replace(found.frame, outliers=protocol.constellation.names[:bad])
    checks = {c.name: c for c in run_checks(replace(found, frame=frame))}
    assert (checks["outliers"].level if "outliers" in checks else None) == level
    if level:
        assert protocol.constellation.names[0] in checks["outliers"].message


@pytest.mark.parametrize(("count", "level"), [(2, None), (8, WARNING), (20, ERROR)])
def test_planes_that_disagree_are_named_and_say_nothing_about_motion(protocol, stacks, count, level):
    found = evidence(protocol, stacks, disagreeing=protocol.constellation.names[:count])
    checks = {check.name: check for check in run_checks(found)}
    assert (checks["planes disagree"].level if level else "planes disagree" not in checks) == (level or True)
    assert "motion" not in checks and not any("move?" in check.message for check in checks.values())


@pytest.mark.parametrize(
    ("scale", "level"), [(0.6, ERROR), (0.75, WARNING), (1.0, None), (1.25, WARNING), (1.5, ERROR)]
)
def test_an_impossible_size_is_told(protocol, stacks, scale, level):
    growth = Placement(np.eye(3), np.zeros(3), scale)
    marks = [moved(m, growth) for m in landmarks_at(protocol, sd_mm=0.5)]
    assert findings(protocol, stacks, marks).get("size") == level


@pytest.mark.parametrize(("sd_deg", "level"), [(1.0, None), (3.0, WARNING), (6.0, ERROR)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_uncertain_tilt_is_told_with_its_name(protocol, stacks, axis, sd_deg, level):
    found = evidence(protocol, stacks)
    covariance = np.eye(6) * 1e-6
    covariance[axis, axis] = np.deg2rad(sd_deg) ** 2
    checks = {c.name: c for c in run_checks(replace(found, frame=replace(found.frame, covariance=covariance)))}
    assert (checks["tilt"].level if "tilt" in checks else None) == level
    if level:
        assert ("pitch", "roll", "yaw")[axis] in checks["tilt"].message


@pytest.mark.parametrize(("sd_mm", "level"), [(4.0, None), (6.0, WARNING), (12.0, ERROR)])
@pytest.mark.parametrize("face", FACES)
def test_an_uncertain_face_is_told_with_its_name(protocol, stacks, face, sd_mm, level):
    found = evidence(protocol, stacks)
    box = replace(found.box, face_sd_mm={**found.box.face_sd_mm, face: sd_mm})
    checks = {c.name: c for c in run_checks(replace(found, box=box))}
    assert (checks["box"].level if "box" in checks else None) == level
    if level:
        assert f"The {face} face" in checks["box"].message


@pytest.mark.parametrize(
    ("shapes", "cut"),
    [
        ({"sagittal": (128, 128), "coronal": (128, 128), "axial": (128, 128)}, ()),
        ({"sagittal": (60, 128), "coronal": (60, 128), "axial": (128, 128)}, ("VERTEX",)),
        ({"sagittal": (128, 90), "coronal": (128, 128), "axial": (90, 128)}, ("OCCIPITAL_L", "OCCIPITAL_R")),
        ({"sagittal": (128, 128), "coronal": (128, 60), "axial": (128, 60)}, ("LATERAL_L", "LATERAL_R")),
        ({"sagittal": (128, 128), "coronal": (60, 128), "axial": (128, 128)}, ()),
    ],
)
def test_anatomy_outside_all_planes_that_could_show_it_is_cut_off(protocol, shapes, cut):
    """A plane seen from above cannot show the vertex, however large it is."""
    found = {c.name: c for c in run_checks(evidence(protocol, field_of_view(shapes)))}
    assert ("field of view" in found) == bool(cut)
    if cut:
        assert found["field of view"].level == WARNING
        assert all(name in found["field of view"].message for name in cut)


def test_the_worst_comes_first(protocol, stacks):
    checks = run_checks(evidence(protocol, stacks[:2], confident(protocol, 0.3)))
    order = [(ERROR, WARNING, OK).index(check.level) for check in checks]
    assert order == sorted(order) and order[0] == 0 and 1 in order
    assert "ready" not in {check.name for check in checks}


def test_messages_are_one_line_and_name_at_most_five_points(protocol, stacks):
    marks = without(landmarks_at(protocol), *protocol.constellation.names[:35])
    for check in run_checks(evidence(protocol, stacks, marks)):
        assert "\n" not in check.message and check.message.endswith((".", "?"))
        assert check.message.count(",") < 6


def test_a_point_placed_far_from_where_the_others_expect_it_is_named(protocol, stacks):
    marks = landmarks_at(protocol)
    ac = named(marks, "AC")
    near = replaced(marks, ac.corrected(ac.position_mm + [0.0, 0.0, 3.0]))
    far = replaced(marks, ac.corrected(ac.position_mm + [0.0, 0.0, 12.0]))
    assert "placed points" not in findings(protocol, stacks, near)
    assert findings(protocol, stacks, far)["placed points"] == WARNING


def test_a_point_placed_so_far_off_that_all_others_contradict_is_named_first_and_alone(protocol, stacks):
    """The user corrects the cause, not the dozens of points that it makes look wrong."""
    marks = landmarks_at(protocol)
    ac = named(marks, "AC")
    marks = replaced(marks, ac.corrected(ac.position_mm + [0.0, 60.0, 0.0]))
    first, *others = run_checks(evidence(protocol, stacks, marks))
    assert (first.name, first.level) == ("placed points", ERROR)
    assert re.match(
        r"Placed far from where the other points expect it: AC \(\d+ mm\); \d+ others contradict: ", first.message
    )
    assert "outliers" not in {check.name for check in others}


@pytest.mark.parametrize(
    ("angle_deg", "reported"), [(0, False), (28, False), (33, True), (57, True), (62, False), (90, False)]
)
def test_oblique_slices_are_reported(protocol, stacks, angle_deg, reported):
    """About one axis two of three stacks are oblique; beyond 60 degrees they lie along other planes of the head."""
    turn = Rotation.from_euler("y", angle_deg, degrees=True).as_matrix()
    frame = evidence(protocol, stacks).frame
    found = findings(protocol, stacks, frame=replace(frame, axes=frame.axes @ turn))
    assert ("oblique" in found) == reported


@pytest.mark.parametrize(("sd_deg", "said"), [(6.0, "sd 6.0 deg"), (44.0, "sd 44.0 deg"), (1e40, "not determined")])
def test_an_angle_without_information_is_called_not_determined(protocol, stacks, sd_deg, said):
    plan = evidence(protocol, stacks)
    covariance = np.diag([np.deg2rad(sd_deg) ** 2, 0, 0, 0, 0, 0])
    checks = run_checks(replace(plan, frame=replace(plan.frame, covariance=covariance)))
    message = next(check.message for check in checks if check.name == "tilt")
    assert message.startswith("The pitch ") and said in message


@pytest.mark.parametrize(("sd_mm", "said"), [(12.0, "sd 12 mm"), (1e40, "not determined")])
def test_a_face_without_information_is_called_not_determined(protocol, stacks, sd_mm, said):
    plan = evidence(protocol, stacks)
    box = replace(plan.box, face_sd_mm=plan.box.face_sd_mm | {"left": sd_mm})
    checks = run_checks(replace(plan, box=box))
    message = next(check.message for check in checks if check.name == "box")
    assert message.startswith("The left face ") and said in message


def narrow(rule):
    """The rule with margins of 1 mm that do not grow."""
    return replace(rule, faces={face: FaceRule(entry.landmarks, 1.0) for face, entry in rule.faces.items()})


def test_faces_at_risk_come_first_with_amount_and_probability(protocol, stacks):
    marks = [replace(m, covariance_mm2=25.0 * np.eye(3)) for m in landmarks_at(protocol)]
    frame, rule = fit_frame(marks, protocol), protocol.boxes[0]
    found = evidence(protocol, stacks[:1], marks, box=plan_box(frame, protocol, narrow(rule)))
    first, *others = run_checks(found)
    assert (first.name, first.level) == ("coverage", WARNING)
    assert others and "ready" not in [check.name for check in others]
    risks = faces_at_risk(found.box, frame, protocol, coverage_of(rule, ()))
    assert re.match(r"The anatomy may reach beyond the box: \w+ up to \d+\.\d mm \(probability \d+%\), ", first.message)
    assert [risk.beyond_mm for risk in risks] == sorted((risk.beyond_mm for risk in risks), reverse=True)
    for risk in risks:
        assert 0.05 < risk.probability < 0.5
        amount = f"{risk.face} {risk.beyond_mm:.1f} mm ({risk.probability:.0%})"
        assert amount in first.message.replace("up to ", "").replace("probability ", "")


def test_a_plan_is_green_because_every_face_is_covered(protocol, stacks):
    marks = [replace(m, covariance_mm2=25.0 * np.eye(3)) for m in landmarks_at(protocol)]
    frame, rule = fit_frame(marks, protocol), protocol.boxes[0]
    coverage = coverage_of(rule, ())
    box = plan_box(frame, protocol, rule, coverage)
    assert not faces_at_risk(box, frame, protocol, coverage)
    (ready,) = run_checks(evidence(protocol, stacks, marks, box=box))
    assert (ready.name, ready.level) == ("ready", OK)
    assert "every face is covered (assumed)" in ready.message


def test_a_face_that_is_not_determined_is_at_risk_without_absurd_numbers(protocol, stacks):
    marks = [replace(m, covariance_mm2=1e8 * np.eye(3)) for m in landmarks_at(protocol)]
    first = next(c for c in run_checks(evidence(protocol, stacks, marks)) if c.name == "coverage")
    assert "over 100 mm" in first.message and not re.search(r"\d{4}", first.message)
