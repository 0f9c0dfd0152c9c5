"""Training studies from the scene: any point list with its scouts or volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.stack import require_usable
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy, random_name
from AutoVolumeCalibrationLib.core.storage.markups import MarkupPoint
from AutoVolumeCalibrationLib.mrml.scouts_from_nodes import stacks_from_volume_nodes

from ..core.datasets.reading import landmarks_of_points


def study_from_nodes(
    points: slicer.vtkMRMLMarkupsFiducialNode,
    volumes: Sequence[slicer.vtkMRMLScalarVolumeNode],
    *,
    name: str | None = None,
    subject: str | None = None,
) -> LabelledStudy:
    """The points of a node with the scouts in volume nodes, all in world coordinates, for ``dataset.append_study``.

    A 3D volume is cut into three planes. Predictions in the module's landmark node count once they are locked; add a
    case that was corrected there with ``dataset.add_study`` instead, which also keeps the removed landmarks.

    Args:
        name: of the study, letters, digits, ``_`` and ``-``, without patient data; a random one when None.
        subject: pseudonym of the patient, if several studies show the same one.

    Raises:
        InputError: no point was placed or locked, a name is missing or repeated, or the volumes do not show
            scouts in two planes.
    """
    stacks = tuple(stacks_from_volume_nodes(volumes))
    require_usable(stacks)
    landmarks = landmarks_of_points(markup_points(points), predictions=False)
    if not any(landmark.position_mm is not None for landmark in landmarks):
        raise InputError(
            "has no point that the user placed",
            source=points.GetName(),
            remedy="Place points, or lock those that are right.",
        )
    provenance = {"kind": "scene", "coordinate_system": "RAS", **({"subject": subject} if subject else {})}
    return LabelledStudy(name or random_name("case"), stacks, landmarks, provenance)


def markup_points(node: slicer.vtkMRMLMarkupsFiducialNode) -> list[MarkupPoint]:
    """The points of a node in world coordinates; InputError where two share a name, or one has none."""
    points = [_point(node, index) for index in range(node.GetNumberOfControlPoints())]
    names = [point.name for point in points]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if "" in names or repeated:
        what = f"has more than one point named {', '.join(repeated)}" if any(repeated) else "has a point without a name"
        raise InputError(what, source=node.GetName(), remedy="Name every point as in the protocol, each once.")
    return points


def _point(node: slicer.vtkMRMLMarkupsFiducialNode, index: int) -> MarkupPoint:
    placed = node.GetNthControlPointPositionStatus(index) == node.PositionDefined
    return MarkupPoint(
        node.GetNthControlPointLabel(index).strip(),
        np.array(node.GetNthControlPointPositionWorld(index)) if placed else None,
        bool(node.GetNthControlPointLocked(index)),
        node.GetNthControlPointDescription(index) or "",
    )
