"""What a technologist needs to know of a plan, in words: shared by the picture and the page of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, PREDICTED
from ..anatomy.protocol import box_rule
from ..detection.model_info import BACKEND_TITLES
from ..geometry.coordinates import rotation_angles_deg
from ..geometry.oriented_box import FACES
from ..planning.checks.check import ERROR, OK, WARNING, Check
from ..planning.console.card import ConsoleCard
from ..planning.console.cards import console_cards
from ..planning.margins import COVERED_MM, margins_mm, plan_coverage, proposed_margins_mm
from ..planning.side_in_words import side_in_words
from ..scouts.series_geometry import manufacturer

if TYPE_CHECKING:
    from ..anatomy.protocol import Line
    from ..workflow.calibration import Calibration

VERDICTS = {
    OK: "Planned, ready for review",
    WARNING: "Planned, review the warnings",
    ERROR: "Do not use without correction",
}

#: Standard deviations within which 95 % of a normal distribution lie, to both sides.
NORMAL_95 = 1.96


@dataclass(frozen=True)
class FaceRow:
    """One face of the box: its margin, and how far the anatomy may reach beyond it.

    Attributes:
        margin_mm: from the outermost landmark out to the face.
        beyond_mm: of the anatomy, negative where it ends inside; None where it is not known.
    """

    face: str
    margin_mm: float
    beyond_mm: float | None

    @property
    def covered(self) -> bool:
        return self.beyond_mm is not None and self.beyond_mm < COVERED_MM

    @property
    def text(self) -> str:
        """What the margin covers, in words."""
        if self.beyond_mm is None:
            return "not known"
        return (
            f"{abs(self.beyond_mm):.1f} mm to spare"
            if self.covered
            else f"anatomy up to {self.beyond_mm:.1f} mm beyond"
        )


@dataclass(frozen=True)
class PointsToCheck:
    """Landmarks that the user should look at first, and why; ``titles`` are their full names."""

    names: tuple[str, ...]
    titles: tuple[str, ...]
    reason: str


def worst_level(calibration: Calibration) -> str:
    """The worst level among the checks; "ok" without any."""
    levels = {check.level for check in calibration.checks}
    return next((level for level in (ERROR, WARNING) if level in levels), OK)


def findings(calibration: Calibration) -> list[Check]:
    """The checks that found something, errors first."""
    return sorted((c for c in calibration.checks if c.level != OK), key=lambda check: check.level != ERROR)


def passed(calibration: Calibration) -> list[Check]:
    """The checks that found nothing."""
    return [check for check in calibration.checks if check.level == OK]


def cards_in_order(calibration: Calibration) -> list[ConsoleCard]:
    """The cards of the vendors whose form is known, that of the scanner of the scouts first."""
    words = manufacturer(calibration.stacks).lower().split()
    return sorted(console_cards(calibration), key=lambda card: card.vendor.lower() not in words)


def face_rows(calibration: Calibration) -> list[FaceRow]:
    """The faces whose margin the protocol states, in the order of ``FACES``."""
    reach = plan_coverage(calibration).reach_mm(calibration.box.face_sd_mm)
    margins = margins_mm(calibration.box, calibration.frame, calibration.protocol)
    return [FaceRow(face, mm, reach[face] - mm if face in reach else None) for face, mm in margins.items()]


def angles_text(calibration: Calibration) -> str:
    """Pitch, roll and yaw against the scanner's axes with their uncertainty."""
    frame, coverage, follow_up = calibration.frame, plan_coverage(calibration), calibration.follow_up
    if follow_up and follow_up.matched:
        axes, most, level = calibration.box.axes, [NORMAL_95 * follow_up.sd_deg] * 3, "against the baseline"
    else:
        axes, level = frame.axes, coverage_level(calibration)
        most = list(coverage.angles_deg(frame.covariance, frame.line_sd_rad))
    angles = rotation_angles_deg(np.eye(3), axes)
    names = ("pitch", "roll", "yaw")
    text = ", ".join(f"{name} {a:+.1f} ± {m:.1f}°" for name, a, m in zip(names, angles, most, strict=True))
    return f"{text} ({level})"


def coverage_level(calibration: Calibration) -> str:
    """How sure stated intervals are: a share of people only where it was measured with the model for such a box."""
    return plan_coverage(calibration).level


def size_text(calibration: Calibration) -> str:
    """Edges of the box and the size of the anatomy."""
    right, anterior, superior = calibration.box.size_mm
    edges = f"{right:.0f} × {anterior:.0f} × {superior:.0f} mm (right-left × front-back × head-foot)"
    anatomy = calibration.protocol.anatomy.replace("_", " ") or "anatomy"
    return f"{edges}, {anatomy} {100 * calibration.frame.scale:.0f} % of typical"


