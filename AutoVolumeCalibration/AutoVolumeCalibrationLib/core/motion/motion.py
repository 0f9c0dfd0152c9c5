"""Motion of the head between the stacks of a study: the result, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: What can be said: a stack moved; none did, beyond the detectable size; all stacks were cut from one volume, so that
#: none can have; or the slices do not show the same things where they cross.
FOUND, NONE, ONE_VOLUME, NOT_COMPARABLE = "found", "none", "one volume", "not comparable"


@dataclass(frozen=True, eq=False)
class StackOffset:
    """How the geometry of one stack must be moved so that it agrees with the stacks that are followed.

    Attributes:
        stack: its number in the study; plane: of the stack.
        rotation_deg: (3,) rotation vector in RAS about ``Motion.center_mm``; shift_mm: (3,) RAS, after the rotation.
        sd_deg, sd_mm: standard deviation of each component, root mean square over the three.
    """

    stack: int
    plane: str
    rotation_deg: np.ndarray
    shift_mm: np.ndarray
    sd_deg: float
    sd_mm: float

    @property
    def size_deg(self) -> float:
        return float(np.linalg.norm(self.rotation_deg))

    @property
    def size_mm(self) -> float:
        return float(np.linalg.norm(self.shift_mm))


@dataclass(frozen=True, eq=False)
class Motion:
    """Whether the head moved between the stacks.

    Attributes:
        state: FOUND, NONE, ONE_VOLUME or NOT_COMPARABLE.
        offsets: of the stacks that moved; none unless the state is FOUND.
        followed: (stack number, plane) of the stacks that the plan follows where the state is FOUND.
        ambiguous: two stacks differ and nothing says which of them moved.
        detectable_mm, detectable_deg: size of motion that is found in 90 % of cases, whatever its direction; None
            where nothing was compared.
        log_odds: log of the likelihood ratio of motion and rest.
        center_mm: (3,) RAS about which the offsets rotate.
    """

    state: str
    offsets: tuple[StackOffset, ...] = ()
    followed: tuple[tuple[int, str], ...] = ()
    ambiguous: bool = False
    detectable_mm: float | None = None
    detectable_deg: float | None = None
    log_odds: float = 0.0
    center_mm: np.ndarray | None = None


def motion_to_dict(motion: Motion) -> dict[str, Any]:
    """As calibration.json holds it."""
    return {
        "state": motion.state,
        "offsets": [
            {
                "stack": offset.stack,
                "plane": offset.plane,
                "rotation_deg": offset.rotation_deg.tolist(),
                "shift_mm": offset.shift_mm.tolist(),
                "sd_deg": offset.sd_deg,
                "sd_mm": offset.sd_mm,
            }
            for offset in motion.offsets
        ],
        "followed": [{"stack": number, "plane": plane} for number, plane in motion.followed],
        "ambiguous": motion.ambiguous,
        "detectable_mm": motion.detectable_mm,
        "detectable_deg": motion.detectable_deg,
        "log_odds": motion.log_odds,
        "center_mm": None if motion.center_mm is None else motion.center_mm.tolist(),
    }


def motion_from_dict(entry: Mapping[str, Any]) -> Motion:
    """The inverse of :func:`motion_to_dict`, of an entry that fits the schema."""
    center = entry["center_mm"]
    return Motion(
        state=entry["state"],
        offsets=tuple(_offset(one) for one in entry["offsets"]),
        followed=tuple((one["stack"], one["plane"]) for one in entry["followed"]),
        ambiguous=entry["ambiguous"],
        detectable_mm=entry["detectable_mm"],
        detectable_deg=entry["detectable_deg"],
        log_odds=float(entry["log_odds"]),
        center_mm=None if center is None else np.array(center, dtype=float),
    )


def motion_message(motion: Motion) -> str | None:
    """What the user should know and do, in a sentence or three; None unless motion was found."""
    if motion.state != FOUND:
        return None
    followed = _listed([plane for _, plane in motion.followed])
    sizes = _listed([f"the {o.plane} plane by {o.size_mm:.1f} mm and {o.size_deg:.1f} deg" for o in motion.offsets])
    unknown = " (which of the two moved is not known)" if motion.ambiguous else ""
    what = f"The patient moved between the scouts: {sizes} against the {followed}{unknown}."
    return f"{what} Repeat the scouts, or let the patient lie as in the {followed} scout: the box follows it."


def _listed(words: Sequence[str]) -> str:
    *first, last = dict.fromkeys(words) or ("",)
    return f"{', '.join(first)} and {last}" if first else last


def _offset(entry: Mapping[str, Any]) -> StackOffset:
    rotation, shift = (np.array(entry[key], dtype=float) for key in ("rotation_deg", "shift_mm"))
    return StackOffset(entry["stack"], entry["plane"], rotation, shift, float(entry["sd_deg"]), float(entry["sd_mm"]))
