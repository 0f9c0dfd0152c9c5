"""Volumes that the application's own DICOM browser loaded: their files' headers pass the checks of our reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import slicer

from ..core.errors import InputError
from ..core.scouts.dicom import DicomFrame, read_dicom_headers, require_one_examination
from ..core.scouts.series import REFORMAT
from ..core.scouts.stack import unanimous
from .scouts_from_nodes import BODY_PART_ATTRIBUTE, FRAME_OF_REFERENCE_ATTRIBUTE, LATERALITY_ATTRIBUTE

#: Where the DICOM browser keeps the UIDs of a volume's files.
INSTANCES_ATTRIBUTE = "DICOM.instanceUIDs"


def require_scouts(nodes: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> None:
    """Refuse volumes whose DICOM headers say that they are not scouts, or that come from several patients or studies.

    The frame of reference of each volume is noted, so that volumes of different ones are not mixed, and the part and
    side of the body that the headers state. Volumes without DICOM files, or whose files are gone, are taken as they
    are.

    Raises:
        InputError: naming the volume.
    """
    everything: list[DicomFrame] = []
    for node in nodes:
        frames = _frames_of(node)
        everything += frames
        kinds = {frame.kind for frame in frames} - {None, REFORMAT}
        if kinds:
            raise InputError(
                f"shows {', '.join(sorted(str(kind) for kind in kinds))}, not the anatomy as it lies in the scanner",
                source=node.GetName(),
                remedy="Choose the localizer's own images.",
            )
        references = {frame.frame_of_reference for frame in frames}
        if len(references) == 1 and not node.GetAttribute(FRAME_OF_REFERENCE_ATTRIBUTE):
            node.SetAttribute(FRAME_OF_REFERENCE_ATTRIBUTE, references.pop() or None)
        if frames:
            node.SetAttribute(LATERALITY_ATTRIBUTE, unanimous(frame.laterality for frame in frames) or None)
            node.SetAttribute(BODY_PART_ATTRIBUTE, unanimous(frame.body_part for frame in frames) or None)
    if everything:
        require_one_examination(everything, ", ".join(node.GetName() for node in nodes))


def _frames_of(node: slicer.vtkMRMLScalarVolumeNode) -> list[DicomFrame]:
    """The headers of the files that the volume was loaded from."""
    database = getattr(slicer, "dicomDatabase", None)
    instances = (node.GetAttribute(INSTANCES_ATTRIBUTE) or "").split()
    if database is None:
        return []
    files = [Path(path) for path in map(database.fileForInstance, instances) if path and Path(path).is_file()]
    # Modality is the user's choice here: the volume is in the scene already.
    return [frame for path in dict.fromkeys(files) for frame in read_dicom_headers(path, force=True)]
