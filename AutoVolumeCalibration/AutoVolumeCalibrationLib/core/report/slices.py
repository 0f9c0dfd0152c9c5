"""Draw a scout slice with the box, the prescribed slices and the landmarks on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, Landmark
from ..geometry.coordinates import swap_ras_lps
from ..geometry.cross_sections import box_section_mm, chord, grown
from ..geometry.oriented_box import OrientedBox
from .content import names_that_matter
from .labels import Area, draw_labels, draw_text
from .reference_line import draw_reference_line, line_ends
from .style import BOX, CORRECTED_MARK, EXPECTED, GREY, OUTLIER, SIDE_LETTER, confidence_colour
from .views import SliceView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import PathPatch
    from matplotlib.transforms import Transform

    from ..planning.prescription import Prescription
    from ..workflow.calibration import Calibration

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
    size: float,
) -> None:
    """Fill square ``axes`` with the view's part within ``half_mm`` of ``middle_mm`` (2,), in picture mm.

    Args:
        size: of the names of landmarks, in points; the other type follows it.
    """
    draw_image(axes, view, grey)
    axes.set_xlim(middle_mm[0] - half_mm, middle_mm[0] + half_mm)
    axes.set_ylim(middle_mm[1] - half_mm, middle_mm[1] + half_mm)
    draw_box(axes, view, calibration.box)
    draw_prescribed_slices(axes, view, calibration)
    draw_landmarks(axes, view, calibration, 2 * half_mm / _width_points(axes), size)
    _draw_letters(axes, view, 1.5 * size)
    _draw_scale_bar(axes, size)


def draw_image(axes: Axes, view: SliceView, grey: tuple[float, float], transform: Transform | None = None) -> None:
    """The slice's pixels in picture mm.

    Args:
        grey: the values shown black and white.
        transform: from picture mm to the screen; None: the axes' own.
    """
    axes.imshow(
        view.image,
        cmap="gray",
        vmin=grey[0],
        vmax=grey[1],
        extent=view.extent_mm,
        interpolation="bilinear",
        aspect="equal" if transform is None else "auto",
        origin="upper",
        transform=axes.transData if transform is None else transform,
    )


def draw_box(axes: Axes, view: SliceView, box: OrientedBox, line_width: float = 2.0) -> None:
    """The box's outline on the slice, inside a band of plus and minus 2 standard deviations of its faces."""
    outline = section_in_picture(view, box)
    if not len(outline):
        return
    draw_outline(axes, outline, line_width)
    outer = section_in_picture(view, grown(box, _ELLIPSE_SD))
    inner = section_in_picture(view, grown(box, -_ELLIPSE_SD))
    if box.face_sd_mm and len(outer):
        axes.add_patch(_band(outer, inner))


def draw_outline(axes: Axes, polygon: np.ndarray, line_width: float, within: tuple[float, float] | None = None) -> None:
    """The polygon (n, 2) in the colour of the box; ``within``: the horizontal range that it must not leave."""
    from matplotlib.transforms import Bbox, TransformedBbox

    if not len(polygon):
        return
    (line,) = axes.plot(*_closed(polygon).T, color=BOX, linewidth=line_width, solid_joinstyle="miter")
    if within:
        line.set_clip_box(TransformedBbox(Bbox.from_extents(within[0], 0, within[1], 1), axes.transData))


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
    axes.add_collection(LineCollection(lines, colors=BOX, linewidths=0.9, linestyles=(0, (5, 4)), alpha=0.8))
    axes.add_collection(LineCollection(ticks, colors=BOX, linewidths=0.9, alpha=0.75))


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


