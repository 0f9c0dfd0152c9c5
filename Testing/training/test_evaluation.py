import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import Check
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.prescription import prescribe
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from head_phantom import phantom_head
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult, has_corrected_truth, read_case_log
from LandmarkTrainingLib.core.evaluation.evaluation import Conditions, add_noise, case_pose, evaluate, true_plan
from LandmarkTrainingLib.core.evaluation.evaluation_report import is_wrong, report
from LandmarkTrainingLib.core.evaluation.methods import (
    SliceDetections,
    constellation_method,
    detect_slices,
    model_method,
)
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.reference_heads.heads import with_corrected_points
from LandmarkTrainingLib.core.reference_heads.poses import head_to_scanner, move_named

GEOMETRIES = {"P1": ScoutGeometry(1, 0.0, 6.0, 4.0, 64), "P3": ScoutGeometry(3, 15.0, 6.0, 4.0, 64)}
CONDITIONS = Conditions(seed=3)


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


@pytest.fixture(scope="module")
def head(protocol):
    return phantom_head(protocol)


def projected(point, scout_slice):
    return point - (point - scout_slice.origin_mm) @ scout_slice.normal * scout_slice.normal


class Oracle:
    """A model that knows the poses of one head and is off by ``offset_mm``; counts its calls."""

    def __init__(self, head, protocol, poses, offset_mm=(0.0, 0.0, 0.0), checks=()):
        self.head, self.protocol, self.offset, self.checks = head, protocol, np.array(offset_mm), checks
        self.poses, self.calls = poses, 0

    def points(self):
        transform = head_to_scanner(self.poses[self.calls % len(self.poses)], self.head.origin_mm, self.head.axes)
        return {name: p + self.offset for name, p in move_named(transform, self.head.points).items()}

    def calibrate(self, stacks, protocol, model, *, box=None):
        marks = tuple(Landmark(n, p, np.eye(3), 0.9, PREDICTED) for n, p in self.points().items() if n != "PMJ")
        frame = fit_frame(marks, protocol)
        rule = box_rule(protocol, box)
        planned = plan_box(frame, protocol, rule)
        timings = {"detect": 0.5, "fit": 0.1, "total": 0.6}
        return Calibration(
            tuple(stacks), protocol, marks, marks, frame, planned, prescribe(planned, rule), self.checks, None, timings
        )

    def look(self, stacks, protocol, model):
        points = self.points()
        self.calls += 1
        return [
            SliceDetections(i, j, {name: projected(p, s) for name, p in points.items() if name != "PMJ"})
            for i, stack in enumerate(stacks)
            for j, s in enumerate(stack.slices)
        ]

    def method(self):
        return model_method("no network", self.protocol, calibrate=self.calibrate, look=self.look)


def oracle(head, protocol, poses=1, **options):
    return Oracle(head, protocol, [case_pose(head.id, n, CONDITIONS) for n in range(poses)], **options)


def run(methods, protocol, heads, **options):
    options = {"poses_per_head": 1, "geometries": {"P3": GEOMETRIES["P3"]}, "conditions": CONDITIONS, **options}
    return evaluate(methods, protocol, heads, **options)


def test_a_model_that_finds_the_truth_has_no_error_and_covers_the_brain(head, protocol):
    (case,) = run({"oracle": oracle(head, protocol).method()}, protocol, [head])
    assert case.box.rotation_deg < 0.1 and case.box.center_mm < 0.2 and case.box.iou > 0.99
    assert max(case.landmarks_mm.values()) < 1e-6 and case.expected_mm["PMJ"] < 0.5
    assert list(case.missing) == ["PMJ"] and case.covered > 0.99
    assert case.timings_s["total"] == 0.6 and case.mean_peak == pytest.approx(0.9)


def test_a_shift_of_all_points_moves_box_and_landmarks_but_turns_nothing(head, protocol):
    (case,) = run({"shifted": oracle(head, protocol, offset_mm=(0.0, 12.0, 0.0)).method()}, protocol, [head])
    assert case.box.center_mm == pytest.approx(12.0, abs=0.2) and case.box.rotation_deg < 0.1
    assert case.landmarks_mm["AC"] == pytest.approx(12.0) and is_wrong(case)


def test_errors_on_the_slice_ignore_what_the_slice_cannot_show(head, protocol):
    (case,) = run({"shifted": oracle(head, protocol, offset_mm=(3.0, 0.0, 0.0)).method()}, protocol, [head])
    seen = {
        plane: [e for errors in names.values() for e in errors if e is not None]
        for plane, names in case.in_plane_mm.items()
    }
    midline = [error for name in ("AC", "PC", "GENU") for error in case.in_plane_mm["sagittal"].get(name, [])]
    assert midline == pytest.approx([0.0] * len(midline), abs=1e-6)
    assert seen["axial"] == pytest.approx([3.0] * len(seen["axial"])) and len(seen["coronal"]) > 5
    assert all(set(names.get("PMJ", [None])) == {None} for names in case.in_plane_mm.values())
    assert not any(name.startswith(("FRONTAL", "VERTEX")) for names in case.in_plane_mm.values() for name in names)


