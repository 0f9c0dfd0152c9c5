"""The benchmark of what a model can bear, on a made-up head and with methods that need no network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING, Check
from AutoVolumeCalibrationLib.core.planning.checks.scout_checks import scout_checks
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from benchmarks.limits_of_scouts import non_heads
from benchmarks.limits_of_scouts.cases import (
    Measured,
    ScannedHead,
    chosen_heads,
    kept_cases,
    log_path,
    run_conditions,
    run_non_heads,
)
from benchmarks.limits_of_scouts.conditions import CONDITIONS, Condition, chosen_names
from benchmarks.limits_of_scouts.effects import CoilFallOff, EmptyPlane, FieldOfView, MotionGhosts, NoPlane, WrapAround
from benchmarks.limits_of_scouts.figures import draw_errors, draw_flags
from benchmarks.limits_of_scouts.gallery import draw_worst, worst_by_kind
from benchmarks.limits_of_scouts.label_heads import brain_surface
from benchmarks.limits_of_scouts.report import report
from head_phantom import phantom_head, phantom_volume
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.methods import constellation_method
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors

SMALL = ScoutGeometry(3, 15.0, 6.0, 4.0, 64)
CLEAN = np.random.default_rng(0)
TOY = (
    Condition("straight", "slices", SMALL, poses=2),
    Condition("on the side", "position", SMALL, turn=("z", 90.0)),
    Condition("two planes", "planes", SMALL, effects=(NoPlane("axial"),), told=True),
)


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


@pytest.fixture(scope="module")
def heads(protocol):
    return {None: [phantom_head(protocol, name) for name in ("one", "other")]}


@pytest.fixture(scope="module")
def stacks():
    return cut_three_planes(phantom_volume(), SMALL, np.zeros(3))


def measured(name, method, protocol):
    return Measured(name, method, method, protocol)


class Counting:
    """The mean constellation, which counts how often it is asked."""

    def __init__(self, protocol):
        self.plan, self.calls = constellation_method(protocol), 0

    def __call__(self, stacks):
        self.calls += 1
        return self.plan(stacks)


class Judging:
    """Plans without looking and judges by the brightest pixel: the level of the check, or a refusal."""

    LEVELS = (None, ERROR, WARNING, OK)

    def __init__(self, protocol):
        self.plan = constellation_method(protocol)

    def __call__(self, stacks):
        level = self.LEVELS[round(float(stacks[0].slices[0].pixels.max()))]
        if level is None:
            raise InputError("no head recognised")
        return replace(self.plan(stacks), checks=(Check("anatomy", level, "so bright"),))


def test_a_stopped_run_is_taken_up_and_ends_as_one_that_was_not_stopped(heads, protocol, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    run_conditions(TOY, heads, measured("mean", constellation_method(protocol), protocol), whole)
    counting = Counting(protocol)
    what = measured("mean", counting, protocol)
    told = []

    def stop_at_the_third(case):
        told.append(case)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_conditions(TOY, heads, what, parts, say=stop_at_the_third)
    run_conditions(TOY, heads, what, parts)
    assert counting.calls == 8  # two heads: twice straight, once otherwise
    for condition in TOY:
        results = [kept_cases(folder, condition.name, "mean") for folder in (whole, parts)]
        first, second = ([replace(case, timings_s={}) for case in cases] for cases in results)
        assert first == second and len(first) == 2 * condition.poses
    run_conditions(TOY, heads, what, parts)
    assert counting.calls == 8


def test_other_weights_are_measured_anew_and_kept_apart(heads, protocol, tmp_path):
    for name in ("model aaaa", "model bbbb"):
        counting = Counting(protocol)
        run_conditions(TOY[1:2], heads, measured(name, counting, protocol), tmp_path)
        assert counting.calls == 2
    assert {case.method for case in kept_cases(tmp_path, TOY[1].name, "model bbbb")} == {"model bbbb"}


def test_results_of_a_condition_that_has_changed_are_not_taken_for_those_of_the_new_one(heads, protocol, tmp_path):
    what = measured("mean", constellation_method(protocol), protocol)
    run_conditions(TOY[1:2], heads, what, tmp_path)
    run_conditions([replace(TOY[1], poses=2, heads=1)], heads, what, tmp_path)  # only more of the same
    with pytest.raises(InputError, match="other conditions"):
        run_conditions([replace(TOY[1], noise=0.1)], heads, what, tmp_path)


def test_an_image_is_read_once_for_all_conditions(heads, protocol, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(type(heads[None][0]), "volume", lambda head: read.append(head.id) or phantom_volume())
    run_conditions(TOY, heads, measured("mean", constellation_method(protocol), protocol), tmp_path)
    assert read == ["one", "other"]


def test_what_slices_show_is_only_measured_where_they_are_the_planes_of_the_head(heads, protocol, tmp_path):
    seeing, blind = Counting(protocol), Counting(protocol)
    run_conditions(TOY[1:], heads, Measured("mean", seeing, blind, protocol), tmp_path)
    assert (seeing.calls, blind.calls) == (2, 2)


def test_a_turned_head_is_turned_in_truth_and_image_alike(heads, protocol):
    scanned = ScannedHead(heads[None][0], protocol)
    straight = replace(TOY[1], turn=("z", 0.0), noise=0.0, max_rotation_deg=0.0, max_shift_mm=0.0)
    (images, truth), (turned_images, turned) = (
        scanned.case(c, 0) for c in (straight, replace(straight, turn=("z", 90.0)))
    )
    assert turned.points["AC"] == pytest.approx(truth.points["AC"][[1, 0, 2]] * [-1, 1, 1])
    assert turned.box.center_mm == pytest.approx(truth.box.center_mm[[1, 0, 2]] * [-1, 1, 1], abs=1e-3)
    axial, turned_axial = (s[2].slices[1].pixels for s in (images, turned_images))
    assert turned_axial == pytest.approx(np.rot90(axial, -1), abs=0.5)


def test_turned_heads_lie_in_other_poses_each_but_alike_under_other_geometries(heads, protocol):
    scanned = ScannedHead(heads[None][0], protocol)
    side = TOY[1]
    one_slice = replace(side, geometry=replace(SMALL, slices=1))
    conditions = (side, one_slice, replace(side, turn=("z", 180.0)))
    side_mm, same_mm, prone_mm = (scanned.case(c, 0)[1].points["AC"] for c in conditions)
    assert np.array_equal(side_mm, same_mm) and np.linalg.norm(prone_mm[[1, 0, 2]] * [1, -1, 1] - side_mm) > 1


def test_who_moves_before_a_plane_shows_in_that_plane_alone(heads, protocol):
    scanned = ScannedHead(heads[None][0], protocol)
    still = replace(TOY[1], turn=None, noise=0.0)
    (before, truth), (after, same) = (scanned.case(c, 0) for c in (still, replace(still, moved="axial")))
    unchanged = [np.array_equal(a.slices[1].pixels, b.slices[1].pixels) for a, b in zip(before, after, strict=True)]
    assert unchanged == [True, True, False]
    assert same.box.center_mm == pytest.approx(truth.box.center_mm)


def test_a_smaller_field_of_view_shows_the_same_places_and_nothing_beyond(stacks):
    field = FieldOfView(low_mm=(-50.0, -60.0, -70.0), high_mm=(np.inf, 40.0, 30.0), planes=("sagittal", "coronal"))
    cut = field(stacks, CLEAN)
    assert cut[2] is stacks[2]
    for before, after in zip(stacks[:2], cut[:2], strict=True):
        whole, part = before.slices[0], after.slices[0]
        places = part.to_world(np.moveaxis(np.indices(part.pixels.shape), 0, -1))
        across = [axis for axis in range(3) if abs(part.normal[axis]) < 0.5]
        inside = (places >= [-50, -60, -70]) & (places <= [np.inf, 40, 30])
        assert inside[..., across].all()
        rows, columns = np.moveaxis(whole.to_pixel(places).round().astype(int), -1, 0)
        assert np.array_equal(whole.pixels[rows, columns], part.pixels) and part.pixels.size < whole.pixels.size


def test_what_lies_outside_folds_in_and_the_middle_stays_where_it_is(stacks):
    folded = WrapAround("sagittal", 160.0)(stacks, CLEAN)[0].slices[1]
    whole = stacks[0].slices[1]
    assert folded.pixels.shape == (64, 40) and folded.pixels.sum() == pytest.approx(whole.pixels.sum(), rel=1e-5)
    assert folded.center_mm == pytest.approx(whole.center_mm)
    outside = whole.pixels[:, :12]
    assert folded.pixels[:, 28:] == pytest.approx(whole.pixels[:, 40:52] + outside)


def test_ghosts_lie_a_quarter_of_the_field_away(stacks):
    dot = np.zeros((64, 64), np.float32)
    dot[30, 20] = 100.0
    slices = tuple(replace(s, pixels=dot) for s in stacks[2].slices)
    (axial,) = MotionGhosts("axial", 0.25)([replace(stacks[2], slices=slices)], CLEAN)
    pixels = axial.slices[0].pixels
    assert [pixels[row, 20] for row in (14, 30, 46)] == [25.0, 100.0, 25.0] and pixels.sum() == 150.0


def test_a_coil_on_one_side_sees_the_other_side_faintly(stacks):
    even = [replace(k, slices=tuple(replace(s, pixels=np.ones_like(s.pixels)) for s in k.slices)) for k in stacks]
    coronal = CoilFallOff((1.0, 0.0, 0.0), 8.0)(even, CLEAN)[1].slices[1]
    row, columns = coronal.pixels[10], coronal.to_pixel(np.array([[-90.0, 0, 0], [90.0, 0, 0]]))[:, 1]
    near, far = np.interp(columns, np.arange(64), row)
    assert near / far == pytest.approx(8.0, rel=0.01)


def test_a_plane_of_noise_is_one_that_the_checks_call_empty(stacks):
    empty = EmptyPlane("coronal")(stacks, np.random.default_rng(1))
    assert [check.name for check in scout_checks(empty)] == ["empty plane"] and not scout_checks(stacks)


def test_conditions_have_names_and_logs_of_their_own(tmp_path):
    names = [condition.name for condition in CONDITIONS]
    assert len(set(names)) == len(names) == len({log_path(tmp_path, name) for name in names})


def test_conditions_are_chosen_by_name_and_kind():
    known = [(condition.name, condition.kind) for condition in TOY]
    assert chosen_names(["position", "straight"], known) == {"on the side", "straight"}
    assert chosen_names(None, known) == {condition.name for condition in TOY}
    with pytest.raises(UsageError, match="no condition sideways"):
        chosen_names(["straight", "sideways"], known)


@pytest.mark.parametrize("most", [None, 1, 3, 7, 50])
def test_heads_are_chosen_evenly_and_none_twice(most):
    heads = [f"head {i}" for i in range(7)]
    chosen = chosen_heads(heads, most)
    assert len(set(chosen)) == len(chosen) == min(7, most or 7) and chosen == sorted(chosen)


def case(condition, head="one", level=OK, rotation_deg=1.0, center_mm=1.0, **more):
    box = BoxErrors((rotation_deg, 0.0, 0.0), rotation_deg, center_mm, (1.0, -2.0, 0.5, 0.5, 0.5, 0.5), 0.9)
    defaults = {"frame_angles_deg": [rotation_deg, 0.0, 0.0], "box": box, "covered": 0.995, "level": level}
    return CaseResult(head, 0, condition, "model", **{**defaults, **more})


def rows_of(text, heading):
    """Row name -> column -> cell of the table under a heading."""
    table = [line for line in text.split(f"## {heading}")[1].split("##")[0].splitlines() if line.startswith("|")]
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table)
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def test_wrong_plans_and_false_alarms_are_counted_by_their_flags(heads):
    cases = [
        case("straight"),
        case("straight", level=WARNING),
        case("straight", level=ERROR),
        case("straight", level=OK, rotation_deg=6.0),
        case("straight", level=ERROR, center_mm=11.0),
        case("straight", covered=0.9),
        CaseResult("one", 1, "straight", "model", failure="no head"),
    ]
    text = report("a model", TOY, {"straight": cases}, heads[None], {})
    row = rows_of(text, "Heads")["straight"]
    assert [row[c] for c in ("cases", "refused", "wrong", "wrong, not flagged")] == ["7", "1", "2", "1"]
    assert row["right, flagged (error)"] == "2 (1)" and row[">= 99% inside"] == "83%"
    assert row["right"] == "2.0 -2.0" and row["centre mm"].startswith("1.0 (")


def test_a_row_for_each_condition_and_contrast_and_none_for_what_was_not_measured(protocol):
    heads = [replace(phantom_head(protocol, name), contrast=c) for name, c in (("a", "T1 3 T"), ("b", "FLAIR (thick)"))]
    results = {
        "straight": [case("straight", "a"), case("straight", "b", rotation_deg=3.0)],
        "two planes": [case("two planes", "a")],
    }
    table = rows_of(report("a model", TOY, results, heads, {}), "Heads")
    assert list(table) == ["straight", "- FLAIR heads", "- T1 heads", "two planes†"]
    assert table["- FLAIR heads"]["pitch deg"] == "3.0 (3.0)"


def test_what_is_no_head_must_be_refused_or_called_an_error(protocol, stacks, tmp_path):
    def bright(value):
        return lambda: [
            replace(k, slices=tuple(replace(s, pixels=np.full_like(s.pixels, value)) for s in k.slices)) for k in stacks
        ]

    inputs = [(f"phantom {value}", bright(value)) for value in range(4)]
    what = measured("model", Judging(protocol), protocol)
    for _ in range(2):  # the second time everything is known
        run_non_heads("phantoms", iter(inputs), what, tmp_path)
    cases = kept_cases(tmp_path, "phantoms", "model")
    assert [c.level for c in cases] == [None, ERROR, WARNING, OK] and cases[0].failure
    text = report("a model", TOY, {}, [], {"phantoms": cases})
    row = rows_of(text, "No heads")["phantoms"]
    assert row == {"cases": "4", "refused": "1", "called error": "1", "only a warning": "1", "not flagged": "1"}
    assert "phantoms: phantom 3: no finding" in text and "phantom 1" not in text


def test_scouts_that_cannot_be_read_count_as_refused(protocol, tmp_path):
    def damaged():
        raise InputError("is damaged", source="phantom.dcm")

    run_non_heads("phantoms", iter([("phantom", damaged)]), measured("model", Judging(protocol), protocol), tmp_path)
    (kept,) = kept_cases(tmp_path, "phantoms", "model")
    assert kept.failure == "phantom.dcm: is damaged"


def test_below_the_head_nothing_of_the_brain_is_in_the_scouts(heads):
    ((name, read),) = non_heads.below_heads(heads[None][:1])
    head = heads[None][0]
    stacks = read()
    shift = np.array([0.0, 18.0, non_heads.BELOW_MM - 5.0])  # a straight head: AC lies so far above the scouts' middle
    lowest = head.brain_points[:, 2].min() - head.points["AC"][2] + shift[2]
    tops = [s.to_world(np.array([s.pixels.shape[0] - 1, 0]))[2] for k in stacks[:2] for s in k.slices]
    assert name == "below one" and max(tops) < lowest and {k.plane for k in stacks} == {"sagittal", "coronal", "axial"}


def test_the_surface_of_a_painted_brain_is_where_its_tissue_ends():
    index = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), axis=-1) - 20
    radius = np.linalg.norm(index, axis=-1)
    tissues = np.where(radius < 12, 3, np.where(radius < 16, 16, 0)).astype(np.uint8)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -40.0
    points = brain_surface(tissues, affine)
    assert len(points) > 500 and np.linalg.norm(points, axis=1) == pytest.approx(23.0, abs=2.5)


def test_the_worst_case_of_each_kind_is_the_one_furthest_off_and_a_refusal_is_none():
    refused = CaseResult("one", 1, "on the side", "model", failure="no head")
    results = {
        "straight": [case("straight", rotation_deg=2.0), case("straight", "other", center_mm=9.0)],
        "on the side": [refused],
        "two planes": [case("two planes")],
    }
    worst = worst_by_kind(TOY, results)
    assert set(worst) == {"slices", "planes"} and worst["slices"][1].head == "other"


def test_pictures_are_made_of_whatever_there_is(heads, protocol, tmp_path):
    refused = CaseResult("one", 1, "on the side", "model", failure="no head")
    results = {"straight": [case("straight"), case("straight", rotation_deg=300.0)], "on the side": [refused]}
    draw_errors(results, "a model", tmp_path / "errors.png")
    draw_flags(results, {"phantoms": [refused], "shapes": []}, "a model", tmp_path / "flags.png")
    marks = [Landmark(n, p).corrected(p) for n, p in heads[None][0].points.items()]
    text = draw_worst(
        worst_by_kind(TOY, results),
        heads,
        protocol,
        lambda stacks: plan_from_landmarks(stacks, protocol, marks),
        tmp_path,
    )
    assert "turned by 300.0 deg" in text and "](worst_slices.png)" in text
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert set(made) == {"errors.png", "flags.png", "worst_slices.png"}
    assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in made.values())
