"""Which scouts a plan was made on: enough to notice others at the same path, and nothing that leads to the patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .series import uid_digest
from .stack import ScoutStack

#: Positions and axes that differ by less are the same: files of several formats round them differently.
SAME_POSITION_MM, SAME_AXIS = 0.05, 1e-3


@dataclass(frozen=True, eq=False)
class StackIdentity:
    """What tells a stack from any other.

    Attributes:
        plane: its plane.
        series, frame_of_reference: digests of the DICOM UIDs, None where none is stated.
        axes: (2, 3) RAS: along the columns' index and along the rows'.
        origins_mm: (slices, 3) RAS, the first pixel of each slice.
        pixels: digest of sizes, spacings and values.
    """

    plane: str
    series: str | None
    frame_of_reference: str | None
    axes: np.ndarray
    origins_mm: np.ndarray
    pixels: str

    def lies_like(self, other: StackIdentity) -> bool:
        """Whether both lie at the same place."""
        return (
            self.origins_mm.shape == other.origins_mm.shape
            and bool(np.abs(self.origins_mm - other.origins_mm).max() < SAME_POSITION_MM)
            and bool(np.abs(self.axes - other.axes).max() < SAME_AXIS)
        )

    def to_dict(self) -> dict[str, Any]:
        """As calibration.json keeps it."""
        return {
            "plane": self.plane,
            "series": self.series,
            "frame_of_reference": self.frame_of_reference,
            "axes": np.round(self.axes, 6).tolist(),
            "origins_mm": np.round(self.origins_mm, 4).tolist(),
            "pixels": self.pixels,
        }


def identity_of(stack: ScoutStack) -> StackIdentity:
    """The identity of a stack."""
    first = stack.slices[0]
    return StackIdentity(
        stack.plane,
        uid_digest(stack.series) if stack.series else None,
        uid_digest(stack.frame_of_reference) if stack.frame_of_reference else None,
        np.array([first.column_axis, first.row_axis]),
        np.array([s.origin_mm for s in stack.slices]),
        stack.pixel_digest,
    )


def identity_from_dict(entry: Mapping[str, Any]) -> StackIdentity:
    """The identity that ``to_dict`` made a dictionary of."""
    return StackIdentity(
        entry["plane"],
        entry["series"],
        entry["frame_of_reference"],
        np.array(entry["axes"], dtype=float),
        np.array(entry["origins_mm"], dtype=float),
        entry["pixels"],
    )


def difference(known: Sequence[StackIdentity], stacks: Sequence[ScoutStack]) -> str | None:
    """How ``stacks`` differ from those that are known, as a clause; None where they are the same in any order."""
    found = [identity_of(stack) for stack in stacks]
    before, now = _frames(known), _frames(found)
    if before and now and before != now:
        return "they lie in another frame of reference, of another patient or another session"
    slices = [sum(len(one.origins_mm) for one in identities) for identities in (known, found)]
    if slices[0] != slices[1]:
        return f"there are {slices[1]} slices, the plan was made on {slices[0]}"
    if Counter(one.pixels for one in known) != Counter(one.pixels for one in found):
        return "their images differ"
    if not all(any(one.pixels == other.pixels and one.lies_like(other) for other in found) for one in known):
        return "their positions in space differ"
    return None


def _frames(identities: Sequence[StackIdentity]) -> set[str]:
    return {one.frame_of_reference for one in identities if one.frame_of_reference}
