"""The plan drawn on the scouts themselves: a DICOM grayscale softcopy presentation state (GSPS)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import __version__
from ...files.atomic_write import atomic_path
from ...geometry.cross_sections import box_section_mm
from ...scouts.stack import ScoutSlice, ScoutStack
from ...storage.results import SavedCalibration
from ..extras import needing
from .plan_record import plan_record, record_digest, saved_plan
from .scout_headers import copy_study, frame_number, header_of, time_of_scouts
from .uids import uid_of

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBER, SERIES_DESCRIPTION = 9903, "Scan plan, lines on the scouts (research only)"

#: A landmark is drawn on the slices that are nearer to it than this share of their thickness.
_NEAR = 0.5


def write_presentation_state(
    content: Mapping[str, Any], headers: Sequence[Dataset], stacks: Sequence[ScoutStack], path: Path
) -> None:
    """Write the state; UsageError where the file cannot be written or highdicom is missing.

    Args:
        content: of calibration.json.
        headers: of the scouts.
        stacks: the scouts.
    """
    state = presentation_state(content, headers, stacks)
    with atomic_path(path) as temporary:
        state.save_as(temporary, enforce_file_format=True)


def presentation_state(content: Mapping[str, Any], headers: Sequence[Dataset], stacks: Sequence[ScoutStack]) -> Dataset:
    """The state; arguments as ``write_presentation_state`` has them."""
    with needing("highdicom"):
        from highdicom import pr

    record = plan_record(content)
    saved, identity = saved_plan(record, "plan"), record_digest(record)
    study = str(headers[0].StudyInstanceUID)
    layer = pr.GraphicLayer("PLAN", order=1, description="Planned scan volume and landmarks")
    annotations = []
    for stack in stacks:
        for scout_slice in stack.slices:
            annotation = _annotation(saved, scout_slice, stack.thickness_mm, headers, layer)
            if annotation is not None:
                annotations.append(annotation)
    images = [str(header.SOPInstanceUID) for header in headers]
    state: Dataset = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=list(headers),
        series_instance_uid=uid_of("gsps series", study),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("gsps", study, identity, *images),
        instance_number=1,
        manufacturer="AutoVolumeCalibration",
        manufacturer_model_name="AutoVolumeCalibration",
        software_versions=__version__,
        device_serial_number="0",
        content_label="SCAN PLAN",
        content_description="Planned scan volume (research only)",
        graphic_annotations=annotations,
        graphic_layers=[layer],
        series_description=SERIES_DESCRIPTION,
    )
    copy_study(headers[0], state)
    state.Laterality = ""
    date, time = time_of_scouts(headers)
    state.PresentationCreationDate = state.InstanceCreationDate = date
    state.PresentationCreationTime = state.InstanceCreationTime = time
    for equipment in state.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = f"{date}{time}"
    return state


def section_lines(saved: SavedCalibration, scout_slice: ScoutSlice) -> list[np.ndarray]:
    """The edges (2, 2) of the box in a slice as (column, row) in pixels, cut off at the border of the image.

    The origin is the outer corner of the first pixel, as in presentation states.
    """
    normal = np.cross(scout_slice.column_axis, scout_slice.row_axis)
    corners = _pixels(scout_slice, box_section_mm(saved.box, scout_slice.origin_mm, normal))
    rows, columns = scout_slice.pixels.shape
    edges = (np.array([a, b]) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True))
    inside = (_cut_off(edge, np.array([columns, rows], dtype=float)) for edge in edges)
    return [edge for edge in inside if edge is not None]


def _annotation(
    saved: SavedCalibration, scout_slice: ScoutSlice, thickness_mm: float, headers: Sequence[Dataset], layer: Any
) -> Any:
    """What is drawn on one slice; None where there is nothing."""
    from highdicom import pr

    kinds = [("POLYLINE", edge) for edge in section_lines(saved, scout_slice)]
    kinds += [("POINT", point) for point in _landmark_pixels(saved, scout_slice, thickness_mm)]
    if not kinds:
        return None
    return pr.GraphicAnnotation(
        referenced_images=[header_of(scout_slice.source, headers)],
        referenced_frame_number=frame_number(scout_slice.source),
        graphic_layer=layer,
        graphic_objects=[
            pr.GraphicObject(graphic_type=kind, graphic_data=points, units="PIXEL") for kind, points in kinds
        ],
    )


def _landmark_pixels(saved: SavedCalibration, scout_slice: ScoutSlice, thickness_mm: float) -> list[np.ndarray]:
    found = []
    for landmark in saved.landmarks:
        if landmark.position_mm is None or not scout_slice.shows(landmark.position_mm):
            continue
        if abs(float((landmark.position_mm - scout_slice.origin_mm) @ scout_slice.normal)) <= _NEAR * thickness_mm:
            found.append(_pixels(scout_slice, landmark.position_mm[None]))
    return found


def _pixels(scout_slice: ScoutSlice, points_mm: np.ndarray) -> np.ndarray:
    """(n, 2) columns and rows from the outer corner of the first pixel."""
    return scout_slice.to_pixel(points_mm)[..., ::-1] + 0.5


def _cut_off(edge: np.ndarray, size: np.ndarray) -> np.ndarray | None:
    """The part of a line (2, 2) between 0 and ``size`` (2,); None where it passes by (Liang and Barsky)."""
    start, step = edge[0], edge[1] - edge[0]
    enter, leave = 0.0, 1.0
    for axis in range(2):
        if step[axis] == 0:
            if not 0 <= start[axis] <= size[axis]:
                return None
            continue
        ends = sorted([-start[axis] / step[axis], (size[axis] - start[axis]) / step[axis]])
        enter, leave = max(enter, ends[0]), min(leave, ends[1])
    if enter >= leave:
        return None
    return np.clip(np.array([start + enter * step, start + leave * step]), 0.0, size)