def test_the_truth_is_planned_by_the_same_rules_and_moves_with_the_head(head, protocol):
    transform = head_to_scanner(case_pose(head.id, 0, CONDITIONS), head.origin_mm, head.axes)
    still, moved = true_plan(head, np.eye(4), protocol), true_plan(head, transform, protocol)
    assert moved.box.center_mm == pytest.approx(transform[:3, :3] @ still.box.center_mm + transform[:3, 3], abs=1e-4)
    assert moved.box.axes == pytest.approx(still.box.axes @ transform[:3, :3].T, abs=1e-6)
    assert moved.box.size_mm == pytest.approx(still.box.size_mm, abs=1e-4)


def test_the_mean_constellation_is_as_far_off_as_the_head_was_turned(head, protocol):
    (case,) = run({"mean": constellation_method(protocol)}, protocol, [head])
    pose = case_pose(head.id, 0, CONDITIONS)
    turned = np.rad2deg(np.arccos((np.trace(pose.rotation) - 1) / 2))
    assert case.box.rotation_deg == pytest.approx(turned, abs=0.5)
    assert case.level is None and case.in_plane_mm == {}


def test_a_case_does_not_depend_on_what_else_is_evaluated(protocol, head):
    other = phantom_head(protocol, "other")
    methods = {"mean": constellation_method(protocol)}
    (alone,) = run(methods, protocol, [head])
    together = run(methods, protocol, [other, head], poses_per_head=2, geometries=GEOMETRIES)
    (same,) = [case for case in together if case.key == alone.key]
    assert replace(same, timings_s={}) == replace(alone, timings_s={}) and len(together) == 8
    assert len({case.box.rotation_deg for case in together if case.geometry == "P3"}) == 4


def test_noise_repeats_with_the_seed_and_has_the_stated_level(head, protocol):
    seen = []

    def look(stacks):
        seen.append(stacks)
        return constellation_method(protocol)(stacks)

    run({"look": look}, protocol, [head])
    run({"look": look}, protocol, [head])
    first, again = (stacks[0].slices[1].pixels for stacks in seen)
    assert np.array_equal(first, again)
    clean = seen[0]
    noisy = add_noise(clean, 0.05, np.random.default_rng(0))
    brightest = max(s.pixels.max() for s in clean[0].slices)
    tissue = clean[0].slices[1].pixels > 0.4 * brightest
    difference = (noisy[0].slices[1].pixels - clean[0].slices[1].pixels)[tissue]
    assert difference.std() == pytest.approx(0.05 * brightest, rel=0.1)


def test_an_evaluation_is_taken_up_where_it_stopped(head, protocol, tmp_path):
    log = tmp_path / "log.jsonl"
    first = oracle(head, protocol)
    before = run({"oracle": first.method()}, protocol, [head], log=log)
    with open(log, "a", encoding="utf-8") as file:
        file.write('{"head": "cut off in the mid')
    again = oracle(head, protocol, poses=2)
    again.calls = 1  # the first pose is in the log
    after = run({"oracle": again.method()}, protocol, [head], log=log, poses_per_head=2)
    assert again.calls == 2 and len(after) == 2
    assert after[0] == before[0] and after[1].box.center_mm < 0.2
    assert read_case_log(log) == after


def test_results_of_other_conditions_do_not_mix(head, protocol, tmp_path):
    log = tmp_path / "log.jsonl"
    methods = {"mean": constellation_method(protocol)}
    run(methods, protocol, [head], log=log)
    with pytest.raises(InputError, match="other conditions"):
        run(methods, protocol, [head], log=log, conditions=Conditions(seed=4))


def test_results_against_another_truth_do_not_mix(head, protocol, tmp_path):
    log, methods = tmp_path / "log.jsonl", {"mean": constellation_method(protocol)}
    run(methods, protocol, [head], log=log)
    assert not has_corrected_truth(log)
    corrected = with_corrected_points(head)
    with pytest.raises(InputError, match="other conditions"):
        run(methods, protocol, [corrected], log=log)
    grown = replace(protocol.constellation, modes_mm=2 * protocol.constellation.modes_mm)
    with pytest.raises(InputError, match="other conditions"):
        run(methods, replace(protocol, constellation=grown), [head], log=log)
    run(methods, protocol, [corrected], log=tmp_path / "corrected.jsonl")
    assert has_corrected_truth(tmp_path / "corrected.jsonl")


