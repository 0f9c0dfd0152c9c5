"""How a shape lies: its origin, the line along its anterior axis, and its right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Line
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import unit


@dataclass(frozen=True)
class ShapeFrame:
    """Where the axes of a shape lie.

    Attributes:
        origin: landmark at zero; None: the mean of all points.
        line: runs along +anterior; None: the axes follow the patient's, and the left/right pairs where there are any.
    """

    origin: str | None = None
    line: Line | None = None

    @property
    def landmarks(self) -> tuple[str, ...]:
        """The landmarks that it needs, each once."""
        names = [*([self.origin] if self.origin else []), *(name for end in self.line or () for name in end)]
        return tuple(dict.fromkeys(names))


#: Origin AC, PC behind it.
AC_PC = ShapeFrame("AC", (("PC",), ("AC",)))


def framed(shape: np.ndarray, names: Sequence[str], mirror: np.ndarray, frame: ShapeFrame) -> np.ndarray:
    """``shape`` (n, 3), NaN where points are missing, moved and rotated into its frame; right comes from the pairs.

    Raises:
        InputError: no name says which side is right.
    """
    names = list(names)
    origin = shape[names.index(frame.origin)] if frame.origin else np.nanmean(shape, axis=0)
    right = across_mm(shape, names, mirror)
    if frame.line is None:
        right = unit(right)
        anterior = np.array([0.0, 1.0, 0.0])
        anterior = unit(anterior - (anterior @ right) * right)
    else:
        start, end = (shape[[names.index(name) for name in ends]].mean(axis=0) for ends in frame.line)
        anterior = unit(end - start)
        right = unit(right - (right @ anterior) * anterior)
    axes = np.array([right, anterior, np.cross(right, anterior)])
    moved: np.ndarray = (shape - origin) @ axes.T
    return moved


def across_mm(shape: np.ndarray, names: Sequence[str], mirror: np.ndarray) -> np.ndarray:
    """(3,) mean connection from left to right of a shape (n, 3); the patient's right where no pair is complete."""
    if (mirror == np.arange(len(mirror))).all():
        return np.array([1.0, 0.0, 0.0])
    right_hand = _right_hand(names, mirror)
    if not len(right_hand):
        raise InputError("no name says which landmarks are on the right", remedy="Name them RX and LX, or X_R and X_L.")
    connections = shape[right_hand] - shape[mirror[right_hand]]
    connections = connections[~np.isnan(connections[:, 0])]
    return connections.mean(axis=0) if len(connections) else np.array([1.0, 0.0, 0.0])


def _right_hand(names: Sequence[str], mirror: np.ndarray) -> np.ndarray:
    """Indices of the landmarks on the right: R... of an AFIDs pair, ..._R of the others."""
    return np.array(
        [
            i
            for i, name in enumerate(names)
            if mirror[i] != i and (name.endswith("_R") or (name[0] == "R" and "_" not in name))
        ]
    )
