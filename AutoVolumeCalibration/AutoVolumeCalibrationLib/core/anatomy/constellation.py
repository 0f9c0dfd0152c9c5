"""Anatomy as data: named landmarks, where a typical head has them, and how heads differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ProtocolError
from .axis_lines import AxisLine
from .joint import Joint, joint_from_dict
from .line_variation import LineVariation, line_sd_rad, variation_from_dict
from .variation import RESIDUAL_FLOOR_MM, covariance_of_modes

__all__ = [
    "RESIDUAL_FLOOR_MM",
    "Constellation",
    "LandmarkDefinition",
    "LineVariation",
    "constellation_from_dict",
    "covariance_of_modes",
]


@dataclass(frozen=True, eq=False)
class LandmarkDefinition:
    """What a landmark is and where it lies in a typical head.

    Attributes:
        name: short name, unique in its anatomy.
        title: full name, for display.
        definition: how to find it.
        reference_mm: (3,) right, anterior, superior of the anatomical frame's origin.
        sd_mm: (3,) standard deviation of the position among heads, in the same axes.
        planes: planes in whose slices the model detects it.
        mirror: name of its partner on the other side, None for a midline landmark.
    """

    name: str
    title: str
    definition: str
    reference_mm: np.ndarray
    sd_mm: np.ndarray
    planes: tuple[str, ...]
    mirror: str | None = None


@dataclass(frozen=True, eq=False)
class Constellation:
    """The landmarks of an anatomy with the way in which they vary together.

    Attributes:
        landmarks: n definitions.
        modes_mm: (m, 3n) strongest directions of the variation among heads, each scaled to one
            standard deviation; landmark-major (x, y, z of the first landmark, then of the second, ...).
        lines: of which the variation was measured.
        joint: the rigid parts of an anatomy that bends; None: one rigid body. With a joint, the positions and
            variation of ``landmarks`` and ``modes_mm`` are those of the anatomy taken as one body without a side.
    """

    landmarks: tuple[LandmarkDefinition, ...]
    modes_mm: np.ndarray
    lines: tuple[LineVariation, ...] = ()
    joint: Joint | None = None

    @cached_property
    def joints(self) -> Mapping[str, Joint]:
        """Side -> the joint on that side of the body; empty for one rigid body."""
        if self.joint is None:
            return {}
        other = self.joint.mirrored(self.mirror_indices)
        return {joint.side: joint for joint in (self.joint, other)}

    def line_sd_rad(self, lines: Sequence[AxisLine], part: str = "") -> np.ndarray:
        """(3,) standard deviation of an individual's own lines against the axes of the fitted anatomy, about them.

        Args:
            part: of a joint, whose axes they are.
        """
        return line_sd_rad(self.lines, lines, part)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(landmark.name for landmark in self.landmarks)

    @cached_property
    def reference_mm(self) -> np.ndarray:
        """(n, 3) positions in a typical head, in the anatomical frame."""
        return np.array([landmark.reference_mm for landmark in self.landmarks])

    @cached_property
    def covariance_mm2(self) -> np.ndarray:
        """(3n, 3n) covariance of the positions among heads (pose and size removed), landmark-major."""
        sd = np.concatenate([landmark.sd_mm for landmark in self.landmarks])
        return covariance_of_modes(self.modes_mm, sd**2)

    @property
    def mirror_indices(self) -> np.ndarray:
        """(n,) index of each landmark's partner on the other side, its own for a midline landmark."""
        names = self.names
        return np.array([names.index(landmark.mirror or landmark.name) for landmark in self.landmarks])


def constellation_from_dict(data: Mapping[str, Any], source: Path | str) -> Constellation:
    """The constellation of ``landmarks``, ``modes_mm`` (m, n, 3) and ``lines``, which fit the anatomy schema.

    Raises:
        ProtocolError: names repeat, partners do not match, the modes have another number of landmarks, a line runs
            through an unknown one, or parts and hinges do not fit them.
    """
    landmarks = tuple(_definition(entry) for entry in data["landmarks"])
    _require_consistent(landmarks, source)
    modes = data.get("modes_mm", [])
    if any(len(mode) != len(landmarks) for mode in modes):
        raise ProtocolError(
            f"modes_mm: every mode needs {len(landmarks)} displacements, one for each landmark",
            source=str(source),
            remedy="Measure the modes again or remove them.",
        )
    lines = tuple(_line(entry, landmarks, source) for entry in data.get("lines", ()))
    joint = joint_from_dict(data, [landmark.name for landmark in landmarks], source)
    if joint is not None:
        _require_pairs_in_parts(joint, landmarks, source)
    modes_mm = np.array(modes, dtype=float).reshape(len(modes), 3 * len(landmarks))
    return Constellation(landmarks, modes_mm, lines, joint)


def _require_pairs_in_parts(joint: Joint, landmarks: Sequence[LandmarkDefinition], source: Path | str) -> None:
    """The mirror image of a part must be a part with the same landmarks."""
    part_of = {landmarks[i].name: part for part, own in joint.parts.items() for i in own}
    for landmark in landmarks:
        if part_of[landmark.mirror or landmark.name] != part_of[landmark.name]:
            raise ProtocolError(
                f"parts: {landmark.name} and its partner {landmark.mirror} belong to different parts",
                source=str(source),
                remedy="Put both sides of a pair in one part.",
            )


def _line(entry: Mapping[str, Any], landmarks: Sequence[LandmarkDefinition], source: Path | str) -> LineVariation:
    start, end = (tuple([names] if isinstance(names, str) else names) for names in (entry["from"], entry["to"]))
    unknown = {*start, *end} - {landmark.name for landmark in landmarks}
    if unknown:
        raise ProtocolError(
            f"lines: {', '.join(sorted(unknown))} not defined in this anatomy",
            source=str(source),
            remedy="Name landmarks of the file.",
        )
    return variation_from_dict(entry, (start, end))


def _definition(entry: Mapping[str, Any]) -> LandmarkDefinition:
    return LandmarkDefinition(
        entry["name"],
        entry.get("title", entry["name"]),
        entry.get("definition", ""),
        np.array(entry["reference_mm"], dtype=float),
        np.array(entry["sd_mm"], dtype=float),
        tuple(entry["planes"]),
        entry.get("mirror"),
    )


def _require_consistent(landmarks: Sequence[LandmarkDefinition], source: Path | str) -> None:
    partner = {landmark.name: landmark.mirror for landmark in landmarks}
    if len(partner) < len(landmarks):
        names = [landmark.name for landmark in landmarks]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise ProtocolError(
            f"landmarks: {', '.join(repeated)} defined more than once",
            source=str(source),
            remedy="Give each its own name.",
        )
    for index, landmark in enumerate(landmarks):
        if landmark.mirror is not None and partner.get(landmark.mirror) != landmark.name:
            raise ProtocolError(
                f"landmarks[{index}].mirror: {landmark.mirror} does not name {landmark.name} as its partner",
                source=str(source),
                remedy="Let both sides name each other, or write null.",
            )
