"""The margins of a box: what is in them, what the uncertainty makes of them, and a protocol with others."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .boxes import FACES, OrientedBox
from .calibration import AnatomicalFrame, Calibration
from .coverage import Coverage, coverage_of
from .errors import ProtocolError
from .json_files import json_text, read_json
from .protocol_by_example import constellation_to_dict, save_by_example
from .protocols import Protocol, box_rule, load_protocol, shipped_anatomy
from .whole_files import write_text

#: Margins are proposed in steps of so many mm, rounded up.
MARGIN_STEP_MM = 0.5

#: What a protocol's name ends with once a person has changed its box for one study.
ADJUSTED = "Adjusted"


def margins_mm(box: OrientedBox, frame: AnatomicalFrame, protocol: Protocol) -> dict[str, float]:
    """Face -> mm from the outermost expected landmark of the face out to the face; more than the rule's where the
    box was rounded up to whole slices. Faces without landmarks are left out.
    """
    rule = next(rule for rule in protocol.boxes if rule.name == box.name)
    margins = {}
    for face in FACES:
        if face in rule.faces:
            axis, positive = divmod(FACES.index(face), 2)
            outward = box.axes[axis] if positive else -box.axes[axis]
            reach = max((frame.expected_mm[name] - box.center_mm) @ outward for name in rule.faces[face].landmarks)
            margins[face] = float(box.size_mm[axis] / 2 - reach)
    return margins


def coverage_text(margin_mm: float, reach_mm: float, measured: bool) -> str:
    """What a margin promises, in words: the anatomy reaches at most ``reach_mm`` beyond the landmarks, with 95 %.

    Args:
        measured: whether that was measured for such a box, or assumed.
    """
    level = "95 %" if measured else "about 95 %"
    beyond_mm = reach_mm - margin_mm
    if beyond_mm < 0.05:
        return f"covered, {-beyond_mm:.1f} mm to spare ({level})"
    return f"anatomy up to {beyond_mm:.1f} mm beyond ({level})"


def plan_coverage(calibration: Calibration) -> Coverage:
    """What the stated uncertainty of a plan's box is worth."""
    rule = box_rule(calibration.protocol, calibration.box.name)
    return coverage_of(rule, calibration.model.coverage if calibration.model else ())


def proposed_margins_mm(calibration: Calibration) -> dict[str, float]:
    """Face -> margin in steps of MARGIN_STEP_MM; with all of them together 95 % of heads lie fully inside the box."""
    safe = plan_coverage(calibration).safe_margins_mm(calibration.box.face_sd_mm)
    return {face: math.ceil(margin / MARGIN_STEP_MM - 1e-6) * MARGIN_STEP_MM for face, margin in safe.items()}


def with_margins(protocol: Protocol, box: str, margins: Mapping[str, float], folder: Path) -> Protocol:
    """The protocol with other margins (face -> mm) of its box ``box``, as a file in the existing ``folder``.

    A file of the same name there is replaced: give a new folder where plans with the old one are still in use.
    """
    data = _content(protocol)
    faces = _rule(data, box)["faces"]
    for face, margin_mm in margins.items():
        faces[face] = {**faces[face], "margin_mm": float(margin_mm)}
    return _written(data, folder)


def with_box(protocol: Protocol, calibration: Calibration, box: OrientedBox, folder: Path) -> Protocol:
    """The protocol whose rule gives ``box`` for this head, as a file in ``folder``; its other boxes stay.

    ``folder`` is as for ``with_margins``.
    """
    frame = calibration.frame
    text = save_by_example(protocol, frame, frame.expected_mm, box, protocol.name, protocol.title)
    data = _content(protocol)
    changed = json.loads(text)["boxes"][0]
    rule = _rule(data, box.name)
    rule.update({**changed, "title": rule.get("title", changed["title"])})
    return _written(data, folder)


def _content(protocol: Protocol) -> dict[str, Any]:
    """What the protocol's file says, complete in itself.

    Raises:
        ProtocolError: the file is gone.
    """
    data = read_json(protocol.source, ProtocolError, "Put the protocol file back.")
    if protocol.constellation is not shipped_anatomy(protocol.anatomy):
        # An anatomy beside the old file would not be found beside the new one.
        data = {**data, **constellation_to_dict(protocol.constellation)}
    return data


def _rule(data: dict[str, Any], box: str) -> dict[str, Any]:
    return next(rule for rule in data["boxes"] if rule["name"] == box)


def _written(data: dict[str, Any], folder: Path) -> Protocol:
    if not data["name"].endswith(ADJUSTED):
        data = {**data, "name": data["name"] + ADJUSTED, "title": f"{data.get('title', data['name'])}, adjusted"}
    path = folder / f"{data['name']}.json"
    write_text(path, json_text(data))
    return load_protocol(path)
