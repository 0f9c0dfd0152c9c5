"""Checks that every image passes before it becomes a scout, whatever its file format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import InputError
from ..geometry.coordinates import FARTHEST_MM, is_sensible, unit

#: A header that claims more than this is damaged or hostile: refused before memory is reserved for it.
MAX_SIDE = 4096
MAX_FRAMES = 2000
MAX_PIXELS = 2**27
MAX_BYTES = 2**30

#: Of pixels and slices; the gap of a survey's slices may be large.
SPACING_MM = (1e-3, 1000.0)

#: Direction cosines rounded to 3 digits still pass; axes 0.3 degrees off square do not.
AXIS_TOLERANCE = 5e-3


def require_sane_size(shape: Sequence[int], source: str, pixel_bytes: int = 1) -> None:
    """Raise InputError unless every side of ``shape`` is 1..MAX_SIDE and the whole fits MAX_PIXELS and MAX_BYTES."""
    if min(shape) < 1:
        raise InputError(
            f"the header states an empty image ({_times(shape)})", source=source, remedy="Export the image again."
        )
    pixels = math.prod(int(side) for side in shape)
    if max(shape) > MAX_SIDE or pixels > MAX_PIXELS or pixels * pixel_bytes > MAX_BYTES:
        raise InputError(
            f"the header states {_times(shape)} pixels, far more than any scout has",
            source=source,
            remedy="Choose a scout, or export it again if its header is damaged.",
        )


def require_spacing(spacing_mm: np.ndarray | Sequence[float], source: str) -> None:
    """Raise InputError unless every spacing is a number of mm that an image can have."""
    spacing = np.asarray(spacing_mm, dtype=float)
    if not ((spacing >= SPACING_MM[0]) & (spacing <= SPACING_MM[1])).all():
        raise InputError(
            f"the pixel spacing is invalid ({_times(spacing)} mm)",
            source=source,
            remedy="Export the image again with its spacing in mm.",
        )


def require_position(position_mm: np.ndarray | Sequence[float], source: str) -> None:
    """Raise InputError where a corner of an image lies farther out than any patient."""
    if not is_sensible(position_mm):
        raise InputError(
            f"the image lies farther than {FARTHEST_MM:.0f} mm from the origin",
            source=source,
            remedy="Export the original images with their geometry.",
        )


def square_axes(column_axis: np.ndarray, row_axis: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """The in-plane axes (3,), (3,) as exact perpendicular unit vectors; InputError where they are far from it."""
    norms = np.linalg.norm([column_axis, row_axis], axis=1)
    if not np.isfinite(norms).all() or np.abs(norms - 1).max() > AXIS_TOLERANCE:
        raise InputError(
            "the image axes are not unit vectors", source=source, remedy="Export the image again with its orientation."
        )
    column_axis = unit(column_axis)
    along = float(column_axis @ row_axis)
    if abs(along) > AXIS_TOLERANCE:
        raise InputError(
            "the image axes are not perpendicular to each other",
            source=source,
            remedy="Export the image again without shear.",
        )
    return column_axis, unit(row_axis - along * column_axis)


def finite_pixels(values: np.ndarray, source: str) -> np.ndarray:
    """``values`` as float32, anything not finite set to the least finite value.

    Raises:
        InputError: where nothing is finite.
    """
    with np.errstate(over="ignore"):
        pixels = np.asarray(values).astype(np.float32)
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels
    if not finite.any():
        raise InputError("no pixel holds a finite number", source=source, remedy="Export the image again.")
    pixels[~finite] = pixels[finite].min()
    return pixels


def _times(numbers: Iterable[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
