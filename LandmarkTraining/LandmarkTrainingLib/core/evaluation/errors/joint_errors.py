"""Errors of what a plan says of a joint: its angles, and the side of the body."""

from __future__ import annotations

from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame


def angle_errors_deg(found: AnatomicalFrame, true: AnatomicalFrame | None) -> dict[str, float]:
    """Name of a joint's angle -> found minus true; empty for one rigid part."""
    if true is None:
        return {}
    return {name: found.angles[name].deg - true.angles[name].deg for name in true.angles if name in found.angles}


def is_side_right(found: AnatomicalFrame, true: AnatomicalFrame | None) -> bool | None:
    """Whether the plan is for the side of the body that the limb is on; None where the anatomy has no sides."""
    if true is None or not true.side:
        return None
    return found.side == true.side
