"""Make a protocol from a box that the user adjusted: the box is stored relative to the anatomical frame."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..anatomy.axis_lines import BOX_AXES, AxisLine, Line, along_lines
from ..anatomy.box_side import on_side
from ..anatomy.constellation import Constellation
from ..anatomy.protocol import SLICE_TOLERANCE, BoxRule, FaceRule, FixedSlab, FrameRule, Protocol, box_rule
from ..anatomy.protocol_file import FORMAT, load_protocol, protocol_from_dict, shipped_anatomy
from ..errors import ProtocolError, UsageError
from ..files.atomic_write import write_text
from ..files.json_files import json_text, read_json
from ..geometry.oriented_box import FACES, OrientedBox
from ..geometry.rotations import tilts_of_rotation
from .frame import AnatomicalFrame
from .margins import margin_beyond_mm

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration

#: Decimals of stored tilts and margins: far below what any scanner takes.
_DECIMALS = 6


def save_by_example(
    protocol: Protocol,
    frame: AnatomicalFrame,
    landmarks_mm: Mapping[str, np.ndarray],
    box: OrientedBox,
    name: str,
    title: str,
) -> str:
    """JSON text of a protocol ``name`` whose one box rule gives ``box`` again for this head.

    The rule keeps the line, the landmarks of the faces and the slices of the protocol's box of the
    same name (its first where there is none); tilts and margins follow from the box. Sizes are
    rounded up to a whole number of slices only where the box already holds one; a fixed slab stays one
    only while the box has its size.

    Args:
        landmarks_mm: name -> (3,) RAS, expected position of every landmark that the rule uses.

    Raises:
        UsageError: ``name`` is not a letter followed by letters, digits and underscores.
    """
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,63}", name):
        raise UsageError(f"{name!r} is not a valid protocol name", remedy="Use letters, digits and underscores.")
    known = {rule.name for rule in protocol.boxes}
    rule = box_rule(protocol, box.name if box.name in known else None)
    data: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "title": title,
        "definition": f"Saved by example from {protocol.name}.",
    }
    if protocol.anatomy:
        data["anatomy"] = protocol.anatomy
    if protocol.constellation is not shipped_anatomy(protocol.anatomy):
        # An anatomy beside the old protocol would not be found beside the new one.
        data.update(constellation_to_dict(protocol.constellation))
    if protocol.side:
        data["side"] = protocol.side
    data["frame"] = _frame_to_dict(protocol.frame)
    own = on_side(rule, frame.side, protocol.constellation)
    data["boxes"] = [_example_rule(own, frame, landmarks_mm, box, title)]
    return json_text(data)


def constellation_to_dict(constellation: Constellation) -> dict[str, Any]:
    """``landmarks``, ``modes_mm``, ``lines`` and the parts of a joint as in protocol and anatomy files."""
    joint = dict(constellation.joint.entries) if constellation.joint else {}
    return {
        "landmarks": [
            {
                "name": landmark.name,
                "title": landmark.title,
                "definition": landmark.definition,
                "reference_mm": landmark.reference_mm.tolist(),
                "sd_mm": landmark.sd_mm.tolist(),
                "planes": list(landmark.planes),
                "mirror": landmark.mirror,
            }
            for landmark in constellation.landmarks
        ],
        "modes_mm": [mode.reshape(-1, 3).tolist() for mode in constellation.modes_mm],
        "lines": [each.to_dict() for each in constellation.lines],
        **joint,
    }


def _example_rule(
    rule: BoxRule, frame: AnatomicalFrame, landmarks_mm: Mapping[str, np.ndarray], box: OrientedBox, title: str
) -> dict[str, Any]:
    size = float(box.size_mm[BOX_AXES.index(rule.slice_axis)])
    kept = rule.fixed_size_mm()
    fixed = kept is not None and bool(np.allclose(kept, box.size_mm, atol=SLICE_TOLERANCE))
    whole = abs(rule.slab_mm(rule.slice_count(size)) - size) < SLICE_TOLERANCE * rule.slice_thickness_mm
    tilt = tilt_between_deg(along_lines(frame.axes, rule.axis_lines, landmarks_mm), box.axes)
    lines = [_axis_line_to_dict(each) for each in rule.lines]
    return {
        "name": rule.name,
        "title": title,
        **({"lines": lines} if lines else {"line": _line_to_dict(rule.line) if rule.line else None}),
        **({"side": rule.side} if rule.side else {}),
        "tilt_deg": {f"about_{axis}": _rounded(angle) for axis, angle in zip(BOX_AXES, tilt, strict=True)},
        "slice_axis": rule.slice_axis,
        "phase_axis": rule.phase_axis,
        "faces": {face: _example_face(rule.faces[face], face, landmarks_mm, box) for face in FACES},
        "slice_thickness_mm": rule.slice_thickness_mm,
        "gap_mm": rule.gap_mm,
        "round_up_to_slices": bool(rule.round_up_to_slices and whole),
        "slab": asdict(rule.slab) if rule.slab and fixed else None,
    }


def _example_face(
    rule: FaceRule, face: str, landmarks_mm: Mapping[str, np.ndarray], box: OrientedBox
) -> dict[str, Any]:
    """The face where the box has it: a fixed length from the rule's anchor, or a margin beyond its landmarks."""
    entry: dict[str, Any] = {"landmark": list(rule.landmarks)}
    if rule.anchor:
        anchor = np.mean([landmarks_mm[name] for name in rule.anchor], axis=0)
        length = margin_beyond_mm(box, face, [anchor])
        return {**entry, "anchor": list(rule.anchor), "length_mm": _rounded(length)}
    margin = margin_beyond_mm(box, face, (landmarks_mm[name] for name in rule.landmarks))
    return {**entry, "margin_mm": _rounded(margin)}


