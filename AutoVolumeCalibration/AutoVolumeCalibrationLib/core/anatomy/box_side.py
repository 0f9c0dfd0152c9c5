"""Rules of boxes for the other side of the body: the mirror image of a rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .axis_lines import AxisLine, Line
from .constellation import Constellation
from .protocol import BoxRule, FaceRule

_OTHER = {"left": "right", "right": "left"}


def on_side(rule: BoxRule, side: str, constellation: Constellation) -> BoxRule:
    """The rule for a limb on ``side``: its mirror image where it is written for the other one.

    Left and right exchange their faces, every landmark its partner, and the box is tilted the other way about anterior
    and superior. A rule without a side, and any rule where the side is not known, stays as it is.
    """
    if not rule.side or not side or side == rule.side:
        return rule
    partner = {each.name: each.mirror or each.name for each in constellation.landmarks}
    about_right, about_anterior, about_superior = rule.tilt_deg
    return replace(
        rule,
        line=_mirrored_line(rule.line, partner) if rule.line else None,
        tilt_deg=(about_right, -about_anterior, -about_superior),
        faces={face: _mirrored_face(rule.faces[_OTHER.get(face, face)], partner) for face in rule.faces},
        lines=tuple(_mirrored_axis_line(each, partner) for each in rule.lines),
        side=side,
    )


def _mirrored_face(face: FaceRule, partner: Mapping[str, str]) -> FaceRule:
    return replace(face, landmarks=_partners(face.landmarks, partner), anchor=_partners(face.anchor, partner))


def _mirrored_axis_line(each: AxisLine, partner: Mapping[str, str]) -> AxisLine:
    line = _mirrored_line(each.line, partner)
    # Right stays right: the mirror image of a line towards the right runs towards the left.
    return replace(each, line=(line[1], line[0]) if each.axis == "right" else line)


def _mirrored_line(line: Line, partner: Mapping[str, str]) -> Line:
    return _partners(line[0], partner), _partners(line[1], partner)


def _partners(names: tuple[str, ...], partner: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(partner[name] for name in names)
