"""Anatomies of rigid parts joined by hinges: which landmarks belong to which part, and how the parts move.

A knee is bent by some angle when it is scanned, and a rigid constellation fitted to a bent knee is turned. So the
landmarks are described with all parts in a neutral pose; every part then moves about its hinge. Parts that share an
angle move together, each by its own factor: the patella turns less than the tibia.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ProtocolError
from .variation import covariance_of_modes

#: Sides of the body that a limb may be on.
SIDES = RIGHT, LEFT = ("right", "left")

#: Name of the angle of hinges that name none.
FLEXION = "flexion"

_MIRROR = np.array([-1.0, 1.0, 1.0])

_REMEDY = "Measure the anatomy again."


@dataclass(frozen=True, eq=False)
class Hinge:
    """How a part moves against another one.

    Attributes:
        part, on: the moving part, and the one that carries it.
        axis: (3,) unit vector; center_mm: (3,), both in the neutral pose.
        angle: name of the angle that it turns by, ``follows`` times; positive is right-handed about ``axis``.
        angle_sd_rad: standard deviation of that angle that the fit assumes beforehand.
        loose_sd_rad, loose_sd_mm: (3,) standard deviation of what the hinge leaves open: rotations of the part about
            right, anterior and superior, and shifts of its landmarks' centre.
    """

    part: str
    on: str
    axis: np.ndarray
    center_mm: np.ndarray
    angle: str
    follows: float
    angle_sd_rad: float
    loose_sd_rad: np.ndarray
    loose_sd_mm: np.ndarray


@dataclass(frozen=True, eq=False)
class Joint:
    """The parts of an anatomy on one side of the body.

    Attributes:
        side: "right" or "left".
        parts: name -> (m,) indices of its landmarks; every landmark belongs to one.
        hinges: each part but the first hangs on one; a part comes after the one that carries it.
        reference_mm: (n, 3) landmarks with every part in the neutral pose, in the anatomical frame.
        shape_mm2: (3n, 3n) covariance of the shape alone, the parts in the neutral pose.
        entries: ``parts``, ``hinges`` and ``articulated`` as in the anatomy file.
    """

    side: str
    parts: Mapping[str, np.ndarray]
    hinges: tuple[Hinge, ...]
    reference_mm: np.ndarray
    shape_mm2: np.ndarray
    entries: Mapping[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The part that carries the others; the frame is its own in the neutral pose."""
        moving = {hinge.part for hinge in self.hinges}
        return next(part for part in self.parts if part not in moving)

    @cached_property
    def angles(self) -> tuple[str, ...]:
        """Names of the angles, each once."""
        return tuple(dict.fromkeys(hinge.angle for hinge in self.hinges))

    @cached_property
    def angle_sd_rad(self) -> np.ndarray:
        """(k,) prior standard deviations of the angles; the first hinge with an angle states it."""
        stated = {hinge.angle: hinge.angle_sd_rad for hinge in reversed(self.hinges)}
        return np.array([stated[angle] for angle in self.angles])

    @cached_property
    def covariance_mm2(self) -> np.ndarray:
        """(3n, 3n) covariance of the shape, and of what the hinges leave open."""
        covariance = self.shape_mm2.copy()
        for hinge in self.hinges:
            moves = self._loose_moves(hinge)
            covariance += moves @ moves.T
        return covariance

    def carried_by(self, part: str) -> np.ndarray:
        """Indices of the landmarks that move with a part: its own, and those of the parts that hang on it."""
        own = [self.parts[part], *(self.carried_by(hinge.part) for hinge in self.hinges if hinge.on == part)]
        return np.concatenate(own)

    def mirrored(self, mirror: np.ndarray) -> Joint:
        """The other side of the body: the mirror image, with the names of left and right exchanged.

        Args:
            mirror: (n,) index of each landmark's partner.
        """
        rows = (3 * mirror[:, None] + np.arange(3)).ravel()
        signs = np.tile(_MIRROR, len(mirror))
        return replace(
            self,
            side=LEFT if self.side == RIGHT else RIGHT,
            hinges=tuple(_mirrored_hinge(hinge) for hinge in self.hinges),
            reference_mm=(self.reference_mm * _MIRROR)[mirror],
            shape_mm2=self.shape_mm2[np.ix_(rows, rows)] * np.outer(signs, signs),
        )

    def _loose_moves(self, hinge: Hinge) -> np.ndarray:
        """(3n, 6) displacement of all landmarks by one standard deviation of each free motion of a part."""
        # The angle itself is estimated; the first hinge that has it adds nothing about its axis.
        first = next(other for other in self.hinges if other.angle == hinge.angle) is hinge
        free = np.eye(3) - np.outer(hinge.axis, hinge.axis) if first else np.eye(3)
        turns = free * hinge.loose_sd_rad
        points = self.reference_mm[self.parts[hinge.part]]
        center = points.mean(axis=0)
        moves = np.zeros((len(self.reference_mm), 3, 6))
        for i in self.carried_by(hinge.part):
            arm = self.reference_mm[i] - center
            moves[i, :, :3] = np.cross(turns.T, arm).T
            moves[i, :, 3:] = np.diag(hinge.loose_sd_mm)
        return moves.reshape(-1, 6)


