"""Planning methods measured on simulated scouts of label maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from AutoVolumeCalibrationLib.core.anatomy.joint import LEFT, RIGHT
from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from fake_models import fake_model
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult, read_case_log
from LandmarkTrainingLib.core.evaluation.errors.slice_angles import slice_angles_deg
from LandmarkTrainingLib.core.evaluation.evaluation_report import measured_errors, report
from LandmarkTrainingLib.core.evaluation.methods import Plan, constellation_method, model_name
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.evaluation.simulated import pictures
from LandmarkTrainingLib.core.evaluation.simulated.cases import (
    LabelMapCases,
    SimulatedConditions,
    chosen_maps,
    evaluate_label_maps,
)
from LandmarkTrainingLib.core.simulator.label_maps import load_simulated_anatomy
from LandmarkTrainingLib.core.simulator.people_of_maps import write_people_of_maps
from LandmarkTrainingLib.core.simulator.surfaces import anatomy_surface_mm
from toy_label_maps import BALL_MM, write_toy_knees


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("KneeSagittal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, protocol):
    path = tmp_path_factory.mktemp("knees")
    write_toy_knees(path, protocol, range(1, 3))
    return path


@pytest.fixture
def cases(folder, protocol):
    return LabelMapCases(folder, chosen_maps(folder), protocol, SimulatedConditions(seed=5))


def perfect(cases, number=1, pose=0, geometry="P1"):
    truth = cases.case(number, pose, geometry).truth
    return Plan((), truth.frame, truth.box)


def turned(box, degrees, about):
    """The box turned by ``degrees`` about one of its own axes."""
    vector = box.axes[BOX_AXES.index(about)] * np.deg2rad(degrees)
    return OrientedBox(box.name, box.center_mm, box.axes @ rotation_about(vector).T, box.size_mm)


@pytest.mark.parametrize(("about", "expected"), [("right", (0, 7)), ("anterior", (7, 0)), ("superior", (7, 0))])
def test_angles_of_slices_out_of_their_plane_and_within_it(protocol, about, expected):
    box = OrientedBox("Sagittal", np.zeros(3), rotation_about(np.array([0.2, -0.3, 0.4])), np.full(3, 90.0))
    assert protocol.boxes[0].slice_axis == "right"
    assert slice_angles_deg(turned(box, 7, about), box, protocol.boxes[0]) == pytest.approx(expected, abs=1e-6)
    assert slice_angles_deg(box, box, protocol.boxes[0]) == (0, 0)


def test_the_true_plan_has_no_errors_and_holds_the_joint(cases, protocol):
    (case,) = evaluate_label_maps(
        {"perfect": lambda stacks: perfect(cases)},
        replace(cases, maps={1: "knee_0001"}, geometries={"P1": cases.geometries["P1"]}),
        poses=1,
    )
    assert case.key == ("knee_0001", 0, "P1", "perfect")
    assert case.slice_angles_deg == pytest.approx([0, 0], abs=1e-6)
    assert (case.joint_deg["flexion"], case.side_right) == (0, True)
    assert case.covered == case.covered_planned == 1


def test_the_margins_needed_reach_the_outermost_bone(cases, protocol):
    """A ball round an epicondyle reaches BALL_MM beyond it; the shafts, which run on, do not count."""
    (case,) = evaluate_label_maps(
        {"perfect": lambda stacks: perfect(cases)},
        replace(cases, maps={1: "knee_0001"}, geometries={"P1": cases.geometries["P1"]}),
        poses=1,
    )
    needed = dict(zip(FACES, case.needed_mm, strict=True))
    for face in ("left", "right"):
        assert needed[face] == pytest.approx(BALL_MM, abs=1.5)
    assert needed["inferior"] < -20, "the shaft of the tibia"


def test_the_side_is_that_of_the_mirrored_map_and_the_angle_that_of_the_bent_one(cases):
    sides = {cases.case(1, pose, "P1").truth.frame.side for pose in range(8)}
    assert sides == {RIGHT, LEFT}
    straight, bent = (cases.case(number, 0, "P1").truth.frame.angles["flexion"].deg for number in (1, 2))
    assert bent - straight == pytest.approx(4, abs=0.5)


def test_a_case_depends_on_its_own_numbers_alone(cases, folder, protocol):
    other = LabelMapCases(folder, {2: "knee_0002"}, load_protocol("KneeAxial"), SimulatedConditions(seed=5))
    one, again = cases.case(2, 1, "P5"), other.case(2, 1, "P5")
    assert np.array_equal(one.stacks[0].slices[0].pixels, again.stacks[0].slices[0].pixels)
    different = cases.case(2, 0, "P5").stacks[0].slices[0].pixels
    assert not np.array_equal(one.stacks[0].slices[0].pixels, different)
    for name, point in cases.case(2, 1, "P1").truth.points.items():
        assert point == pytest.approx(one.truth.points[name]), "the same pose for every geometry"


def test_without_an_extent_the_landmarks_must_lie_inside(tmp_path, protocol):
    write_toy_knees(tmp_path, protocol, range(1, 2), extent=False)
    heads = load_simulated_anatomy(tmp_path, [1], protocol.constellation.names)
    assert anatomy_surface_mm(heads, 0).numpy() == pytest.approx(heads.landmarks_mm[0].numpy())


def test_maps_are_chosen_by_name_and_belong_to_people(folder, protocol, tmp_path):
    assert chosen_maps(folder, ["knee_0002"]) == {2: "knee_0002"}
    with pytest.raises(InputError, match="knee_0009"):
        chosen_maps(folder, ["knee_0009"])
    assert load_simulated_anatomy(folder, [1, 2], protocol.constellation.names).people == ("knee_0001", "knee_0002")
    write_toy_knees(tmp_path, protocol, range(1, 3))
    write_people_of_maps(tmp_path, {"knee_0001": "person 1", "knee_0002": "person 1"})
    assert load_simulated_anatomy(tmp_path, [1, 2], protocol.constellation.names).people == ("person 1",) * 2


def test_results_are_kept_reported_and_not_computed_again(cases, protocol, tmp_path):
    log, small = tmp_path / "cases.jsonl", replace(cases, maps={1: "knee_0001"})
    small = replace(small, geometries={"P1": cases.geometries["P1"]})
    (first,) = evaluate_label_maps({"typical": constellation_method(protocol)}, small, poses=1, log=log)
    seen = []
    again = evaluate_label_maps(
        {"typical": constellation_method(protocol)}, small, poses=1, log=log, progress=seen.append
    )
    assert again == [first] and not seen
    assert [case.key for case in read_case_log(log)] == [first.key]
    text = report(again)
    assert "angle between normals" in text and "flexion" in text and "100 % inside" in text
    with pytest.raises(InputError, match="other conditions"):
        evaluate_label_maps({}, replace(small, conditions=SimulatedConditions(seed=6)), log=log)


def test_lights_and_wrong_plans_are_counted():
    box = BoxErrors((0.0,) * 3, 6.0, 0.0, (0.0,) * 6, 1.0)
    levels = ["ok", "ok", "warning", "error"]
    found = [
        CaseResult("k", n, "P1", "model", box=box if n else replace(box, rotation_deg=1.0), level=level,
                   slice_angles_deg=(float(n), 0.0), frame_angles_deg=(0.0,) * 3, joint_deg={"flexion": 2.0},
                   side_right=n > 0)
        for n, level in enumerate(levels)
    ]  # fmt: skip
    row = next(line for line in report(found).split("## Lights")[1].splitlines() if "model" in line)
    assert [cell.strip() for cell in row.split("|")[3:-1]] == ["4", "2", "1", "1", "0", "1", "1", "1"]
    errors = measured_errors(found, "model")["P1"]
    assert errors["slice_normal_deg"]["median"] == 1.5 and errors["joint_angle_deg"]["p95"] == 2
    assert (errors["wrong_side"], errors["wrong_and_not_flagged"]) == (1, 1)


def test_the_baseline_lies_where_the_scouts_cross(cases, protocol):
    truth = cases.case(1, 0, "P1")
    plan = constellation_method(protocol)(truth.stacks)
    assert np.linalg.norm(plan.box.center_mm - truth.truth.box.center_mm) < 60


def test_pictures_show_both_boxes(cases, tmp_path, monkeypatch):
    model = fake_model(None, cases.protocol.constellation.names, cases.protocol.constellation.mirror_indices)
    small = replace(cases, maps={1: "knee_0001"}, geometries={"P1": cases.geometries["P1"]})
    truth = small.case(1, 0, "P1")
    # The picture needs a plan as ``calibrate`` gives it, here one of the true landmarks.
    monkeypatch.setattr(pictures, "calibrate", lambda stacks, protocol, model, box: planned_from_truth(truth, protocol))
    case = CaseResult("knee_0001", 0, "P1", model_name(model), box=BoxErrors((0.0,) * 3, 0.0, 0.0, (0.0,) * 6, 1.0))
    (path,) = pictures.draw_cases([case], small, model, tmp_path)
    assert Image.open(path).size == (1100, 496)


def planned_from_truth(case, protocol):
    return plan_from_landmarks(case.stacks, protocol, [Landmark(n).corrected(p) for n, p in case.truth.points.items()])
