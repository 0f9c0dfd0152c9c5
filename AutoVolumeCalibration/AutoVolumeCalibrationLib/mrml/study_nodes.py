"""A study in the scene: one parameter node that refers to its scouts and results, and the nodes it made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import slicer

from ..core.workflow.calibration import Calibration
from .box_node import write_box
from .landmark_nodes import write_landmarks
from .report_nodes import write_checks, write_prescription

#: "ModuleName" of a study's node; the module's own parameter node has the module's name.
MODULE_NAME = "AutoVolumeCalibrationStudy"

SCOUT, LANDMARKS, SCAN_BOX, PRESCRIPTION, CHECKS = "Scout", "Landmarks", "ScanBox", "Prescription", "Checks"
RESULTS = (LANDMARKS, SCAN_BOX, PRESCRIPTION, CHECKS)


@dataclass(frozen=True)
class Study:
    """The scouts of one examination and their results; ``node`` is a vtkMRMLScriptedModuleNode in a scene."""

    node: slicer.vtkMRMLScriptedModuleNode

    @property
    def name(self) -> str:
        return self.node.GetName()

    @property
    def scouts(self) -> list[slicer.vtkMRMLScalarVolumeNode]:
        """The scout volumes that are still in the scene."""
        numbers = range(self.node.GetNumberOfNodeReferences(SCOUT))
        nodes = [self.node.GetNthNodeReference(SCOUT, number) for number in numbers]
        return [node for node in nodes if node is not None]

    @property
    def landmarks(self) -> slicer.vtkMRMLMarkupsFiducialNode | None:
        return self.node.GetNodeReference(LANDMARKS)

    @property
    def scan_box(self) -> slicer.vtkMRMLMarkupsROINode | None:
        return self.node.GetNodeReference(SCAN_BOX)

    @property
    def prescription(self) -> slicer.vtkMRMLTextNode | None:
        return self.node.GetNodeReference(PRESCRIPTION)

    @property
    def checks(self) -> slicer.vtkMRMLTableNode | None:
        return self.node.GetNodeReference(CHECKS)


def studies_in(scene: slicer.vtkMRMLScene) -> list[Study]:
    """All studies of the scene, oldest first."""
    total = scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode")
    nodes = [scene.GetNthNodeByClass(number, "vtkMRMLScriptedModuleNode") for number in range(total)]
    return [Study(node) for node in nodes if node.GetAttribute("ModuleName") == MODULE_NAME]


def create_study(scene: slicer.vtkMRMLScene, scouts: Sequence[slicer.vtkMRMLScalarVolumeNode], name: str) -> Study:
    """A new study of these scout volumes; ``name`` is its name and begins those of its results."""
    node = slicer.vtkMRMLScriptedModuleNode()
    node.SetName(name)
    node.SetAttribute("ModuleName", MODULE_NAME)
    node.SetModuleName(MODULE_NAME)
    study = Study(scene.AddNode(node))
    for scout in scouts:
        node.AddNodeReferenceID(SCOUT, scout.GetID())
    return study


def free_study_name(scene: slicer.vtkMRMLScene) -> str:
    """ "Study 1", "Study 2", ...: the first that no study of the scene has. Never taken from a file or a header."""
    taken = {study.name for study in studies_in(scene)}
    return next(name for name in (f"Study {number}" for number in count(1)) if name not in taken)


def write_calibration(study: Study, calibration: Calibration, *, dragging: bool = False) -> None:
    """Show a calibration in the study's nodes, which are created where they are missing, else updated.

    Args:
        dragging: the user holds a landmark; see ``write_landmarks``.
    """
    scene, name = study.node.GetScene(), study.name
    had = _present(study)
    nodes = {
        LANDMARKS: write_landmarks(scene, study.landmarks, calibration, f"{name} Landmarks", dragging=dragging),
        SCAN_BOX: write_box(scene, study.scan_box, calibration.box, f"{name} ScanBox"),
        PRESCRIPTION: write_prescription(scene, study.prescription, calibration.prescription, f"{name} Prescription"),
        CHECKS: write_checks(scene, study.checks, calibration.checks, f"{name} Checks"),
    }
    made = [node for role, node in nodes.items() if role not in had]
    for role, node in nodes.items():
        if role not in had:
            study.node.SetNodeReferenceID(role, node.GetID())
    put_into_folder(scene, name, made)


def put_into_folder(scene: slicer.vtkMRMLScene, name: str, nodes: Iterable[slicer.vtkMRMLNode]) -> None:
    """List nodes in the folder ``name`` of the Data module, which is made where there is none."""
    nodes = list(nodes)
    if not nodes:
        return
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    root = hierarchy.GetSceneItemID()
    folder = hierarchy.GetItemChildWithName(root, name) or hierarchy.CreateFolderItem(root, name)
    for node in nodes:
        # In the application every node is listed as soon as it is in the scene.
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.SetItemParent(item, folder)
        else:
            hierarchy.CreateItem(folder, node)


def _present(study: Study) -> set[str]:
    return {role for role in RESULTS if study.node.GetNodeReference(role) is not None}
