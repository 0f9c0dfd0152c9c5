"""Draw a scout slice with the box, the prescribed slices and the landmarks on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, Landmark
from ..geometry.coordinates import swap_ras_lps
from ..geometry.cross_sections import box_section_mm, chord, grown
from ..geometry.oriented_box import OrientedBox
from .style import BOX, CORRECTED_MARK, EXPECTED, FONT, GREY, OUTLIER, SIDE_LETTER, confidence_colour
from .views import SliceView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import PathPatch

    from ..anatomy.protocol import Protocol
    from ..planning.prescription import Prescription
    from ..workflow.calibration import Calibration

#: Landmarks named per slice, at most; the others show as dots only.
_MOST_LABELS = 9
_SCALE_BAR_MM = 50
_ELLIPSE_SD = 2.0
#: Prescribed slices closer together than this on the picture are thinned out.
_TICK_STEP_MM = 6.0
_TICK_LENGTH_MM = 5.0
#: Points more than this far outside a slice's own reach are not drawn on it however uncertain they are.
_FAR_MM = 6.0


def draw_slice(
    axes: Axes,
    view: SliceView,
    calibration: Calibration,
    grey: tuple[float, float],
    middle_mm: np.ndarray,
    half_mm: float,
) -> None:
    """Fill square ``axes`` with the view's part within ``half_mm`` of ``middle_mm`` (2,), in picture mm."""
    draw_image(axes, view, grey)
    axes.set_xlim(middle_mm[0] - half_mm, middle_mm[0] + half_mm)
    axes.set_ylim(middle_mm[1] - half_mm, middle_mm[1] + half_mm)
    draw_box(axes, view, calibration.box)
    draw_prescribed_slices(axes, view, calibration)
    draw_landmarks(axes, view, calibration, mm_per_point=2 * half_mm / _width_points(axes))
    _draw_letters(axes, view)
    _draw_scale_bar(axes)


def draw_image(axes: Axes, view: SliceView, grey: tuple[float, float]) -> None:
    """The slice's pixels in picture mm; ``grey`` are the values shown black and white."""
    axes.imshow(
        view.image,
        cmap="gray",
        vmin=grey[0],
        vmax=grey[1],
        extent=view.extent_mm,
        interpolation="bilinear",
        aspect="equal",
        origin="upper",
    )


def draw_box(axes: Axes, view: SliceView, box: OrientedBox, line_width: float = 1.4) -> None:
    """The box's outline on the slice, inside a band of plus and minus 2 standard deviations of its faces."""
    outline = section_in_picture(view, box)
    if not len(outline):
        return
    axes.plot(*_closed(outline).T, color=BOX, linewidth=line_width, solid_joinstyle="miter")
    outer = section_in_picture(view, grown(box, _ELLIPSE_SD))
    inner = section_in_picture(view, grown(box, -_ELLIPSE_SD))
    if box.face_sd_mm and len(outer):
        axes.add_patch(_band(outer, inner))


def _band(outer: np.ndarray, inner: np.ndarray) -> PathPatch:
    """A patch between two polygons (n, 2), the inner of which may be empty."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    # Opposite senses of rotation make the inner polygon a hole.
    rings = [_closed(_counterclockwise(outer)), *([_closed(_counterclockwise(inner)[::-1])] if len(inner) else [])]
    path = Path.make_compound_path(*[Path(ring, closed=True) for ring in rings])
    return PathPatch(path, facecolor=BOX, edgecolor="none", alpha=0.16)


def section_in_picture(view: SliceView, box: OrientedBox) -> np.ndarray:
    """(n, 2) outline of the box on the slice in picture mm; (0, 2) where they do not meet."""
    return view.to_picture(box_section_mm(box, view.center_mm, view.normal))


def _closed(polygon: np.ndarray) -> np.ndarray:
    return np.vstack([polygon, polygon[:1]])


def _counterclockwise(polygon: np.ndarray) -> np.ndarray:
    following = np.roll(polygon, -1, axis=0)
    area = (polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum()
    return polygon if area > 0 else polygon[::-1]


def draw_prescribed_slices(axes: Axes, view: SliceView, calibration: Calibration) -> None:
    """Where the prescribed slices cross this one: first, middle and last as lines, the others as ticks."""
    from matplotlib.collections import LineCollection

    outline = section_in_picture(view, calibration.box)
    offsets, axis = slice_offsets_mm(calibration.prescription)
    direction = view.to_picture(axis)
    steepness = np.linalg.norm(direction)
    # Slices nearly parallel to this one would cross it anywhere within their own thickness.
    if not len(outline) or steepness < 0.5:
        return
    # Picture coordinates give the in-plane part of x . axis; the rest is the slice's own height along it.
    height = (view.center_mm @ axis) - view.to_picture(view.center_mm) @ direction
    chords = [chord(outline, direction, offset - height) for offset in offsets]
    main = {0, len(chords) // 2, len(chords) - 1}
    gap = float(np.ptp(offsets)) / max(len(offsets) - 1, 1)
    step = max(1, int(np.ceil(_TICK_STEP_MM * steepness / max(gap, 1e-3))))
    lines = [c for index, c in enumerate(chords) if c is not None and index in main]
    ticks = [t for c in chords[::step] if c is not None for t in _end_ticks(c)]
    axes.add_collection(LineCollection(lines, colors=BOX, linewidths=0.6, linestyles=(0, (5, 4)), alpha=0.8))
    axes.add_collection(LineCollection(ticks, colors=BOX, linewidths=0.6, alpha=0.75))


def slice_offsets_mm(prescription: Prescription) -> tuple[np.ndarray, np.ndarray]:
    """(n,) heights of the prescribed slices' centres along the (3,) RAS unit vector across them."""
    axis, center = swap_ras_lps(prescription.normal), swap_ras_lps(prescription.center_mm)
    steps = np.arange(prescription.slices) - (prescription.slices - 1) / 2
    return center @ axis + steps * (prescription.slice_thickness_mm + prescription.gap_mm), axis


