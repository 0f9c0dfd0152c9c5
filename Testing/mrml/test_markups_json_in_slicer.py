"""Markups files against Slicer's own storage nodes, both ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks, read_scan_box, write_landmarks, write_scan_box
from LandmarkTrainingLib.core.new_anatomy.draft import template_text
from LandmarkTrainingLib.core.new_anatomy.names_table import draft_of_names

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


@pytest.fixture
def scene():
    scene = slicer.vtkMRMLScene()
    yield scene
    scene.Clear(True)


def storage(scene, kind: str, path):
    # A scene without the Markups logic does not know these classes by name.
    node = scene.AddNode(getattr(slicer, kind)())
    node.SetFileName(str(path))
    return node


def matrix_of(box: OrientedBox):
    """A vtkMatrix4x4 whose columns are the axes and the centre of the box."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(3):
        for column in range(3):
            matrix.SetElement(row, column, box.axes[column, row])
        matrix.SetElement(row, 3, box.center_mm[row])
    return matrix


def a_box(seed: int) -> OrientedBox:
    axes = Rotation.random(random_state=seed).as_matrix()
    return OrientedBox("Axial", np.array([11.0, -22.0, 33.0]), axes, np.array([140.0, 180.0, 141.0]))


def test_slicer_reads_the_landmarks(scene, tmp_path):
    landmarks = [
        Landmark("AC", np.array([1.25, 2.5, 3.75]), np.eye(3), 0.9, PREDICTED),
        Landmark("PC").corrected(np.array([4.0, 5.0, 6.0])),
        Landmark("GENU"),
    ]
    write_landmarks(tmp_path / "l.mrk.json", landmarks, load_protocol("BrainAcPc").constellation)
    node = scene.AddNode(slicer.vtkMRMLMarkupsFiducialNode())
    assert storage(scene, "vtkMRMLMarkupsJsonStorageNode", tmp_path / "l.mrk.json").ReadData(node) == 1
    assert [node.GetNthControlPointLabel(i) for i in range(3)] == ["AC", "PC", "GENU"]
    assert node.GetNthControlPointPosition(0) == pytest.approx((1.25, 2.5, 3.75))
    assert [bool(node.GetNthControlPointLocked(i)) for i in range(3)] == [False, True, False]
    status = [node.GetNthControlPointPositionStatus(i) for i in range(3)]
    assert status == [node.PositionDefined, node.PositionDefined, node.PositionMissing]
    assert "anterior commissure" in node.GetNthControlPointDescription(0)
    assert node.GetNthControlPointVisibility(0)
    assert node.GetNthControlPointSelected(0)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("vtkMRMLMarkupsJsonStorageNode", "l.mrk.json"), ("vtkMRMLMarkupsFiducialStorageNode", "l.fcsv")],
)
def test_the_landmarks_that_slicer_writes_are_read(scene, tmp_path, kind, name):
    node = scene.AddNode(slicer.vtkMRMLMarkupsFiducialNode())
    node.AddControlPoint(1.25, 2.5, 3.75, "AC")
    node.SetNthControlPointLocked(0, True)
    node.AddControlPoint(0, 0, 0, "PC")
    node.SetNthControlPointPositionMissing(1)
    node.AddControlPoint(0, 0, 0, "GENU")
    node.UnsetNthControlPointPosition(2)
    assert storage(scene, kind, tmp_path / name).WriteData(node) == 1
    points = read_landmarks(tmp_path / name)
    assert [point.name for point in points] == ["AC", "PC", "GENU"]
    assert points[0].position_mm == pytest.approx([1.25, 2.5, 3.75])
    assert [point.locked for point in points] == [True, False, False]
    assert points[1].position_mm is None
    assert points[2].position_mm is None


@pytest.mark.parametrize("seed", range(4))
def test_slicer_reads_the_scan_box(scene, tmp_path, seed):
    box = a_box(seed)
    write_scan_box(tmp_path / "b.mrk.json", box)
    node = scene.AddNode(slicer.vtkMRMLMarkupsROINode())
    assert storage(scene, "vtkMRMLMarkupsROIJsonStorageNode", tmp_path / "b.mrk.json").ReadData(node) == 1
    assert node.GetSize() == pytest.approx(box.size_mm)
    center = [0.0] * 3
    node.GetCenterWorld(center)
    assert center == pytest.approx(box.center_mm)
    matrix = node.GetObjectToWorldMatrix()
    found = np.array([[matrix.GetElement(row, column) for row in range(3)] for column in range(3)])
    assert found == pytest.approx(box.axes)


@pytest.mark.parametrize("seed", range(4))
def test_the_scan_box_that_slicer_writes_is_read(scene, tmp_path, seed):
    box = a_box(seed)
    node = scene.AddNode(slicer.vtkMRMLMarkupsROINode())
    node.SetSize(*box.size_mm)
    node.SetAndObserveObjectToNodeMatrix(matrix_of(box))
    assert storage(scene, "vtkMRMLMarkupsROIJsonStorageNode", tmp_path / "b.mrk.json").WriteData(node) == 1
    again = read_scan_box(tmp_path / "b.mrk.json")
    assert again.center_mm == pytest.approx(box.center_mm)
    assert again.axes == pytest.approx(box.axes)
    assert again.size_mm == pytest.approx(box.size_mm)


def test_the_point_list_of_a_new_anatomy_waits_to_be_placed_in_turn(scene, tmp_path):
    path = tmp_path / "paw.mrk.json"
    names = ["HEEL", "CLAW", "SIDE_R", "SIDE_L"]
    path.write_text(template_text(draft_of_names(names, "paw", "Paw", "paw")), encoding="utf-8")
    node = scene.AddNode(slicer.vtkMRMLMarkupsFiducialNode())
    assert storage(scene, "vtkMRMLMarkupsJsonStorageNode", path).ReadData(node)
    assert [node.GetNthControlPointLabel(i) for i in range(4)] == names
    assert node.GetNumberOfUndefinedControlPoints() == 4
    node.SetNthControlPointPositionWorld(1, 1.0, 2.0, 3.0)
    out = tmp_path / "placed.mrk.json"
    assert storage(scene, "vtkMRMLMarkupsJsonStorageNode", out).WriteData(node)
    placed = {point.name: point.position_mm for point in read_landmarks(out)}
    assert list(placed) == names and placed["HEEL"] is None
    assert placed["CLAW"] == pytest.approx([1, 2, 3])
