"""The in-plane field of view as consoles take it: whole mm, read not shorter than phase, nothing folded in."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..outline import Outline
from ..prescription import Prescription

#: Lengths that exceed a whole mm by less are that many mm.
_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class FieldOfView:
    """What is typed for the plane of the slices.

    Attributes:
        read_mm: whole mm, never shorter than ``phase_mm``.
        phase_mm: of the box, unchanged.
        beyond_mm: how far the visible anatomy reaches beyond the phase field of view at its worse end, 0 where it
            lies inside; None where the scouts do not show it.
        notes: what differs from the box, and what the scouts do not show.
    """

    read_mm: int
    phase_mm: float
    beyond_mm: float | None
    notes: tuple[str, ...]

    @property
    def phase_fraction(self) -> float:
        """Phase over read field of view, at most 1."""
        return self.phase_mm / self.read_mm

    @property
    def oversampling_percent(self) -> int | None:
        """Phase encoding in addition to the phase field of view, so that the anatomy lies inside; None if unknown."""
        if self.beyond_mm is None:
            return None
        return math.ceil(100 * 2 * self.beyond_mm / self.phase_mm - 1e-6)


def field_of_view(prescription: Prescription, outline: Outline | None) -> FieldOfView:
    """The field of view of ``prescription``, with the anatomy of ``outline`` along phase (None: not visible)."""
    read, phase = prescription.fov_read_mm, prescription.fov_phase_mm
    typed_read = math.ceil(max(read, phase) - _TOLERANCE_MM)
    notes = []
    if typed_read > math.ceil(read - _TOLERANCE_MM):
        notes.append(
            f"Read FOV widened from {read:.0f} to {typed_read} mm: the box is {phase:.0f} mm long in phase, "
            "and phase cannot exceed 100 % of read."
        )
    if outline is None:
        notes.append("The scouts do not show the outline of the anatomy along phase: check for folding.")
        return FieldOfView(typed_read, phase, None, tuple(notes))
    beyond = max(0.0, -outline.low_mm - phase / 2, outline.high_mm - phase / 2)
    if beyond:
        notes.append(
            f"The visible anatomy is {outline.high_mm - outline.low_mm:.0f} mm long in phase and reaches "
            f"{beyond:.0f} mm beyond the phase FOV: without oversampling it folds in."
        )
    if 2 * beyond > phase:
        notes.append("That takes more than 100 % oversampling: enlarge the phase FOV or exchange phase and read.")
    if outline.cut_off:
        notes.append("The scouts cut the anatomy off in phase: it may reach further.")
    return FieldOfView(typed_read, phase, beyond, tuple(notes))