def _end_ticks(line: np.ndarray) -> list[np.ndarray]:
    """The two end pieces of a line (2, 2)."""
    along = line[1] - line[0]
    share = min(0.5, _TICK_LENGTH_MM / max(float(np.linalg.norm(along)), 1e-9))
    return [np.stack([line[0], line[0] + share * along]), np.stack([line[1], line[1] - share * along])]


def draw_landmarks(axes: Axes, view: SliceView, calibration: Calibration, mm_per_point: float) -> None:
    """Landmarks near the slice with their uncertainty, and where missing ones are expected."""
    frame = calibration.frame
    outliers = set(frame.outliers)
    near = _markers(view, calibration.landmarks)
    for marker in near:
        _draw_marker(axes, marker, marker.landmark.name in outliers)
    expected = [
        position
        for landmark in calibration.landmarks
        if landmark.status == MISSING and (position := frame.expected_mm.get(landmark.name)) is not None
        if abs(view.distance_mm(position)) <= view.reach_mm
    ]
    if expected:
        points = view.to_picture(np.array(expected))
        axes.plot(*points.T, "o", markersize=6, markeredgecolor=EXPECTED, markerfacecolor="none")
    main = _main_landmarks(calibration.protocol)
    _draw_labels(axes, sorted(near, key=lambda marker: _importance(marker.landmark, outliers, main)), mm_per_point)


@dataclass(frozen=True, eq=False)
class _Marker:
    """A landmark as the slice shows it: its ``point`` (2,) in picture mm and the ``ellipse`` of ``ellipse_of``."""

    landmark: Landmark
    point: np.ndarray
    ellipse: tuple[float, float, float]


def _markers(view: SliceView, landmarks: Iterable[Landmark]) -> list[_Marker]:
    """Markers of the landmarks that are placed and belong to the slice."""
    found = []
    for landmark in landmarks:
        position, covariance = landmark.position_mm, landmark.covariance_mm2
        if landmark.status == MISSING or position is None or covariance is None:
            continue
        if belongs_to(view, position, covariance):
            found.append(_Marker(landmark, view.to_picture(position), ellipse_of(view, covariance)))
    return found


def belongs_to(view: SliceView, position_mm: np.ndarray, covariance_mm2: np.ndarray) -> bool:
    """True where the slice may pass through a landmark: within its reach and the point's own uncertainty.

    Args:
        position_mm: (3,) RAS; covariance_mm2: (3, 3).
    """
    sd = float(np.sqrt(view.normal @ covariance_mm2 @ view.normal))
    return bool(abs(view.distance_mm(position_mm)) <= view.reach_mm + min(sd, _FAR_MM))


def _draw_marker(axes: Axes, marker: _Marker, outlier: bool) -> None:
    from matplotlib.patches import Ellipse

    x, y = marker.point
    colour = OUTLIER if outlier else confidence_colour(marker.landmark.confidence)
    width, height, angle = marker.ellipse
    axes.add_patch(Ellipse((x, y), width, height, angle=angle, facecolor="none", edgecolor=colour, linewidth=0.9))
    if marker.landmark.status == CORRECTED:
        axes.plot(x, y, marker="D", markersize=5, color=CORRECTED_MARK, markeredgecolor="black", markeredgewidth=0.5)
    elif outlier:
        axes.plot(x, y, marker="x", markersize=6, markeredgewidth=1.6, color=OUTLIER)
    else:
        axes.plot(x, y, marker="o", markersize=3.6, color=colour, markeredgecolor="black", markeredgewidth=0.5)


