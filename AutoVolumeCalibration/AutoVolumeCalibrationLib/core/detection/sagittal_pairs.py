"""What a sagittal slice shows of a left/right pair, where a single one does not say which of the two it is.

``MIDDLE``: both names stand for the middle between the two, which fits landmarks that are seen together, in a brain.
``NEAREST``: both stand for the one that is nearer to the slice, which fits parts of a pair that fill their own slices,
as the condyles of a knee do; the other planes show which one that is (``fusion``).
"""

from __future__ import annotations

import numpy as np

from ..scouts.stack import ScoutSlice

MIDDLE, NEAREST = "middle", "nearest"
SAGITTAL_PAIRS = (MIDDLE, NEAREST)


def shown_of_pair(own_mm: np.ndarray, partner_mm: np.ndarray, scout_slice: ScoutSlice, pairs: str) -> np.ndarray:
    """(..., 3) RAS: the point that stands for landmarks ``own_mm`` (..., 3) on a sagittal slice.

    Args:
        partner_mm: (..., 3) RAS of their partners, the same point where a landmark has none.
        pairs: MIDDLE or NEAREST.

    Returns:
        NaN where one of the two is.
    """
    middle: np.ndarray = (own_mm + partner_mm) / 2
    if pairs == MIDDLE:
        return middle
    own, partner = (np.abs((points - scout_slice.origin_mm) @ scout_slice.normal) for points in (own_mm, partner_mm))
    nearest = np.where((own <= partner)[..., None], own_mm, partner_mm)
    return np.where(np.isnan(middle), np.nan, nearest)
