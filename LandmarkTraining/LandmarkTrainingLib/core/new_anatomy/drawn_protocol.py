"""The first protocol of an anatomy, from a box that was drawn on one case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, BoxRule, Line
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import FORMAT, protocol_from_dict
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError, shortened
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.planning.protocol_editing import save_by_example

from ..reference_heads.truth import true_frame

#: The landmark at zero lies nearer than this to the origin of the reference positions, mm.
ORIGIN_MM = 1.0


@dataclass(frozen=True)
class Slices:
    """How the box is scanned: axes of BOX_AXES, thickness and gap in mm."""

    slice_axis: str = "superior"
    phase_axis: str = "right"
    thickness_mm: float = 3.0
    gap_mm: float = 0.0


def drawn_protocol(
    name: str,
    title: str,
    anatomy: str,
    constellation: Constellation,
    points_mm: Mapping[str, np.ndarray],
    box: OrientedBox,
    slices: Slices,
) -> str:
    """JSON text of a protocol whose one box lies round the landmarks as ``box`` does in this case.

    Every face keeps its distance from the outermost landmark, the angles stay those against the anatomical frame, and
    the box becomes thicker until whole slices fill it.

    Args:
        anatomy: its name.
        points_mm: landmark -> (3,) RAS, of the case.
        box: drawn on the case; its axes in any order.

    Raises:
        InputError: the points do not determine the anatomy's pose.
        UsageError: ``name`` is not valid, or the anatomy has no origin or no line.
        ProtocolError: the slices do not fit the box.
    """
    known = [point for point in points_mm if point in constellation.names]
    if not known:
        raise InputError(
            f"none of the points {shortened(list(points_mm))} is a landmark of {anatomy}",
            remedy=f"Name them as the anatomy does: {shortened(list(constellation.names))}.",
        )
    data = _template(name, anatomy, constellation, slices)
    protocol = protocol_from_dict(data, constellation, Path(f"{name}.json"))
    frame = true_frame([Landmark(point).corrected(points_mm[point]) for point in known], protocol)
    whole = _of_whole_slices(_nearest_axes(box, frame.axes), protocol.boxes[0], slices)
    text = save_by_example(protocol, frame, frame.expected_mm, whole, name, title)
    content = {**json.loads(text), "anatomy": anatomy, "definition": "Drawn on one case, relative to its landmarks."}
    return json_text(content)


def origin_of(constellation: Constellation) -> str | None:
    """The landmark at zero; None where there is none."""
    distances = np.linalg.norm(constellation.reference_mm, axis=1)
    nearest = int(distances.argmin())
    return constellation.names[nearest] if distances[nearest] < ORIGIN_MM else None


def _template(name: str, anatomy: str, constellation: Constellation, slices: Slices) -> dict[str, Any]:
    """The content of a protocol of this frame and these slices, with a box whose faces lie on the landmarks."""
    origin = origin_of(constellation)
    if origin is None or not constellation.lines:
        raise UsageError(
            f"the anatomy {anatomy} has no landmark at zero, or no line along its anterior axis",
            remedy="Measure it from the points again, with an origin and a line.",
        )
    every = list(constellation.names)
    return {
        "format": FORMAT,
        "name": name,
        "anatomy": anatomy,
        "frame": {"origin": origin, "line": _line(constellation.lines[0].line)},
        "boxes": [
            {
                "name": name,
                "line": None,
                "slice_axis": slices.slice_axis,
                "phase_axis": slices.phase_axis,
                "faces": {face: {"landmark": every, "margin_mm": 0.0} for face in FACES},
                "slice_thickness_mm": slices.thickness_mm,
                "gap_mm": slices.gap_mm,
                "round_up_to_slices": True,
            }
        ],
    }


def _line(line: Line) -> dict[str, list[str]]:
    return {"from": list(line[0]), "to": list(line[1])}


def _nearest_axes(box: OrientedBox, axes: np.ndarray) -> OrientedBox:
    """The same box with its axes named after those of the frame (3, 3): an ROI can be drawn in any orientation."""
    options = [
        (np.array(signs)[:, None] * box.axes[list(order)], list(order))
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    proper = [(turned, order) for turned, order in options if np.linalg.det(turned) > 0]
    best, order = max(proper, key=lambda option: float(np.trace(option[0] @ axes.T)))
    return replace(box, axes=best, size_mm=np.asarray(box.size_mm)[order])


def _of_whole_slices(box: OrientedBox, rule: BoxRule, slices: Slices) -> OrientedBox:
    """The box, thicker on both sides alike until whole slices fill it."""
    size = np.array(box.size_mm, dtype=float)
    axis = BOX_AXES.index(slices.slice_axis)
    size[axis] = rule.slab_mm(rule.slice_count(size[axis]))
    return replace(box, name=rule.name, size_mm=size)
