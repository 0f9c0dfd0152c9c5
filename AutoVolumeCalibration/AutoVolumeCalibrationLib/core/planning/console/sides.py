"""Coordinates with the letter of the patient's side, as consoles write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Coordinates that would be written as 0.0 carry the letter of the positive side.
_SHOWN_MM = 0.05

#: Letter of a positive coordinate -> that of a negative one.
OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "H": "F", "S": "I"}


def sides(point_mm: Sequence[float] | np.ndarray, letters: str) -> list[str]:
    """Each coordinate of ``point_mm`` as letter and mm, such as "L93.1".

    Args:
        letters: of the positive direction of each coordinate.
    """
    return [side(value, letter) for value, letter in zip(point_mm, letters, strict=True)]


def side(value_mm: float, letter: str) -> str:
    """One coordinate: ``letter`` where it is positive, the opposite side's where it is negative."""
    return f"{OPPOSITE[letter] if value_mm < -_SHOWN_MM else letter}{abs(value_mm):.1f}"