def side_text(calibration: Calibration) -> str:
    """Which limb it is, and how that is known; empty for an anatomy without sides."""
    return side_in_words(calibration.frame, calibration.protocol.anatomy)


def margins_text(calibration: Calibration) -> str:
    """Margins with which the whole anatomy lies inside, in words; empty where none are known."""
    margins = proposed_margins_mm(calibration)
    listed = ", ".join(f"{face} {margins[face]:g}" for face in FACES if face in margins)
    coverage = plan_coverage(calibration)
    share = f"95 % of people (measured on {coverage.measured_on})" if coverage.measured else "most people (assumed)"
    return f"margins for {share} fully inside, mm: {listed}" if listed else ""


def landmarks_text(calibration: Calibration) -> str:
    """How many landmarks were found, and which ones are missing or corrected."""
    landmarks = calibration.landmarks
    missing = [landmark.name for landmark in landmarks if landmark.status == MISSING]
    corrected = [landmark.name for landmark in landmarks if landmark.status == CORRECTED]
    parts = [f"{len(landmarks) - len(missing)} of {len(landmarks)} found"]
    parts += [
        f"{title}: {', '.join(names)}" for title, names in (("corrected", corrected), ("missing", missing)) if names
    ]
    return "; ".join(parts)


def model_text(calibration: Calibration) -> str:
    """The model, its device, what ran it, and how long the plan took."""
    model, timings = calibration.model, calibration.timings_s
    made = f"model {model.name} on {model.device}" if model else "no model, landmarks given"
    if model and model.backend:
        made += f" with {BACKEND_TITLES[model.backend]}"
    return f"{made}, {timings['total']:.1f} s" if "total" in timings else made


def reference_line(calibration: Calibration) -> Line:
    """(from, to) landmark names of the line that the box follows: its own one, else the protocol's."""
    rule = box_rule(calibration.protocol, calibration.box.name)
    return rule.axis_lines[0].line if rule.axis_lines else calibration.protocol.frame.line


def names_that_matter(calibration: Calibration) -> list[str]:
    """Landmarks to name in a picture, the most important first: ends of the lines, then the points to check."""
    ends = [*reference_line(calibration), *calibration.protocol.frame.line]
    names = [calibration.protocol.frame.origin, *(name for end in ends for name in end)]
    names += [name for points in points_to_check(calibration) for name in points.names]
    names += [landmark.name for landmark in calibration.landmarks if landmark.status == CORRECTED]
    return list(dict.fromkeys(names))


def points_to_check(calibration: Calibration) -> list[PointsToCheck]:
    """The landmarks to look at first, the worst reason first; each landmark once."""
    titles = {landmark.name: landmark.title for landmark in calibration.protocol.constellation.landmarks}
    reason_of: dict[str, str] = {}
    for name, reason in _doubts(calibration):
        reason_of.setdefault(name, reason)
    grouped: dict[str, list[str]] = {}
    for name, reason in reason_of.items():
        grouped.setdefault(reason, []).append(name)
    return [
        PointsToCheck(tuple(names), tuple(titles.get(name, name) for name in names), reason)
        for reason, names in grouped.items()
    ]


def _doubts(calibration: Calibration) -> Iterator[tuple[str, str]]:
    """(landmark, reason) of every doubt, the worst first; a landmark may come more than once."""
    landmarks, doubtful_peak = {mark.name: mark for mark in calibration.landmarks}, calibration.limits.doubtful_peak
    rule = box_rule(calibration.protocol, calibration.box.name)
    for name in calibration.frame.outliers:
        yield name, "contradicts the others"
    for name in calibration.disagreeing:
        if name in landmarks and landmarks[name].status == PREDICTED:
            yield name, "the planes place it differently"
    of_lines = [name for end in (*reference_line(calibration), *calibration.protocol.frame.line) for name in end]
    of_faces = [name for face in FACES if face in rule.faces for name in rule.faces[face].landmarks]
    for name in (*of_lines, *of_faces):
        landmark = landmarks.get(name)
        if landmark is not None and landmark.status == MISSING:
            yield name, "missing: its expected position was used"
        elif landmark is not None and landmark.status == PREDICTED and landmark.confidence < doubtful_peak:
            yield name, "not clearly visible"
    for row in face_rows(calibration):
        if not row.covered and row.beyond_mm is not None:
            for name in rule.faces[row.face].landmarks:
                yield name, f"{row.face} face not covered"
