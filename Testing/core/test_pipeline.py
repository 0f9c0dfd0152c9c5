import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_limits import ModelLimits
from AutoVolumeCalibrationLib.core.errors import Cancelled, InputError, ProtocolError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.prescription import prescribe
from AutoVolumeCalibrationLib.core.workflow import localization, pipeline
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, in_protocol_order, plan_from_landmarks, refit
from fake_models import KnowingNetwork, blank_stacks, fake_model
from posed_landmarks import Placement, landmarks_at, named, random_placement

OFFSETS = [-36.0, -18.0, 0.0, 18.0, 36.0]


@pytest.fixture(scope="module", autouse=True)
def seen_from_one_end():
    """The fake networks answer slice after slice: they are not asked how the head looks the other way round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(localization.StudyLocalizer, "resolve_half_turn", lambda self, located, frame: None)
        yield


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


def posed(angle_deg=15.0, seed=0):
    """The typical head, turned, its middle near the isocentre."""
    turn = random_placement(seed, angle_deg=angle_deg).turn
    return Placement(turn, -turn @ np.array([0.0, -18.0, 5.0]))


def knowing_model(protocol, stacks, placement, names=None, **options):
    constellation = protocol.constellation
    names = names or constellation.names
    mirror = constellation.mirror_indices
    points = placement(constellation.reference_mm)
    head_axes = true_frame(protocol, placement).axes
    return fake_model(KnowingNetwork(stacks, points, mirror, head_axes=head_axes, **options), names, mirror)


@pytest.fixture(scope="module")
def result(protocol):
    stacks = blank_stacks(OFFSETS)
    return calibrate(stacks, protocol, knowing_model(protocol, stacks, posed()))


def true_frame(protocol, placement):
    return fit_frame(landmarks_at(protocol, placement=placement), protocol)


def forbidden(*_):
    raise AssertionError("the network ran")


def test_a_turned_head_is_found_and_its_box_planned(protocol, result):
    truth = true_frame(protocol, posed())
    assert np.abs(rotation_angles_deg(truth.axes, result.frame.axes)).max() < 0.5
    assert result.frame.origin_mm == pytest.approx(truth.origin_mm, abs=1.0)
    assert result.box.axes == pytest.approx(result.frame.axes)
    assert {mark.status for mark in result.landmarks} == {PREDICTED}
    assert [check.level for check in result.checks] == [OK]
    assert result.model.name == "fake" and not result.has_errors


def test_the_parts_of_the_result_belong_together(protocol, result):
    assert [mark.name for mark in result.landmarks] == list(protocol.constellation.names)
    assert result.landmarks == result.predicted
    assert result.prescription == prescribe(result.box, protocol.boxes[0])
    assert set(result.timings_s) == {"detect", "fit", "total"}
    assert result.timings_s["total"] == pytest.approx(result.timings_s["detect"] + result.timings_s["fit"])


def test_a_higher_threshold_finds_fewer_landmarks_and_is_told_by_the_result(protocol):
    stacks = blank_stacks(OFFSETS)
    model = knowing_model(protocol, stacks, posed())
    own, strict = (calibrate(stacks, protocol, model, threshold=threshold) for threshold in (None, 0.9))
    lost = [mark.name for mark in strict.landmarks if mark.status == MISSING]
    assert not [mark.name for mark in own.landmarks if mark.status == MISSING]
    assert 0 < len(lost) < len(strict.landmarks)
    assert (own.model.threshold, strict.model.threshold) == (None, 0.9)
    assert refit(strict, []).model.threshold == 0.9
    assert model.threshold == 0.2


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, float("nan")])
def test_a_threshold_that_finds_all_or_nothing_is_refused(protocol, threshold):
    stacks = blank_stacks(OFFSETS)
    with pytest.raises(UsageError, match="detection threshold"):
        calibrate(stacks, protocol, fake_model(forbidden, ("AC",)), threshold=threshold)


@pytest.mark.parametrize("seed", range(3))
def test_the_head_turns_and_box_and_prescription_follow(protocol, seed):
    stacks = blank_stacks(OFFSETS)
    placement = posed(18.0, seed)
    result = calibrate(stacks, protocol, knowing_model(protocol, stacks, placement))
    straight = calibrate(stacks, protocol, knowing_model(protocol, stacks, posed(0.0)))
    assert result.box.axes @ placement.turn == pytest.approx(straight.box.axes, abs=0.01)
    assert result.box.center_mm == pytest.approx(placement.turn @ straight.box.center_mm, abs=1.5)
    assert result.box.size_mm == pytest.approx(straight.box.size_mm, abs=4.0)


def test_an_oblique_scout_of_a_straight_head_plans_a_straight_box(protocol):
    stacks = blank_stacks(OFFSETS, turn=random_placement(5, angle_deg=12.0).turn)
    result = calibrate(stacks, protocol, knowing_model(protocol, stacks, posed(0.0)))
    truth = true_frame(protocol, posed(0.0))
    assert np.abs(rotation_angles_deg(truth.axes, result.frame.axes)).max() < 0.5


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_two_planes_are_enough_with_a_warning(protocol, absent):
    stacks = [stack for i, stack in enumerate(blank_stacks(OFFSETS)) if i != absent]
    result = calibrate(stacks, protocol, knowing_model(protocol, stacks, posed()))
    assert WARNING in {check.level for check in result.checks if check.name == "planes"}
    assert np.abs(rotation_angles_deg(true_frame(protocol, posed()).axes, result.frame.axes)).max() < 1.5


def test_one_plane_is_refused_before_the_network_runs(protocol):
    stacks = blank_stacks(OFFSETS)[:1]
    with pytest.raises(InputError, match="two of the three planes"):
        calibrate(stacks, protocol, fake_model(forbidden, ("AC",)))


def test_an_unknown_box_is_refused_before_the_network_runs(protocol):
    with pytest.raises(ProtocolError, match="no box Legs"):
        calibrate(blank_stacks([0.0]), protocol, fake_model(forbidden, ("AC",)), box="Legs")


def test_a_cancel_comes_through(protocol):
    with pytest.raises(Cancelled):
        calibrate(blank_stacks([0.0]), protocol, fake_model(forbidden, ("AC",)), cancelled=lambda: True)


def test_progress_comes_through(protocol):
    stacks, steps = blank_stacks([0.0]), []
    calibrate(stacks, protocol, knowing_model(protocol, stacks, posed()), progress=steps.append)
    assert steps[-1] == 1


def test_scouts_in_which_nothing_is_seen_are_refused(protocol):
    stacks = blank_stacks([0.0])
    with pytest.raises(InputError, match="no brain recognised in the scouts, 0 of 45"):
        calibrate(stacks, protocol, knowing_model(protocol, stacks, posed(), height=0.1))


def test_landmarks_on_one_line_are_refused_for_that_reason(protocol):
    """ "6 of 6 landmarks found" said nothing of it."""
    line = [
        Landmark(name, np.array([0.0, 10.0 * i, 0.0]), np.eye(3), 0.9, PREDICTED) for i, name in enumerate("ABCDEF")
    ]
    cause = InputError("the landmarks are nearly collinear, so the rotation is undetermined", remedy="Place more.")
    error = pipeline._not_planned((), protocol, line, cause, ModelLimits())
    assert (
        error.what == "6 of 6 landmarks found, but the landmarks are nearly collinear, so the rotation is undetermined"
    )
    assert error.remedy == "Place more."


def test_a_few_landmarks_on_a_line_are_another_region(protocol):
    """A brain model on knee scouts "found" 5 of 45 and asked the user to place AC."""
    found = [
        Landmark(name, np.array([0.0, 10.0 * i, 0.0]), np.eye(3), 0.9, PREDICTED) for i, name in enumerate("ABCDE")
    ]
    absent = [Landmark(str(number)) for number in range(40)]
    cause = InputError("the landmarks are nearly collinear, so the rotation is undetermined", remedy="Place more.")
    error = pipeline._not_planned((), protocol, [*found, *absent], cause, ModelLimits())
    assert error.what == "no brain recognised in the scouts, 5 of 45 landmarks found"
    assert "protocol" in error.remedy and "Place more" not in error.remedy


def test_scouts_of_another_body_part_are_refused_for_that_reason(protocol):
    stacks = [replace(stack, body_part="KNEE") for stack in blank_stacks([0.0])]
    line = [Landmark(name, np.zeros(3), np.eye(3), 0.9, PREDICTED) for name in "ABCDEF"]
    error = pipeline._not_planned(stacks, protocol, line, InputError("collinear", remedy="Place more."), ModelLimits())
    assert error.remedy == "The scouts' header states the body part KNEE, this plan is of a brain: check the protocol."


def test_what_is_hardly_seen_is_planned_with_an_error(protocol, monkeypatch):
    # The fake answers for two passes: no looking round for a direction from which more is seen.
    monkeypatch.setattr(localization.StudyLocalizer, "has_low_peaks", lambda self, located: False)
    stacks = blank_stacks(OFFSETS)
    result = calibrate(stacks, protocol, knowing_model(protocol, stacks, posed(), height=0.35))
    assert result.has_errors and result.checks[0].level == ERROR


def test_landmarks_the_model_does_not_know_are_missing_but_expected(protocol):
    stacks = blank_stacks(OFFSETS)
    names = tuple("OTHER" if name == "VERTEX" else name for name in protocol.constellation.names)
    result = calibrate(stacks, protocol, knowing_model(protocol, stacks, posed(), names=names))
    assert named(result.landmarks, "VERTEX").status == MISSING
    place = posed()(protocol.constellation.reference_mm[protocol.constellation.names.index("VERTEX")])
    assert result.frame.expected_mm["VERTEX"] == pytest.approx(place, abs=2.0)


def test_corrections_given_at_once_replace_predictions_and_stay_apart_from_them(protocol):
    stacks = blank_stacks(OFFSETS)
    model = knowing_model(protocol, stacks, posed())
    plain = calibrate(stacks, protocol, model)
    top = named(plain.landmarks, "VERTEX")
    placed = top.corrected(top.position_mm + [0, 0, 4.0])
    result = calibrate(stacks, protocol, model, corrections=[placed])
    assert named(result.landmarks, "VERTEX") is placed
    # Nearly: the placed point has a say in how the slices are turned upright.
    assert named(result.predicted, "VERTEX").position_mm == pytest.approx(top.position_mm, abs=1.0)
    again = refit(plain, [placed])
    assert result.box.center_mm == pytest.approx(again.box.center_mm, abs=1.0)


def test_a_corrected_point_moves_its_face_and_nothing_forgets_the_prediction(result):
    top = named(result.landmarks, "VERTEX")
    up = result.box.axes[2]
    again = refit(result, [top.corrected(top.position_mm + 6.0 * up)])
    grown = (again.box.center_mm - result.box.center_mm) @ up + (again.box.size_mm[2] - result.box.size_mm[2]) / 2
    assert 3 < grown < 9
    assert named(again.landmarks, "VERTEX").status == CORRECTED
    assert again.predicted == result.predicted and again.model is result.model and again.stacks == result.stacks


def test_without_corrections_a_refit_is_the_calibration_again(result):
    once = refit(result, [named(result.landmarks, "AC").corrected(np.array([9.0, 9.0, 9.0]))])
    restored = refit(once, [])
    assert restored.landmarks == result.landmarks
    assert restored.box.center_mm == pytest.approx(result.box.center_mm)
    assert restored.prescription == result.prescription


def test_corrections_do_not_pile_up(result):
    first = refit(result, [named(result.landmarks, "AC").corrected(np.array([1.0, 2.0, 3.0]))])
    second = refit(first, [named(result.landmarks, "PC").corrected(np.array([1.0, -24.0, 3.0]))])
    assert {m.name for m in second.landmarks if m.status == CORRECTED} == {"PC"}


def test_a_point_that_a_person_marks_missing_has_no_say(result):
    vertex = named(result.landmarks, "VERTEX")
    bad = replace(vertex, position_mm=vertex.position_mm + 60.0)
    spoiled = replace(result, predicted=tuple(bad if m.name == "VERTEX" else m for m in result.predicted))
    again = refit(spoiled, [Landmark("VERTEX")])
    assert named(again.landmarks, "VERTEX").status == MISSING and "VERTEX" not in again.frame.residuals_mm
    assert again.frame.outliers == () and "VERTEX" in refit(spoiled, []).frame.outliers


def test_predicted_landmarks_handed_in_as_corrections_change_nothing(result):
    fake = replace(named(result.landmarks, "AC"), position_mm=np.full(3, 50.0))
    assert refit(result, [fake]).landmarks == result.landmarks


def test_a_refit_may_choose_another_box_of_the_protocol(result):
    rule = replace(result.protocol.boxes[0], name="Second", tilt_deg=(20.0, 0.0, 0.0))
    both = replace(result, protocol=replace(result.protocol, boxes=(result.protocol.boxes[0], rule)))
    second = refit(both, [], box="Second")
    assert second.box.name == "Second" and refit(second, []).box.name == "Second"
    assert np.rad2deg(np.arccos(second.box.axes[1] @ result.box.axes[1])) == pytest.approx(20)


def test_a_refit_keeps_what_detection_took(result):
    again = refit(result, [])
    assert again.timings_s["detect"] == result.timings_s["detect"]
    assert again.timings_s["total"] == again.timings_s["fit"]


def test_landmarks_alone_are_enough_to_plan(protocol):
    marks = [m.corrected(m.position_mm) for m in landmarks_at(protocol, placement=posed())]
    result = plan_from_landmarks(blank_stacks([0.0]), protocol, marks)
    assert result.model is None and {m.status for m in result.predicted} == {MISSING}
    assert np.abs(rotation_angles_deg(true_frame(protocol, posed()).axes, result.frame.axes)).max() < 0.1


def test_landmarks_are_put_in_the_protocols_order(protocol):
    marks = landmarks_at(protocol)
    ordered = in_protocol_order([*marks[::-1][:-1], Landmark("NOSE")], protocol)
    assert [m.name for m in ordered] == list(protocol.constellation.names)
    assert ordered[0].status == MISSING and ordered[1] is marks[1]


def test_a_refit_needs_no_torch():
    """A corrected point must move the box at once, also where the model's packages are not installed."""
    script = """
import sys
sys.path[:0] = sys.argv[1:]
import numpy as np
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from calibrations import scout_stacks
from posed_landmarks import landmarks_at
protocol = load_protocol("BrainAcPc")
plan_from_landmarks(scout_stacks(), protocol, [m.corrected(m.position_mm) for m in landmarks_at(protocol)])
sys.exit("torch" in sys.modules)
"""
    folders = [path for path in sys.path if path]
    subprocess.run([sys.executable, "-c", script, *folders], check=True, timeout=60)
