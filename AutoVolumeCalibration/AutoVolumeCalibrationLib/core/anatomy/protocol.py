"""Protocols as data: the landmarks, the anatomical frame, and the rule of every box.

A protocol names an anatomy (``Resources/Anatomies/<name>.json``, or a file beside the protocol)
or brings its own landmarks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import ProtocolError
from ..geometry.coordinates import unit
from ..geometry.rotations import rotation_of_tilts
from .axis_lines import BOX_AXES, AxisLine, Line
from .constellation import Constellation

__all__ = [
    "BOX_AXES",
    "AxisLine",
    "BoxRule",
    "FaceRule",
    "FixedSlab",
    "FrameRule",
    "Line",
    "Protocol",
    "box_rule",
    "line_axes",
    "third_axis",
    "tilted_axes",
]

#: A slab that exceeds whole slices by no more than this fraction of a slice needs no further slice.
SLICE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FaceRule:
    """A box face lies ``margin_mm`` beyond the outermost of ``landmarks`` (negative: short of it).

    ``cover``: it lies further out where the uncertainty of the plan asks for a larger margin.
    With ``anchor`` it lies ``length_mm`` from the mean of these landmarks instead, whatever the anatomy's size: a fixed
    field of view. ``landmarks`` are then what should lie inside.
    """

    landmarks: tuple[str, ...]
    margin_mm: float
    cover: bool = False
    anchor: tuple[str, ...] = ()
    length_mm: float = 0.0


@dataclass(frozen=True)
class FixedSlab:
    """Slices and field of view that a site keeps for every patient: only centre and angles are planned."""

    slices: int
    slice_thickness_mm: float
    gap_mm: float
    fov_read_mm: float
    fov_phase_mm: float


@dataclass(frozen=True)
class BoxRule:
    """How a scan box follows from the anatomical frame.

    Attributes:
        name, title: short name, and full name for display.
        line: gives the box its anterior axis in the midsagittal plane; None keeps the frame's own axes.
        tilt_deg: rotations about the right, anterior, superior axis of the result, see ``tilted_axes``.
        slice_axis: the box axis slices are stacked along: "right", "anterior" or "superior".
        phase_axis: the box axis of phase encoding, another one.
        faces: FACES name -> rule.
        slice_thickness_mm, gap_mm: as prescribed.
        round_up_to_slices: make the box thicker, on both sides alike, until whole slices fill it.
        slab: the size of the box, whatever the faces ask for; its thickness and gap are those above.
        lines: one or two that the box's axes run along; then there is no ``line``.
        side: "right" or "left": the rule is written for a limb on that side, and a limb on the other one gets its
            mirror image (``box_side.on_side``). Empty: the same for both.
    """

    name: str
    title: str
    line: Line | None
    tilt_deg: tuple[float, float, float]
    slice_axis: str
    phase_axis: str
    faces: Mapping[str, FaceRule]
    slice_thickness_mm: float
    gap_mm: float
    round_up_to_slices: bool
    slab: FixedSlab | None = None
    lines: tuple[AxisLine, ...] = ()
    side: str = ""

    @property
    def axis_lines(self) -> tuple[AxisLine, ...]:
        """The lines that the axes run along, whichever way the rule states them."""
        return (AxisLine("anterior", self.line, "right"),) if self.line else self.lines

    @property
    def read_axis(self) -> str:
        """The box axis of frequency encoding, the third one."""
        return third_axis(self.slice_axis, self.phase_axis)

    def slice_count(self, size_mm: float) -> int:
        """Fewest slices that cover ``size_mm`` along the slice axis, at least one."""
        pitch = self.slice_thickness_mm + self.gap_mm
        return max(1, math.ceil((size_mm + self.gap_mm) / pitch - SLICE_TOLERANCE))

    def slab_mm(self, slices: int) -> float:
        """Thickness of that many slices with the gaps between them."""
        return slices * self.slice_thickness_mm + (slices - 1) * self.gap_mm

    def fixed_size_mm(self) -> np.ndarray | None:
        """(3,) edge lengths of the slab along right, anterior, superior; None where the anatomy decides."""
        if self.slab is None:
            return None
        lengths = {
            self.slice_axis: self.slab_mm(self.slab.slices),
            self.phase_axis: self.slab.fov_phase_mm,
            self.read_axis: self.slab.fov_read_mm,
        }
        return np.array([lengths[axis] for axis in BOX_AXES])


@dataclass(frozen=True)
class FrameRule:
    """How the reference constellation lies, and what the frame follows (checked on loading).

    Attributes:
        origin: landmark at zero.
        line: along +anterior; the first of ``lines`` where there are some.
        lines: one or two, each along its own axis.
        follows: part of a joint -> its share, adding up to 1: the axes are those of that part, or between two. Empty:
            the part that carries the others.
    """

    origin: str
    line: Line
    lines: tuple[AxisLine, ...] = ()
    follows: Mapping[str, float] = field(default_factory=dict)

    @property
    def axis_lines(self) -> tuple[AxisLine, ...]:
        """The lines that the axes run along, whichever way the rule states them."""
        return self.lines or (AxisLine("anterior", self.line, "right"),)


@dataclass(frozen=True, eq=False)
class Protocol:
    """A protocol, checked: every name that it uses is a landmark of its constellation.

    ``source`` is the file it came from; ``anatomy`` the name of its anatomy; ``definition`` says
    in words what the boxes cover. ``side`` is the side of the body that it is for, "right" or "left"; empty: the fit
    finds it, where the anatomy has sides.
    """

    name: str
    title: str
    anatomy: str
    constellation: Constellation
    frame: FrameRule
    boxes: tuple[BoxRule, ...]
    source: Path
    definition: str = ""
    side: str = ""


def third_axis(first: str, second: str) -> str:
    """The box axis that is neither of the two."""
    return next(axis for axis in BOX_AXES if axis not in (first, second))


def tilted_axes(axes: np.ndarray, tilt_deg: Sequence[float]) -> np.ndarray:
    """``axes`` rotated intrinsically about right, then (new) anterior, then (new) superior.

    Args:
        axes: (3, 3), rows right, anterior, superior in RAS.
        tilt_deg: (3,) degrees about right, anterior, superior, right-handed.
    """
    return rotation_of_tilts(np.deg2rad(tilt_deg)).T @ np.asarray(axes, dtype=float)


def line_axes(axes: np.ndarray, line: Line | None, landmarks_mm: Mapping[str, np.ndarray]) -> np.ndarray:
    """Frame ``axes`` (3, 3) pitched about right until anterior runs along the line's midsagittal part.

    Args:
        axes: rows right, anterior, superior in RAS.
        line: None leaves the axes as they are.
        landmarks_mm: name -> (3,) RAS of every landmark of the line.

    Raises:
        ProtocolError: the ends of the line coincide in the midsagittal plane.
    """
    axes = np.asarray(axes, dtype=float)
    if line is None:
        return axes
    start, end = (np.mean([landmarks_mm[name] for name in names], axis=0) for names in line)
    right = axes[0]
    direction = (end - start) - ((end - start) @ right) * right
    if np.linalg.norm(direction) < 1e-3:
        raise ProtocolError(
            f"the line from {', '.join(line[0])} to {', '.join(line[1])} has no direction in the midsagittal plane",
            remedy="Choose other landmarks or move them apart.",
        )
    anterior = unit(direction)
    return np.array([right, anterior, np.cross(right, anterior)])


def box_rule(protocol: Protocol, name: str | None = None) -> BoxRule:
    """The protocol's box of that name, its first when None; ProtocolError for an unknown name."""
    if name is None:
        return protocol.boxes[0]
    for rule in protocol.boxes:
        if rule.name == name:
            return rule
    known = ", ".join(rule.name for rule in protocol.boxes)
    raise ProtocolError(f"protocol {protocol.name} has no box {name}", remedy=f"Choose one of: {known}.")
