"""Studies to learn from, out of the scene: any point list with the scouts or volumes that it belongs to."""

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

    A 3D volume is cut into three planes. Predictions of our own landmark node count once they are locked; a case that
    was corrected there is better added with ``dataset.add_study``, which keeps what was taken away.

    Args:
        name: of the study, letters, digits, ``_`` and ``-``, without patient data; a random one when None.
        subject: pseudonym of the person, where several studies show the same one.

    Raises:
        InputError: no point counts, a name is missing or repeated, or the volumes are no scouts in two planes.
    """
    stacks = tuple(stacks_from_volume_nodes(volumes))
    require_usable(stacks)
    landmarks = landmarks_of_points(markup_points(points), predictions=False)
    if not any(mark.position_mm is not None for mark in landmarks):
        raise InputError(
            "has no point that a person placed",
            source=points.GetName(),
            remedy="Place points, or lock those that hold.",
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