def ellipse_of(view: SliceView, covariance_mm2: np.ndarray) -> tuple[float, float, float]:
    """Full axes (mm, long first) and angle (deg from the picture's right) of the in-plane 2 sd ellipse.

    Args:
        covariance_mm2: (3, 3) RAS.
    """
    basis = np.stack([view.right, view.up])
    variances, directions = np.linalg.eigh(basis @ covariance_mm2 @ basis.T)
    short, long = 2 * _ELLIPSE_SD * np.sqrt(np.maximum(variances, 0.0))
    return float(long), float(short), float(np.rad2deg(np.arctan2(directions[1, 1], directions[0, 1])))


def _main_landmarks(protocol: Protocol) -> set[str]:
    """The landmarks that define the protocol's frame: what a technologist checks first."""
    return {protocol.frame.origin, *protocol.frame.line[0], *protocol.frame.line[1]}


def _importance(landmark: Landmark, outliers: set[str], main: set[str]) -> tuple[bool, bool, bool, float]:
    """Sorts the main landmarks first, then outliers, then corrected points, then the most certain ones."""
    name, sd_mm = landmark.name, landmark.sd_mm
    uncertainty = math.inf if sd_mm is None else sd_mm
    return name not in main, name not in outliers, landmark.status != CORRECTED, uncertainty


def _draw_labels(axes: Axes, markers: Sequence[_Marker], mm_per_point: float) -> None:
    """Name the first markers that find room for their label beside their marker."""
    size = 7.5
    height = 1.15 * size * mm_per_point
    taken = [_rectangle(marker.point, 2.5 * mm_per_point, 2.5 * mm_per_point) for marker in markers]
    named = 0
    for marker in markers:
        name = marker.landmark.name
        width = 0.74 * size * mm_per_point * len(name)
        for shift in _label_offsets(width, height, gap=5.5 * mm_per_point):
            area = _rectangle(marker.point + shift, width / 2, height / 2)
            if _inside(area, axes) and not any(_overlap(area, other) for other in taken):
                taken.append(area)
                _text(axes, marker.point + shift, name, size)
                named += 1
                break
        if named == _MOST_LABELS:
            return


def _label_offsets(width: float, height: float, gap: float) -> list[np.ndarray]:
    """Offsets (2,) of a label's middle from its point, the preferred one first."""
    beside, above = width / 2 + gap, height / 2 + gap * 0.6
    return [np.array(area) for area in ((beside, 0), (-beside, 0), (0, above), (0, -above))] + [
        np.array([side * (beside - gap * 0.3), level * above]) for level in (1, -1) for side in (1, -1)
    ]


def _rectangle(middle: np.ndarray, half_width: float, half_height: float) -> tuple[float, float, float, float]:
    return middle[0] - half_width, middle[1] - half_height, middle[0] + half_width, middle[1] + half_height


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _inside(area: tuple[float, float, float, float], axes: Axes) -> bool:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return left < area[0] and area[2] < right and bottom < area[1] and area[3] < top


def _text(axes: Axes, point: np.ndarray, text: str, size: float, color: str = "white", **options: Any) -> None:
    """Text with a dark rim, readable on any grey; ``point`` in picture mm."""
    from matplotlib.patheffects import withStroke

    placed: dict[str, Any] = {"ha": "center", "va": "center", "clip_on": True} | options
    rim = [withStroke(linewidth=1.8, foreground="black")]
    axes.text(point[0], point[1], text, color=color, fontsize=size, family=FONT, path_effects=rim, **placed)


def _draw_letters(axes: Axes, view: SliceView) -> None:
    places = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.02, "center", "bottom"),
        (0.5, 0.98, "center", "top"),
    )
    for letter, (x, y, horizontal, vertical) in zip(view.letters, places, strict=True):
        options = {"ha": horizontal, "va": vertical, "transform": axes.transAxes, "weight": "bold"}
        _text(axes, np.array([x, y]), letter, 13, SIDE_LETTER, **options)


def _draw_scale_bar(axes: Axes) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = right - 0.03 * (right - left), bottom + 0.035 * (top - bottom)
    axes.plot([x - _SCALE_BAR_MM, x], [y, y], color=GREY, linewidth=2, solid_capstyle="butt")
    middle = np.array([x - _SCALE_BAR_MM / 2, y + 0.012 * (top - bottom)])
    _text(axes, middle, f"{_SCALE_BAR_MM} mm", 8, GREY, va="bottom")


def _width_points(axes: Axes) -> float:
    """Width of the axes on paper, in points."""
    inches = axes.figure.bbox.width / axes.figure.dpi
    return axes.get_position().width * inches * 72
