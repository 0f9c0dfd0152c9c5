"""The lines, the frame and the sides of a protocol file, read and checked against its constellation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ProtocolError
from .axis_lines import BOX_AXES, AxisLine, Line, along_lines, line_direction
from .constellation import Constellation
from .protocol import FrameRule

#: How far the reference constellation may lie off its own frame.
PLACEMENT_TOLERANCE_MM = 1.0
PLACEMENT_TOLERANCE_DEG = 3.0

#: A line of a box farther off its axis than this in the reference constellation names the wrong axis or direction.
LARGEST_TURN_DEG = 60.0

REMEDY = "Correct the protocol file."


def read_frame(entry: Mapping[str, Any], constellation: Constellation, source: Path) -> FrameRule:
    """The frame of a protocol file; ProtocolError where it names unknown landmarks or parts, or lies elsewhere."""
    lines = read_lines(entry.get("lines"), "frame.lines", constellation, source)
    if "line" in entry and lines:
        raise _fault("frame: states both line and lines", source)
    if "line" not in entry and not lines:
        raise _fault("frame: states no line", source)
    line = lines[0].line if lines else read_line(entry["line"])
    frame = FrameRule(entry["origin"], line, lines, _follows(entry.get("follows"), constellation, source))
    require_known([frame.origin, *frame.line[0], *frame.line[1]], constellation, "frame", source)
    _require_placed(frame, constellation, source)
    return frame


def read_lines(
    entries: Sequence[Mapping[str, Any]] | None, path: str, constellation: Constellation, source: Path
) -> tuple[AxisLine, ...]:
    """One or two lines with their axes; ProtocolError where they share an axis or run along another one."""
    lines = tuple(AxisLine(entry["axis"], read_line(entry), entry.get("about")) for entry in entries or ())
    for number, each in enumerate(lines):
        require_known([*each.line[0], *each.line[1]], constellation, f"{path}[{number}]", source)
        if each.axis == each.about:
            raise _fault(f"{path}[{number}].about: is the axis that runs along the line", source)
    if len(lines) == 2 and lines[0].axis == lines[1].axis:
        raise _fault(f"{path}: both lines are for the {lines[0].axis} axis", source)
    if lines:
        _require_directions(lines, path, constellation, source)
    return lines


def read_line(entry: Mapping[str, Any]) -> Line:
    """(from, to) of a line's entry."""
    return read_names(entry["from"]), read_names(entry["to"])


def read_names(value: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several."""
    return (value,) if isinstance(value, str) else tuple(value)


def read_side(entry: Mapping[str, Any], path: str, constellation: Constellation, source: Path) -> str:
    """The side that a protocol or a box states, empty where it states none."""
    side = str(entry.get("side") or "")
    if side and constellation.joint is None:
        raise _fault(f"{path}: this anatomy has no sides", source)
    return side


def require_known(names: Iterable[str], constellation: Constellation, path: str, source: Path) -> None:
    """ProtocolError naming the landmarks that the anatomy does not define."""
    unknown = [name for name in names if name not in constellation.names]
    if unknown:
        raise _fault(f"{path}: {', '.join(unknown)} not defined in this anatomy", source)


def _follows(entry: str | Mapping[str, float] | None, constellation: Constellation, source: Path) -> dict[str, float]:
    """Part -> share, adding up to 1."""
    if not entry:
        return {}
    shares = {entry: 1.0} if isinstance(entry, str) else {part: float(share) for part, share in entry.items()}
    parts = constellation.joint.parts if constellation.joint else {}
    unknown = [part for part in shares if part not in parts]
    if unknown:
        known = f"its parts are {', '.join(parts)}" if parts else "it is one rigid body"
        raise _fault(f"frame.follows: {', '.join(unknown)} not a part of this anatomy, {known}", source)
    total = sum(shares.values())
    if total <= 0:
        raise _fault("frame.follows: the shares add up to nothing", source)
    return {part: share / total for part, share in shares.items() if share}


def _require_placed(frame: FrameRule, constellation: Constellation, source: Path) -> None:
    """A constellation that does not lie in its frame would silently rotate every box."""
    positions = _reference(constellation)
    turned = along_lines(np.eye(3), frame.axis_lines, positions)
    off_mm = float(np.linalg.norm(positions[frame.origin]))
    off_deg = math.degrees(math.acos(min(1.0, max(-1.0, (np.trace(turned) - 1) / 2))))
    if off_mm > PLACEMENT_TOLERANCE_MM or off_deg > PLACEMENT_TOLERANCE_DEG:
        raise ProtocolError(
            f"frame: {frame.origin} lies {off_mm:.1f} mm from the origin of the "
            f"reference positions and the line is pitched by {off_deg:.1f} deg",
            source=str(source),
            remedy="Express reference_mm of all landmarks in the frame.",
        )


def _require_directions(lines: Sequence[AxisLine], path: str, constellation: Constellation, source: Path) -> None:
    positions = _reference(constellation)
    for number, each in enumerate(lines):
        direction = line_direction(each.line, positions)
        along = direction[BOX_AXES.index(each.axis)] / max(float(np.linalg.norm(direction)), 1e-9)
        off_deg = math.degrees(math.acos(min(1.0, max(-1.0, along))))
        if off_deg > LARGEST_TURN_DEG:
            raise ProtocolError(
                f"{path}[{number}]: the line runs {off_deg:.0f} deg off the {each.axis} axis",
                source=str(source),
                remedy="Exchange the ends of the line or name another axis.",
            )


def _reference(constellation: Constellation) -> dict[str, np.ndarray]:
    return dict(zip(constellation.names, constellation.reference_mm, strict=True))


def _fault(what: str, source: Path) -> ProtocolError:
    return ProtocolError(what, source=str(source), remedy=REMEDY)