def tilt_between_deg(axes: np.ndarray, tilted: np.ndarray) -> np.ndarray:
    """(3,) ``tilt_deg`` with which ``tilted_axes(axes, tilt_deg)`` is ``tilted``; both (3, 3), rows in RAS."""
    return np.rad2deg(tilts_of_rotation(np.asarray(axes) @ np.asarray(tilted).T))


def _frame_to_dict(frame: FrameRule) -> dict[str, Any]:
    stated: dict[str, Any] = {"origin": frame.origin}
    if frame.lines:
        stated["lines"] = [_axis_line_to_dict(each) for each in frame.lines]
    else:
        stated["line"] = _line_to_dict(frame.line)
    if frame.follows:
        stated["follows"] = dict(frame.follows)
    return stated


def _axis_line_to_dict(each: AxisLine) -> dict[str, Any]:
    about = {"about": each.about} if each.about else {}
    return {"axis": each.axis, **_line_to_dict(each.line), **about}


def _line_to_dict(line: Line) -> dict[str, list[str]]:
    return {"from": list(line[0]), "to": list(line[1])}


def _rounded(value: float) -> float:
    return round(float(value), _DECIMALS) + 0.0


#: The suffix of a protocol's name once the user has changed its box for one study.
ADJUSTED = "Adjusted"


def with_margins(protocol: Protocol, box: str, margins: Mapping[str, float], folder: Path) -> Protocol:
    """The protocol with other margins (face -> mm) of its box ``box``, as a file in the existing ``folder``.

    A file of the same name there is replaced: give a new folder where plans with the old one are still in use.
    """
    data = _content(protocol)
    faces = _rule(data, box)["faces"]
    for face, margin_mm in margins.items():
        # The user's own margin: it does not grow with the uncertainty.
        faces[face] = {"landmark": faces[face]["landmark"], "margin_mm": float(margin_mm)}
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


#: The suffix of a protocol's name with a fixed slab.
SLAB = "Slab"


def with_slab(protocol: Protocol, box: str, slab: FixedSlab, folder: Path) -> tuple[Protocol, str]:
    """The protocol whose box ``box`` keeps ``slab``, its other boxes as they are; and the text of its file.

    The file is not written: it belongs at the protocol's ``source``, in ``folder``.
    """
    data = _content(protocol)
    _rule(data, box)["slab"] = asdict(slab)
    if not data["name"].endswith(SLAB):
        data = {**data, "name": data["name"] + SLAB, "title": f"{data.get('title', data['name'])}, fixed slab"}
    path = folder / f"{data['name']}.json"
    return protocol_from_dict(data, protocol.constellation, path), json_text(data)


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
