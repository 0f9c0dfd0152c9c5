"""Learn a site's own box rule from the volumes that its users planned.

Of every exam the rule is computed that gives its box for its head (tilts from the anatomical frame, margins beyond the
landmarks of each face); the site's rule is their median, without the exams that were planned otherwise. A field of view
or a number of slices that the site keeps for every head becomes a fixed length.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.box_side import on_side
from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, BoxRule, FixedSlab, Protocol, box_rule, third_axis
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.protocol_editing import save_by_example

from ..building import Skipped
from .exams import PlannedExam, anchor_of, measure
from .sites_habit import SiteHabit, sites_habit

#: Fewer exams show no habit: an odd one among them could not be found.
FEWEST_EXAMS = 3

_DECIMALS = 3


@dataclass(frozen=True)
class SiteProtocol:
    """A site's rule, and the habit behind it.

    Attributes:
        text: the protocol as JSON.
        habit: what the exams have in common, and which differ.
        skipped: the studies without landmarks or box, each with the reason.
    """

    text: str
    habit: SiteHabit
    skipped: tuple[Skipped, ...]


def site_protocol(
    exams: Iterable[PlannedExam | Skipped], protocol: Protocol, *, name: str, title: str, box: str | None = None
) -> SiteProtocol:
    """The protocol ``name`` whose only box lies where the site plans it.

    Args:
        protocol: gives landmarks, frame, line, and the landmarks of each face.
        box: which of its boxes, the first when None.

    Raises:
        InputError: fewer than ``FEWEST_EXAMS`` exams.
        ProtocolError: the protocol has no such box.
        UsageError: ``name`` cannot be used.
    """
    rule = box_rule(protocol, box)
    found: list[PlannedExam] = []
    skipped: list[Skipped] = []
    for each in exams:
        if isinstance(each, Skipped):
            skipped.append(each)
        else:
            found.append(each)
    _require_enough(found, skipped)
    side = found[0].frame.side
    habit = sites_habit([measure(exam, protocol, rule, side) for exam in found])
    first = found[0]
    text = save_by_example(protocol, first.frame, first.frame.expected_mm, first.box, name, title)
    data: dict[str, Any] = json.loads(text)
    left_out = f", {len(habit.outliers)} others left out" if habit.outliers else ""
    data["definition"] = f"Median of {len(habit.exams)} volumes planned by hand{left_out}, relative to {protocol.name}."
    own = on_side(rule, side, protocol.constellation)
    data["boxes"] = [{**data["boxes"][0], "name": rule.name, **_habit_as_rule(habit, own)}]
    return SiteProtocol(json_text(data), habit, tuple(skipped))


def _require_enough(exams: Sequence[PlannedExam], skipped: Sequence[Skipped]) -> None:
    if len(exams) >= FEWEST_EXAMS:
        return
    reasons = "; ".join(sorted({one.reason for one in skipped}))
    counted = "no study has" if not exams else "only 1 study has" if len(exams) == 1 else f"only {len(exams)} have"
    raise InputError(
        f"{counted} both landmarks and a reference box, a habit needs at least {FEWEST_EXAMS}"
        + (f" ({reasons})" if reasons else ""),
        remedy="Add exams of this anatomy from the archive to the data set.",
    )


def _habit_as_rule(habit: SiteHabit, rule: BoxRule) -> dict[str, Any]:
    """The entries of the box rule that the habit decides."""
    series = habit.series
    slice_axis = series.slice_axis if series else rule.slice_axis
    phase_axis = series.phase_axis if series and series.phase_axis else rule.phase_axis
    if phase_axis == slice_axis:
        phase_axis = next(axis for axis in BOX_AXES if axis != slice_axis)
    thickness, gap = (series.slice_thickness_mm, series.gap_mm) if series else (rule.slice_thickness_mm, rule.gap_mm)
    kept = habit.kept if series else _anchored(rule)
    slab = _slab(habit, slice_axis, phase_axis) if kept.issuperset(BOX_AXES) else None
    # A slab keeps its size itself; its margins only say where its middle lies.
    fixed = frozenset() if slab else kept
    whole = slice_axis not in fixed if series else rule.round_up_to_slices
    rounded_mm = (thickness + gap) / 4 if series and whole and not slab else 0.0
    return {
        "tilt_deg": {f"about_{axis}": _short(tilt) for axis, tilt in zip(BOX_AXES, habit.tilt_deg, strict=True)},
        "slice_axis": slice_axis,
        "phase_axis": phase_axis,
        "faces": {face: _face(face, habit, rule, fixed, slice_axis, rounded_mm) for face in FACES},
        "slice_thickness_mm": thickness,
        "gap_mm": gap,
        "round_up_to_slices": whole,
        "slab": asdict(slab) if slab else None,
    }


def _anchored(rule: BoxRule) -> frozenset[str]:
    """The axes along which the rule itself has a fixed field of view."""
    return frozenset(axis for i, axis in enumerate(BOX_AXES) if any(rule.faces[f].anchor for f in FACES[2 * i :][:2]))


def _slab(habit: SiteHabit, slice_axis: str, phase_axis: str) -> FixedSlab | None:
    if habit.series is None:
        return None
    size = {axis: round(length) if abs(length - round(length)) < 0.1 else length for axis, length in _lengths(habit)}
    read_axis = third_axis(slice_axis, phase_axis)
    series = habit.series
    return FixedSlab(series.slices, series.slice_thickness_mm, series.gap_mm, size[read_axis], size[phase_axis])


def _lengths(habit: SiteHabit) -> list[tuple[str, float]]:
    return [(axis, _short(length)) for axis, length in habit.size_mm.items()]


def _face(
    face: str, habit: SiteHabit, rule: BoxRule, fixed: frozenset[str], slice_axis: str, rounded_mm: float
) -> dict[str, Any]:
    """A margin beyond the face's landmarks, or its share of the kept length from the anchor.

    Args:
        rounded_mm: by how much a face moves outwards on average when the slices are rounded up to whole ones.
    """
    number = FACES.index(face)
    axis = BOX_AXES[number // 2]
    entry: dict[str, Any] = {"landmark": list(rule.faces[face].landmarks)}
    if axis not in fixed:
        return {**entry, "margin_mm": _short(habit.margin_mm[face] - (rounded_mm if axis == slice_axis else 0.0))}
    opposite = FACES[number ^ 1]
    off_middle = (habit.length_mm[face] - habit.length_mm[opposite]) / 2
    return {
        **entry,
        "anchor": list(anchor_of(rule, axis)),
        "length_mm": _short(habit.size_mm[axis] / 2 + off_middle),
    }


def _short(value: float) -> float:
    return round(float(value), _DECIMALS) + 0.0
