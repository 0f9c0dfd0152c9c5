"""Do landmarks lie as in a head, or as in its mirror image?"""

from __future__ import annotations

import numpy as np

#: Fewer points fit their mirror image too.
FEWEST_POINTS = 4

#: Root mean square distance of the points from a typical head, mm: individual heads stay below the first; a mirrored
#: set fits worse than that, and its mirror image better by at least this factor.
UNLIKE_MM, BETTER = 8.0, 2.5


def look_mirrored(points_mm: np.ndarray, reference_mm: np.ndarray) -> bool:
    """Whether points (n, 3) fit their references (n, 3) far better once left and right are exchanged.

    Both are fitted by a rotation, a translation and a size (Umeyama 1991).
    """
    if len(points_mm) < FEWEST_POINTS:
        return False
    as_placed = _misfit_mm(points_mm, reference_mm)
    return as_placed > UNLIKE_MM and as_placed > BETTER * _misfit_mm(points_mm * [-1, 1, 1], reference_mm)


def _misfit_mm(points_mm: np.ndarray, reference_mm: np.ndarray) -> float:
    """Root mean square distance after the best similarity without reflection, in the size of the reference."""
    a, b = points_mm - points_mm.mean(axis=0), reference_mm - reference_mm.mean(axis=0)
    left, strengths, right = np.linalg.svd(b.T @ a)
    strengths[2] *= np.sign(np.linalg.det(left @ right))
    total_a, total_b = float((a**2).sum()), float((b**2).sum())
    if total_a == 0:
        return 0.0
    left_over = max(0.0, total_b - float(strengths.sum()) ** 2 / total_a)
    return float(np.sqrt(left_over / len(points_mm)))
