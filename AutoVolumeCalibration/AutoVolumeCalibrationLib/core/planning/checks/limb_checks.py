"""Checks of what the headers of the scouts say about the body: which part of it, and on which side."""

from __future__ import annotations

from collections.abc import Sequence

from ...anatomy.body_region import BODY_REGIONS, anatomy_of_body_part
from ...anatomy.protocol import BoxRule, Protocol
from ...scouts.stack import ScoutStack
from ..fit.anatomical_frame import AnatomicalFrame
from .check import ERROR, WARNING, Check

#: The side of a limb counts as known above this probability, as contradicted below the second one.
KNOWN_SIDE, OTHER_SIDE = 0.95, 0.05

#: Where the header states the side, it is enough that the images do not speak against it.
KNOWN_SIDE_BY_HEADER = 0.5


def side_check(stacks: Sequence[ScoutStack], frame: AnatomicalFrame, protocol: Protocol, rule: BoxRule) -> Check | None:
    """Is the limb on the side that protocol and headers state, and is the side known where the box depends on it?"""
    side, probability = frame.side, frame.side_probability
    if not side:
        return None
    limb, headers = protocol.anatomy or "limb", sorted({stack.laterality for stack in stacks if stack.laterality})
    if len(headers) > 1:
        return Check("side", WARNING, f"The scouts' headers state both sides: check which {limb} they show.")
    if protocol.side and headers and headers[0] != protocol.side:
        text = f"The protocol is for a {side} {limb}, the scouts' header says {headers[0]}"
        return Check("side", ERROR, f"{text}: check the patient and the protocol.")
    if protocol.side and probability < OTHER_SIDE:
        return Check("side", ERROR, f"The protocol is for a {side} {limb}, this looks like the other one: check it.")
    if headers and probability < OTHER_SIDE:
        level = ERROR if rule.side else WARNING
        return Check("side", level, f"The header says {side} {limb}, this looks like the other one: check the side.")
    least = KNOWN_SIDE_BY_HEADER if headers else KNOWN_SIDE
    if (protocol.side or rule.side) and probability < least:
        return Check("side", WARNING, f"It is not clear that this is a {side} {limb}: check the side.")
    return None


def body_part_check(stacks: Sequence[ScoutStack], protocol: Protocol) -> Check | None:
    """Do the headers name another part of the body than the one that is planned?

    Only where both are known: sites write many words into that field.
    """
    if protocol.anatomy not in BODY_REGIONS:
        return None
    for part in dict.fromkeys(stack.body_part for stack in stacks):
        stated = anatomy_of_body_part(part)
        if stated and stated != protocol.anatomy:
            text = f"The scouts' header states the body part {part}, this plan is of a {protocol.anatomy}"
            return Check("body part", WARNING, f"{text}: check the protocol.")
    return None
