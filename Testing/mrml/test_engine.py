"""Studies in a scene: calibrated, corrected, restored, never duplicated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, MISSING, PREDICTED
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, InputError, ProtocolError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.workflow import pipeline
from calibrations import scout_stacks

slicer = pytest.importorskip("slicer")

from AutoVolumeCalibrationLib.mrml import engine as engine_module  # noqa: E402
from AutoVolumeCalibrationLib.mrml.box_node import box_from_node  # noqa: E402
from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine  # noqa: E402
from AutoVolumeCalibrationLib.mrml.report_nodes import rows_of  # noqa: E402


@pytest.fixture
def no_network(monkeypatch, plan):
    """Stands for the network: finds what ``plan`` predicts. Gives the corrections it was called with."""
    calls = []

    def calibrate(stacks, protocol, *, model, device, box, corrections, threshold, progress, cancelled):
        calls.append(list(corrections))
        protocol = protocol or plan.protocol
        info = replace(plan.model, threshold=threshold)
        return pipeline.plan_from_landmarks(
            stacks, protocol, corrections, predicted=plan.predicted, model=info, box=box
        )

    monkeypatch.setattr(engine_module, "plan_with_installed", calibrate)
    return calls


def move(study, name, by=(4.0, 0.0, 0.0)):
    node = study.landmarks
    index = node.GetControlPointIndexByLabel(name)
    node.SetNthControlPointPositionWorld(index, *np.add(node.GetNthControlPointPositionWorld(index), by))


def status(calibration, name):
    return next(mark.status for mark in calibration.landmarks if mark.name == name)


def result_ids(study):
    return [node.GetID() for node in (study.landmarks, study.scan_box, study.prescription, study.checks)]


def assert_box_shown(study, calibration):
    shown = box_from_node(study.scan_box)
    assert shown.name == calibration.box.name
    np.testing.assert_allclose(shown.center_mm, calibration.box.center_mm, atol=1e-9)
    np.testing.assert_allclose(shown.axes, calibration.box.axes, atol=1e-9)
    np.testing.assert_allclose(shown.size_mm, calibration.box.size_mm, atol=1e-9)


def test_a_study_shows_landmarks_box_prescription_and_checks(study, plan):
    assert study.name == "Study 1"
    assert [node.GetName() for node in study.scouts] == [f"Study 1 {p}" for p in ("sagittal", "coronal", "axial")]
    assert study.landmarks.GetName() == "Study 1 Landmarks"
    assert_box_shown(study, plan)
    assert study.prescription.GetText() == plan.prescription.to_text()
    assert rows_of(study.checks) == [(check.name, check.level, check.message) for check in plan.checks]


def test_all_nodes_of_a_study_lie_in_one_folder(scene, study):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.GetItemChildWithName(hierarchy.GetSceneItemID(), "Study 1")
    nodes = [*study.scouts, study.landmarks, study.scan_box, study.prescription, study.checks]
    assert {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes} == {folder}


def test_calibrating_again_updates_the_same_nodes(engine, no_network, nodes_in, plan):
    study = engine.calibrate(engine.add_stacks(scout_stacks()), "BrainAcPc")
    count, ids = nodes_in(), result_ids(study)
    for protocol in ("BrainAcPc", "BrainSubcallosal", "BrainAcPc"):
        engine.calibrate(study, protocol)
        assert_box_shown(study, engine.calibration(study))
    assert (nodes_in(), result_ids(study)) == (count, ids)
    assert [s.name for s in engine.studies()] == ["Study 1"]


def test_scout_nodes_without_a_study_get_one_and_the_same_nodes_the_same_one(engine, no_network):
    nodes = engine.add_stacks(scout_stacks(), name="Loaded").scouts
    assert engine.calibrate(nodes, "BrainAcPc") == engine.calibrate(list(reversed(nodes)), "BrainAcPc")
    assert [study.name for study in engine.studies()] == ["Loaded"]
    assert engine.calibrate(nodes[:2], "BrainAcPc").name == "Study 1"


def test_the_scouts_are_calibrated_where_their_transform_puts_them(engine, scene, no_network):
    study = engine.add_stacks(scout_stacks())
    shift = np.eye(4)
    shift[:3, 3] = [0.0, 0.0, 12.0]
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    for node in study.scouts:
        node.SetAndObserveTransformNodeID(transform.GetID())
    engine.calibrate(study, "BrainAcPc")
    center = engine.calibration(study).stacks[0].slices[1].center_mm
    assert center == pytest.approx(scout_stacks()[0].slices[1].center_mm + [0, 0, 12])


def test_corrections_hold_when_calibrating_again(engine, no_network):
    study = engine.calibrate(engine.add_stacks(scout_stacks()), "BrainAcPc")
    move(study, "AC")
    study.landmarks.UnsetNthControlPointPosition(study.landmarks.GetControlPointIndexByLabel("CUL"))
    engine.calibrate(study, "BrainAcPc")
    assert {mark.name: mark.status for mark in no_network[-1]} == {"AC": CORRECTED, "CUL": MISSING}
    assert status(engine.calibration(study), "AC") == CORRECTED
    assert status(engine.calibration(study), "CUL") == MISSING


def test_the_threshold_is_handed_on_and_saved_with_the_study(engine, scene, no_network):
    study = engine.calibrate(engine.add_stacks(scout_stacks()), "BrainAcPc", threshold=0.4)
    move(study, "AC")
    engine.refit(study)
    assert CalibrationEngine(scene).calibration(study).model.threshold == 0.4
    engine.calibrate(study, "BrainAcPc")
    assert CalibrationEngine(scene).calibration(study).model.threshold is None


def test_a_refit_follows_the_moved_point(engine, study, plan):
    move(study, "PC", (0.0, 0.0, 6.0))
    result = engine.refit(study)
    pitch = np.degrees(np.arccos(result.box.axes[1] @ plan.box.axes[1]))
    assert pitch > 2.0
    assert status(result, "PC") == CORRECTED
    assert_box_shown(study, result)
    assert study.prescription.GetText() == result.prescription.to_text() != plan.prescription.to_text()
    assert engine.calibration(study) is result


def test_the_rest_is_predicted_from_what_a_person_placed(engine, scene, study, plan, monkeypatch, nodes_in):
    calls = []

    def repredict(calibration, corrections, model, *, progress, cancelled):
        calls.append(({mark.name: mark.status for mark in corrections}, model))
        info = replace(plan.model, name="guide", guidance=("PC",))
        found = [replace(m, position_mm=m.position_mm + 3.0) for m in plan.predicted if m.position_mm is not None]
        return pipeline.plan_from_landmarks(
            calibration.stacks, calibration.protocol, corrections, predicted=found, model=info
        )

    monkeypatch.setattr(engine_module, "load_model", lambda name, device: (name, device))
    monkeypatch.setattr(engine_module.pipeline, "repredict", repredict)
    move(study, "PC", (0.0, 0.0, 6.0))
    study.landmarks.UnsetNthControlPointPosition(study.landmarks.GetControlPointIndexByLabel("CUL"))
    nodes = nodes_in()
    result = engine.repredict(study, device="cpu")
    assert calls == [({"PC": CORRECTED, "CUL": MISSING}, (None, "cpu"))]  # the study's own is not installed
    engine.repredict(study, model="mine")
    assert calls[1][1] == ("mine", "auto")
    monkeypatch.setattr("AutoVolumeCalibrationLib.core.models.bundle.model_folders", lambda: {"guide": Path("guide")})
    engine.repredict(study)
    assert calls[2][1] == ("guide", "auto")
    again = CalibrationEngine(scene).calibration(study)
    assert (again.model.name, again.model.guidance) == ("guide", ("PC",))
    assert (status(result, "PC"), status(again, "CUL")) == (CORRECTED, MISSING)
    assert nodes_in() == nodes
    assert_box_shown(study, engine.calibration(study))


def test_a_refit_can_change_the_box_of_the_protocol(engine, plan):
    protocol = load_protocol("BrainAcPc")
    other = replace(protocol.boxes[0], name="Other", slice_thickness_mm=7.0)
    study = engine.add_stacks(plan.stacks)
    engine.show(study, replace(plan, protocol=replace(protocol, boxes=(*protocol.boxes, other))))
    assert engine.refit(study, box="Other").prescription.slice_thickness_mm == 7.0
    assert engine.refit(study).box.name == "Other"


def test_restoring_brings_the_prediction_and_its_box_back(engine, study, plan):
    move(study, "PC", (0.0, 0.0, 6.0))
    move(study, "AC", (3.0, 0.0, 0.0))
    engine.refit(study)
    one = engine.restore(study, "PC")
    assert (status(one, "PC"), status(one, "AC")) == (PREDICTED, CORRECTED)
    engine.restore(study)
    assert_box_shown(study, plan)
    assert engine.corrections(study) == []


def test_a_dragged_box_is_prescribed_as_it_lies_until_the_next_refit(engine, study, plan):
    study.scan_box.SetSize(120.0, 150.0, 90.0)
    adopted = engine.adopt_box(study)
    assert adopted.prescription.fov_read_mm == pytest.approx(150.0)
    assert study.prescription.GetText() == adopted.prescription.to_text()
    assert CalibrationEngine(engine.scene).calibration(study).box.size_mm == pytest.approx([120.0, 150.0, 90.0])
    engine.refit(study)
    assert_box_shown(study, plan)


def test_two_studies_do_not_touch_each_other(engine, study, plan):
    other = engine.add_stacks(scout_stacks(rotation_deg=(5.0, 0.0, 0.0)))
    engine.show(other, plan)
    assert [s.name for s in engine.studies()] == ["Study 1", "Study 2"]
    assert not {*result_ids(study)} & {*result_ids(other)}
    move(other, "PC", (0.0, 0.0, 6.0))
    changed = engine.refit(other)
    assert_box_shown(study, plan)
    assert_box_shown(other, changed)
    assert status(engine.calibration(study), "PC") == PREDICTED


def test_a_second_engine_carries_on_from_the_scene_alone(engine, study, plan):
    move(study, "AC")
    first = engine.refit(study)
    second = CalibrationEngine(engine.scene)
    recalled = second.calibration(second.studies()[0])
    assert recalled.model.sha256 == plan.model.sha256
    assert recalled.frame.expected_mm["VERTEX"] == pytest.approx(first.frame.expected_mm["VERTEX"])
    move(study, "PC", (0.0, 0.0, 6.0))
    np.testing.assert_allclose(second.refit(study).box.center_mm, engine.refit(study).box.center_mm, atol=1e-9)


def test_a_protocol_from_a_file_is_kept_in_the_scene(engine, plan, tmp_path):
    path = tmp_path / "Mine.json"
    path.write_text(resource_path("Protocols", "BrainAcPc.json").read_text().replace('"BrainAcPc"', '"Mine"'))
    study = engine.add_stacks(plan.stacks)
    engine.show(study, replace(plan, protocol=load_protocol(path)))
    path.unlink()
    second = CalibrationEngine(engine.scene)
    move(study, "AC")
    assert second.refit(study).protocol.name == "Mine"


def test_deleted_results_are_made_again(engine, scene, study, plan):
    for node in (study.scan_box, study.landmarks, study.prescription, study.checks):
        scene.RemoveNode(node)
    engine.refit(study)
    assert_box_shown(study, plan)
    assert study.landmarks.GetName() == "Study 1 Landmarks"
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsNode") == 2


def test_a_cleared_scene_leaves_an_engine_that_works(engine, scene, study, plan):
    scene.Clear(False)
    assert engine.studies() == []
    again = engine.add_stacks(plan.stacks)
    assert engine.calibration(again) is None
    engine.show(again, plan)
    assert_box_shown(again, plan)


def test_scouts_are_read_from_files(engine):
    study = engine.add_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
    assert [node.GetName() for node in study.scouts] == [f"Study 1 {p}" for p in ("sagittal", "coronal", "axial")]


def test_too_few_points_are_an_error_that_names_the_study_and_leaves_the_box(engine, study, plan):
    node = study.landmarks
    for index in range(2, node.GetNumberOfControlPoints()):
        node.UnsetNthControlPointPosition(index)
    with pytest.raises(InputError, match=r"Study 1: only 2 landmarks are placed.*Place more"):
        engine.refit(study)
    assert_box_shown(study, plan)


def test_what_cannot_be_calibrated_is_refused_before_anything_is_made(engine, nodes_in):
    study = engine.add_stacks(scout_stacks())
    count = nodes_in()
    with pytest.raises(ProtocolError, match="no box Nonsense"):
        engine.calibrate(study, "BrainAcPc", box="Nonsense")
    with pytest.raises(InputError, match="Study 1: has not been calibrated"):
        engine.refit(study)
    with pytest.raises(AutoVolumeError, match="unknown model nothing"):
        engine.calibrate(study.scouts[:2], "BrainAcPc", model="nothing")
    assert (nodes_in(), len(engine.studies())) == (count, 1)


def test_a_damaged_state_is_named(engine, study):
    study.node.SetParameter("Calibration", "{}")
    with pytest.raises(InputError, match="Study 1: is saved in a damaged form"):
        engine.refit(study)


def test_nothing_of_the_path_is_kept_in_a_study(engine, tmp_path, plan):
    study = engine.add_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
    engine.show(study, plan)
    assert str(Path(resource_path("SampleData"))) not in study.node.GetParameter("Calibration")