def draw_landmarks(axes: Axes, view: SliceView, calibration: Calibration, mm_per_point: float, size: float) -> None:
    """Landmarks near the slice with their uncertainty, where missing ones are expected, and the line of the box.

    Only the names that matter are written (``content.names_that_matter``); the other landmarks are dots.
    """
    outliers = set(calibration.frame.outliers)
    near = _markers(view, calibration.landmarks)
    for marker in near:
        _draw_marker(axes, marker, marker.landmark.name in outliers)
    shown = {marker.landmark.name: marker.point for marker in near}
    for name, point in _expected(view, calibration).items():
        axes.plot(*point, "o", markersize=8, markeredgewidth=1.6, markeredgecolor=EXPECTED, markerfacecolor="none")
        shown[name] = point
    # The ends of the line first: one of them may lie beside the slice, or be the middle of two landmarks.
    ends = line_ends(calibration)
    outline = section_in_picture(view, calibration.box)
    along = draw_reference_line(axes, view, ends, outline) if ends else np.empty((0, 2))
    labels = {end.name: view.to_picture(end.position_mm) for end in ends} if ends and len(along) else {}
    labels |= {name: shown[name] for name in names_that_matter(calibration) if name in shown}
    draw_labels(axes, labels.items(), [*shown.values(), *labels.values(), *along], mm_per_point, size, _reserved(axes))


def _expected(view: SliceView, calibration: Calibration) -> dict[str, np.ndarray]:
    """Name -> (2,) picture mm of the missing landmarks that are expected on the slice."""
    expected = calibration.frame.expected_mm
    missing = (landmark.name for landmark in calibration.landmarks if landmark.status == MISSING)
    return {
        name: view.to_picture(expected[name])
        for name in missing
        if name in expected and abs(view.distance_mm(expected[name])) <= view.reach_mm
    }


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
    axes.add_patch(Ellipse((x, y), width, height, angle=angle, facecolor="none", edgecolor=colour, linewidth=1.3))
    if marker.landmark.status == CORRECTED:
        axes.plot(x, y, marker="D", markersize=8, color=CORRECTED_MARK, markeredgecolor="black", markeredgewidth=0.5)
    elif outlier:
        axes.plot(x, y, marker="x", markersize=9, markeredgewidth=2.4, color=OUTLIER)
    else:
        axes.plot(x, y, marker="o", markersize=5, color=colour, markeredgecolor="black", markeredgewidth=0.5)


def ellipse_of(view: SliceView, covariance_mm2: np.ndarray) -> tuple[float, float, float]:
    """Full axes (mm, long first) and angle (deg from the picture's right) of the in-plane 2 sd ellipse.

    Args:
        covariance_mm2: (3, 3) RAS.
    """
    basis = np.stack([view.right, view.up])
    variances, directions = np.linalg.eigh(basis @ covariance_mm2 @ basis.T)
    short, long = 2 * _ELLIPSE_SD * np.sqrt(np.maximum(variances, 0.0))
    return float(long), float(short), float(np.rad2deg(np.arctan2(directions[1, 1], directions[0, 1])))


def _reserved(axes: Axes) -> list[Area]:
    """Where ``draw_slice`` writes the letters of the sides and the scale bar."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width, height = right - left, top - bottom
    shares = (
        (0, 0.45, 0.07, 0.55),
        (0.93, 0.45, 1, 0.55),
        (0.45, 0, 0.55, 0.08),
        (0.45, 0.92, 0.55, 1),
        (0.7, 0, 1, 0.09),
    )
    return [(left + a * width, bottom + b * height, left + c * width, bottom + d * height) for a, b, c, d in shares]


def _draw_letters(axes: Axes, view: SliceView, size: float) -> None:
    places = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.02, "center", "bottom"),
        (0.5, 0.98, "center", "top"),
    )
    for letter, (x, y, horizontal, vertical) in zip(view.letters, places, strict=True):
        options = {"ha": horizontal, "va": vertical, "transform": axes.transAxes, "weight": "bold"}
        draw_text(axes, np.array([x, y]), letter, size, SIDE_LETTER, **options)


def _draw_scale_bar(axes: Axes, size: float) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = right - 0.03 * (right - left), bottom + 0.035 * (top - bottom)
    axes.plot([x - _SCALE_BAR_MM, x], [y, y], color=GREY, linewidth=3, solid_capstyle="butt")
    middle = np.array([x - _SCALE_BAR_MM / 2, y + 0.012 * (top - bottom)])
    draw_text(axes, middle, f"{_SCALE_BAR_MM} mm", 0.85 * size, GREY, va="bottom")


def _width_points(axes: Axes) -> float:
    """Width of the axes on paper, in points."""
    inches = axes.figure.bbox.width / axes.figure.dpi
    return axes.get_position().width * inches * 72