def _mirrored_hinge(hinge: Hinge) -> Hinge:
    # An axis is a pseudovector: the rotation about it is what is mirrored.
    return replace(hinge, axis=-hinge.axis * _MIRROR, center_mm=hinge.center_mm * _MIRROR)


def joint_from_dict(data: Mapping[str, Any], names: Sequence[str], source: Path | str) -> Joint | None:
    """The joint of ``parts``, ``hinges`` and ``articulated``, which fit the schema; None where there are none of them.

    Raises:
        ProtocolError: they do not fit each other or the landmarks ``names``.
    """
    entries = {key: data[key] for key in ("parts", "hinges", "articulated") if key in data}
    if not entries:
        return None
    if len(entries) < 3:
        raise _fault("a joint needs all of parts, hinges and articulated", source)
    parts = _parts(entries["parts"], names, source)
    own = entries["articulated"]
    for key in ("reference_mm", "sd_mm"):
        if len(own[key]) != len(names):
            raise _fault(f"articulated.{key}: needs {len(names)} entries, one for each landmark", source)
    if any(len(mode) != len(names) for mode in own["modes_mm"]):
        raise _fault(f"articulated.modes_mm: every mode needs {len(names)} displacements", source)
    modes = np.array(own["modes_mm"], dtype=float).reshape(len(own["modes_mm"]), 3 * len(names))
    variances = np.array(own["sd_mm"], dtype=float).ravel() ** 2
    hinges = tuple(_hinge(entry, f"hinges[{i}]", source) for i, entry in enumerate(entries["hinges"]))
    _require_chain(parts, hinges, source)
    return Joint(
        own["side"],
        parts,
        hinges,
        np.array(own["reference_mm"], dtype=float),
        covariance_of_modes(modes, variances),
        entries,
    )


def _parts(entry: Mapping[str, Sequence[str]], names: Sequence[str], source: Path | str) -> dict[str, np.ndarray]:
    listed = [name for own in entry.values() for name in own]
    unknown = [name for name in listed if name not in names]
    if unknown:
        raise _fault(f"parts: {', '.join(unknown)} not defined in this anatomy", source)
    loose = [name for name in names if listed.count(name) != 1]
    if loose:
        raise _fault(f"parts: {', '.join(loose)} must belong to exactly one part", source)
    return {part: np.array([names.index(name) for name in own]) for part, own in entry.items()}


def _hinge(entry: Mapping[str, Any], path: str, source: Path | str) -> Hinge:
    axis = np.array(entry["axis"], dtype=float)
    length = float(np.linalg.norm(axis))
    if length < 1e-6:
        raise _fault(f"{path}.axis: has no direction", source)
    return Hinge(
        entry["part"],
        entry["on"],
        axis / length,
        np.array(entry["center_mm"], dtype=float),
        entry.get("angle", FLEXION),
        float(entry.get("follows", 1.0)),
        float(np.deg2rad(entry.get("fit_sd_deg", entry["flexion_sd_deg"]))),
        np.deg2rad(np.array(entry.get("loose_sd_deg", entry.get("measured_sd_deg", [0, 0, 0])), dtype=float)),
        np.array(entry.get("loose_sd_mm", entry.get("measured_sd_mm", [0, 0, 0])), dtype=float),
    )


def _require_chain(parts: Mapping[str, np.ndarray], hinges: Sequence[Hinge], source: Path | str) -> None:
    """Every part but one hangs on a part that is known by then."""
    moving = [hinge.part for hinge in hinges]
    known = [part for part in parts if part not in moving]
    if len(known) != 1 or len(set(moving)) < len(moving):
        raise _fault("hinges: every part but one needs exactly one hinge", source)
    for hinge in hinges:
        if hinge.part not in parts or hinge.on not in known:
            raise _fault(f"hinges: {hinge.part} hangs on {hinge.on}, which is not a part listed before it", source)
        known.append(hinge.part)


def _fault(what: str, source: Path | str) -> ProtocolError:
    return ProtocolError(what, source=str(source), remedy=_REMEDY)
