"""Scout slices and their geometry: the input of everything else.

A scout is never assumed to be a volume: every slice keeps its own position, so one slice per
plane, uneven spacing and oblique stacks are ordinary cases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import InputError
from ..geometry.coordinates import PLANE_NORMAL_AXIS, PLANES, unit

#: Slices whose axes differ by less than this (difference of direction cosines) share a stack.
ORIENTATION_TOLERANCE = 1e-3

#: Slices whose positions and axes deviate less than this from an even grid form one image.
EVEN_TOLERANCE_MM = 1e-3
SAME_AXES_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class ScoutSlice:
    """One 2D image in space.

    Attributes:
        pixels: (rows, columns) float32, finite.
        origin_mm: (3,) RAS position of the centre of pixel [0, 0].
        column_axis: (3,) RAS unit vector along which the column index grows.
        row_axis: (3,) RAS unit vector along which the row index grows.
        spacing_mm: (between rows, between columns).
        thickness_mm: slice thickness, None where the source does not state it.
        source: file (and frame) the slice came from, for messages.
    """

    pixels: np.ndarray
    origin_mm: np.ndarray
    column_axis: np.ndarray
    row_axis: np.ndarray
    spacing_mm: tuple[float, float]
    thickness_mm: float | None = None
    source: str = ""

    @cached_property
    def normal(self) -> np.ndarray:
        """(3,) unit normal, pointing right, anterior or superior, whichever it is nearest to; kept like the digest."""
        normal = np.cross(self.column_axis, self.row_axis)
        return unit(normal * np.sign(normal[np.argmax(np.abs(normal))]))

    @property
    def center_mm(self) -> np.ndarray:
        """(3,) RAS position of the middle of the image."""
        rows, columns = self.pixels.shape
        return self.to_world(np.array([(rows - 1) / 2, (columns - 1) / 2]))

    @property
    def extent_mm(self) -> tuple[float, float]:
        """Field of view (down the rows, along the columns) in mm."""
        rows, columns = self.pixels.shape
        return rows * self.spacing_mm[0], columns * self.spacing_mm[1]

    def to_world(self, row_column: np.ndarray) -> np.ndarray:
        """RAS points (..., 3) of pixel indices (..., 2) in (row, column) order, fractions allowed."""
        row_column = np.asarray(row_column, dtype=float)
        return (
            self.origin_mm
            + row_column[..., :1] * self.spacing_mm[0] * self.row_axis
            + row_column[..., 1:] * self.spacing_mm[1] * self.column_axis
        )

    def to_pixel(self, points_mm: np.ndarray) -> np.ndarray:
        """(row, column) indices (..., 2) of the projections of RAS points (..., 3) on the slice."""
        offset = np.asarray(points_mm, dtype=float) - self.origin_mm
        return np.stack(
            [offset @ self.row_axis / self.spacing_mm[0], offset @ self.column_axis / self.spacing_mm[1]], axis=-1
        )

    def shows(self, points_mm: np.ndarray) -> np.ndarray:
        """(...,) bool: the projections of RAS points (..., 3) lie within the image; False for points that are NaN."""
        pixels = self.to_pixel(points_mm)
        return np.all((pixels >= -0.5) & (pixels <= np.array(self.pixels.shape) - 0.5), axis=-1)


@dataclass(frozen=True, eq=False)
class ScoutStack:
    """Parallel slices of one plane, sorted along their common normal.

    Attributes:
        plane: "sagittal", "coronal" or "axial": the axis the normal is nearest to.
        slices: at least one, sorted by position along ``normal``.
        frame_of_reference: DICOM FrameOfReferenceUID, None for plain images.
        name: short name for tables and messages (no patient data).
        series: DICOM SeriesInstanceUID, None for plain images.
        volume: what names the image that the stack was cut from, the same for all stacks of one volume: the head cannot
            have moved between them. Empty for slices as they were acquired.
        remark: what the user should know about how the stack came about, a sentence; it becomes a warning of the plan.
        laterality: side of the body that the header states, "right" or "left"; empty where it states none.
        body_part: Body Part Examined of the header, empty where there is none.
    """

    plane: str
    slices: tuple[ScoutSlice, ...]
    frame_of_reference: str | None = None
    name: str = ""
    series: str | None = None
    remark: str = ""
    volume: str = ""
    laterality: str = ""
    body_part: str = ""

    @property
    def normal(self) -> np.ndarray:
        return self.slices[0].normal

    @property
    def positions_mm(self) -> np.ndarray:
        """(slices,) offset of each slice from the world origin along ``normal``."""
        return np.array([s.origin_mm @ self.normal for s in self.slices])

    @property
    def thickness_mm(self) -> float:
        """Slice thickness; where it is not stated, the smallest gap between slices, else 5 mm."""
        stated = [s.thickness_mm for s in self.slices if s.thickness_mm]
        if stated:
            return float(np.median(stated))
        gaps = np.diff(self.positions_mm)
        return float(gaps.min()) if len(gaps) else 5.0

    @cached_property
    def pixel_digest(self) -> str:
        """First half of the SHA-256 of sizes, spacings and values; kept, for every drag of a landmark asks for it."""
        digest = hashlib.sha256()
        for s in self.slices:
            digest.update(f"{s.pixels.shape} {s.spacing_mm[0]:.3f} {s.spacing_mm[1]:.3f}".encode())
            digest.update(np.ascontiguousarray(s.pixels, dtype="<f4").data)
        return digest.hexdigest()[:32]


def unanimous(words: Iterable[str]) -> str:
    """The one word that all say who say something; empty where nobody does, or where they disagree."""
    said = {word for word in words if word}
    return said.pop() if len(said) == 1 else ""


def header_side(stacks: Iterable[ScoutStack]) -> str:
    """Side of the body, "right" or "left", that all headers state that state one; else empty."""
    return unanimous(stack.laterality for stack in stacks)


def plane_of(normal: np.ndarray) -> str:
    """Name of the plane whose axis is nearest to ``normal`` (3,)."""
    return PLANES[int(np.argmax(np.abs(normal)))]


def group_into_stacks(
    slices: Iterable[ScoutSlice], frame_of_reference: str | None = None, name: str = ""
) -> list[ScoutStack]:
    """Sort slices into stacks of equal orientation, each ordered along its normal.

    Several stacks of the same plane stay separate. Of slices at the same position one is kept.
    """
    groups: list[list[ScoutSlice]] = []
    for scout_slice in slices:
        for group in groups:
            if _parallel(scout_slice, group[0]):
                group.append(scout_slice)
                break
        else:
            groups.append([scout_slice])
    stacks = []
    for group in groups:
        normal = group[0].normal
        ordered = _without_repeats(sorted(group, key=lambda s: float(s.origin_mm @ normal)))
        stacks.append(ScoutStack(plane_of(normal), tuple(ordered), frame_of_reference, name))
    return sorted(stacks, key=lambda s: (PLANE_NORMAL_AXIS[s.plane], -len(s.slices)))


def is_even(stack: ScoutStack) -> bool:
    """Whether one image can hold the slices exactly: same grid, stacked straight along the normal, evenly."""
    first, last = stack.slices[0], stack.slices[-1]
    for s in stack.slices:
        if s.pixels.shape != first.pixels.shape or s.spacing_mm != first.spacing_mm:
            return False
        if np.abs([s.column_axis - first.column_axis, s.row_axis - first.row_axis]).max() > SAME_AXES_TOLERANCE:
            return False
    reach_mm = float((last.origin_mm - first.origin_mm) @ first.normal)
    depths = np.linspace(0.0, reach_mm, len(stack.slices))
    straight = first.origin_mm + depths[:, None] * first.normal
    return bool(np.abs(np.array([s.origin_mm for s in stack.slices]) - straight).max() < EVEN_TOLERANCE_MM)


def require_usable(stacks: Sequence[ScoutStack]) -> None:
    """Raise InputError unless the stacks suffice for a plan: one frame of reference, two planes or more."""
    frames = {stack.frame_of_reference for stack in stacks if stack.frame_of_reference}
    if len(frames) > 1:
        raise InputError(
            f"the scouts have {len(frames)} different frames of reference, so their positions cannot be compared",
            source=stacks[0].name or None,
            remedy="Choose the scouts of one examination without repositioning.",
        )
    planes = {stack.plane for stack in stacks}
    if len(planes) < 2:
        found = f"only {next(iter(planes))} slices" if planes else "no slices"
        raise InputError(
            f"{found} found, at least two of the three planes are needed",
            source=stacks[0].name or None if stacks else None,
            remedy="Add the missing scouts (sagittal, coronal, axial).",
        )


def _parallel(a: ScoutSlice, b: ScoutSlice) -> bool:
    return bool(
        np.abs(a.column_axis - b.column_axis).max() < ORIENTATION_TOLERANCE
        and np.abs(a.row_axis - b.row_axis).max() < ORIENTATION_TOLERANCE
    )


def _without_repeats(ordered: list[ScoutSlice]) -> list[ScoutSlice]:
    kept = ordered[:1]
    for scout_slice in ordered[1:]:
        if np.abs(scout_slice.origin_mm - kept[-1].origin_mm).max() > 1e-3:
            kept.append(scout_slice)
    return kept


#: In-plane world axes (column axis, row axis) of a slice in standard orientation, per plane:
#: sagittal shows anterior x superior, coronal right x superior, axial right x anterior.
IN_PLANE_AXES = {"sagittal": (1, 2), "coronal": (0, 2), "axial": (0, 1)}