@pytest.mark.parametrize("text", ["nonsense\n", json.dumps({"format": "something else"}) + "\n", "[1, 2]\n"])
def test_a_file_that_is_no_log_is_refused_and_kept(head, protocol, tmp_path, text):
    log = tmp_path / "notes.txt"
    log.write_text(text)
    with pytest.raises(InputError, match="not an evaluation log"):
        run({"mean": constellation_method(protocol)}, protocol, [head], log=log)
    assert log.read_text() == text


def test_a_refusal_is_a_result_and_other_errors_are_not_hidden(head, protocol):
    def refuses(stacks):
        raise InputError("too few landmarks")

    (case,) = run({"refuses": refuses}, protocol, [head])
    assert case.failure == "too few landmarks" and case.box is None
    assert "refuses" in report([case])

    def breaks(stacks):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run({"breaks": breaks}, protocol, [head])


def case_with(rotation_deg, level, number=0):
    box = BoxErrors((rotation_deg, 0.0, 0.0), rotation_deg, 1.0, (1.0, -2.0, 0.0, 0.0, 0.0, 3.0), 0.9)
    return CaseResult("h", number, "P3", "model", frame_angles_deg=(rotation_deg, 0, 0), acpc_pitch_deg=0.0, box=box,
                      covered=1.0, level=level)  # fmt: skip


def test_the_report_counts_missed_and_false_alarms():
    cases = [case_with(8, "ok"), case_with(8, "warning", 1), case_with(7, "error", 2), case_with(1, "ok", 3),
             case_with(1, "warning", 4), case_with(1, "error", 5), case_with(2, "error", 6)]  # fmt: skip
    text = report(cases)
    row = next(line for line in text.split("## Checks")[1].splitlines() if line.startswith("| P3"))
    # n, wrong, wrong and flagged, wrong called error, missed, right but flagged, right but called error, refused
    assert [cell.strip() for cell in row.split("|")[3:-1]] == ["7", "3", "2", "1", "1", "3", "2", "0"]


def test_the_report_has_a_row_for_each_geometry_and_method(head, protocol):
    methods = {"oracle": oracle(head, protocol).method(), "mean": constellation_method(protocol)}
    text = report(run(methods, protocol, [head], geometries=GEOMETRIES))
    box = text.split("## Landmarks")[0]
    assert [line.split("|")[1].strip() for line in box.splitlines()[4:8]] == ["P1", "P1", "P3", "P3"]
    for section in (
        "Box",
        "Landmarks",
        "Faces",
        "Checks",
        "Mean time",
        "Single cases",
        "In-plane error of single landmarks",
    ):
        assert f"## {section}" in text


def test_the_worst_check_is_the_level_of_the_case(head, protocol):
    checks = (Check("tilt", "warning", "look"), Check("scouts", "ok", "fine"))
    (case,) = run({"oracle": oracle(head, protocol, checks=checks).method()}, protocol, [head])
    assert case.level == "warning" and list(case.findings) == ["tilt"]


def test_what_a_model_finds_on_a_slice_is_a_point_on_that_slice_above_the_threshold(monkeypatch):
    from AutoVolumeCalibrationLib.core.detection import detector
    from AutoVolumeCalibrationLib.core.workflow import localization

    axes = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # sagittal: anterior, superior, normal right
    peaks = np.array([[[10.0, 20], [1, 2]], [[11.0, 21], [3, 4]]])  # slice, landmark, (column, row)
    peak_values = np.array([[0.9, 0.1], [0.5, 0.6]])
    seen = detector.StackDetections("sagittal", axes, np.array([-6.0, 6.0]), peaks, peak_values, np.ones((2, 2, 2)))
    located = localization.LocalizationResult((), (), (seen,))
    monkeypatch.setattr(localization, "locate", lambda stacks, protocol, model, guidance: located)
    model = SimpleNamespace(names=("AC", "PC"), threshold=0.5)
    left, right = detect_slices((), None, model)
    assert (left.stack_index, left.slice_index, right.slice_index) == (0, 0, 1)
    assert set(left.positions_mm) == {"AC"} and left.positions_mm["AC"] == pytest.approx([-6, 10, 20])
    assert right.positions_mm["PC"] == pytest.approx([6, 3, 4])


def test_a_result_survives_json(head, protocol):
    (case,) = run({"oracle": oracle(head, protocol).method()}, protocol, [head])
    assert isinstance(case.box, BoxErrors) and not isinstance(case.box, OrientedBox)
    assert json.loads(json.dumps(asdict(case)))["box"]["iou"] == case.box.iou
