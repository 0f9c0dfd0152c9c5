"""The AC-PC frame of a head from its points, and the outermost points of its brain in that frame.

The reference heads come with points on the surface of the brain instead of a segmentation. The
extremes computed here follow the definition of the label maps' (outermost brain along an axis of the
AC-PC frame, robust maximum) as far as surface points allow, and state their uncertainty:
about 2 mm along the normal, unbounded across it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from AutoVolumeCalibrationLib.core.geometry.coordinates import unit

#: Left/right AFIDs whose connections point to the right; the occipital and temporal horns are left out (unreliable).
PAIRS = tuple((f"R{name}", f"L{name}") for name in ("SLMS", "ILMS", "MB", "LVAC", "LVPC", "SAMTH", "IAMTH", "IGO"))

#: The third highest of up to 4,000 surface points: single stray points do not move an extreme.
ROBUST_RANK = 3

#: Standard deviation of an extreme across its normal, mm: the outermost point of a flat pole may lie anywhere.
TANGENTIAL_SD_MM = 15.0


@dataclass(frozen=True)
class Extreme:
    """One extreme of the brain in the AC-PC frame (right, anterior, superior of AC, mm).

    Attributes:
        name: of the landmark.
        axis: index of the frame's axis that is the normal.
        sign: +1 where the extreme is the largest coordinate, -1 where it is the smallest.
        typical_mm: where it lies on average (20 label heads); gives the tangential coordinates.
        reach_mm: only points this near to ``typical_mm`` across the normal count, so that the
            brain stem is not mistaken for the cerebellum nor the cerebellum for a temporal lobe.
        outward_mm: added to the outermost surface point, because the surface points come from
            template masks that end inside the cortex.
        sd_mm: standard deviation along the normal.
    """

    name: str
    axis: int
    sign: int
    typical_mm: tuple[float, float, float]
    reach_mm: float
    outward_mm: float
    sd_mm: float


#: ``outward_mm`` weighs three measurements on 21 real heads that do not agree well (outermost point to ...):
#: the steepest intensity fall in T1 images (frontal 0.5, occipital -0.5, lateral 0, vertex 1, cerebellum 0 mm;
#: sd over heads 1-3 mm), the BRAIN_* extremes of the data (3.2, 0.8, 1.2, 5.4, 0.3 mm; the anterior and
#: superior ones reach into CSF and skull), and the mean of the 20 label heads (0, 0, 2.1, 2.4, 0.7 mm; temporal -0.5).
#: ``sd_mm`` is about their disagreement.
EXTREMES = (
    Extreme("FRONTAL_L", 1, 1, (-10.7, 64.6, 7.3), 25, 1.0, 2.0),
    Extreme("FRONTAL_R", 1, 1, (10.7, 64.6, 7.3), 25, 1.0, 2.0),
    Extreme("OCCIPITAL_L", 1, -1, (-13.0, -104.6, 0.0), 25, 0.5, 2.0),
    Extreme("OCCIPITAL_R", 1, -1, (13.0, -104.6, 0.0), 25, 0.5, 2.0),
    Extreme("LATERAL_L", 0, -1, (-66.5, -29.6, 1.0), 25, 1.0, 1.5),
    Extreme("LATERAL_R", 0, 1, (66.5, -29.6, 1.0), 25, 1.0, 1.5),
    Extreme("VERTEX", 2, 1, (0.0, -29.2, 71.2), 25, 2.0, 2.0),
    Extreme("CEREBELLUM_L", 2, -1, (-17.8, -55.0, -56.7), 15, 0.5, 2.5),
    Extreme("CEREBELLUM_R", 2, -1, (17.8, -55.0, -56.7), 15, 0.5, 2.5),
    Extreme("TEMPORAL_L", 2, -1, (-34.3, -0.8, -39.4), 15, 0.5, 2.5),
    Extreme("TEMPORAL_R", 2, -1, (34.3, -0.8, -39.4), 15, 0.5, 2.5),
)

#: Name of an extreme -> index of the anatomical axis that it is known along.
NORMAL_AXIS = {extreme.name: extreme.axis for extreme in EXTREMES}

#: Name of an extreme -> how far beyond the outermost surface points the brain reaches there, mm.
OUTWARD_MM = {extreme.name: extreme.outward_mm for extreme in EXTREMES}


def acpc_axes(points_mm: Mapping[str, np.ndarray]) -> np.ndarray:
    """The AC-PC frame of a head: rows are right, anterior, superior (unit, RAS), det +1.

    Anterior runs from PC to AC; right is the sum of the connections of left/right pairs, made perpendicular to it.

    Args:
        points_mm: name -> (3,) RAS; AC, PC and at least one of PAIRS.

    Raises:
        KeyError: a point that the frame needs is absent.
    """
    anterior = unit(points_mm["AC"] - points_mm["PC"])
    present = [(right, left) for right, left in PAIRS if right in points_mm and left in points_mm]
    if not present:
        raise KeyError(f"none of the left/right pairs {PAIRS}")
    right = np.sum([points_mm[right] - points_mm[left] for right, left in present], axis=0)
    right = unit(right - (right @ anterior) * anterior)
    return np.stack([right, anterior, np.cross(right, anterior)])


def brain_extremes(
    brain_points_mm: np.ndarray, origin_mm: np.ndarray, axes: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Extremes of a brain given by points on its surface.

    Args:
        brain_points_mm: (n, 3) RAS.
        origin_mm: (3,) RAS, the anterior commissure.
        axes: (3, 3), rows are right, anterior, superior of the AC-PC frame.

    Returns:
        (name -> (3,) RAS position, name -> (3, 3) RAS covariance in mm^2). An extreme with fewer
        than ROBUST_RANK points near its usual position is left out.
    """
    local = (np.asarray(brain_points_mm, dtype=float) - origin_mm) @ axes.T
    positions, covariances = {}, {}
    for extreme in EXTREMES:
        height = _outermost(local, extreme)
        if height is None:
            continue
        position = np.array(extreme.typical_mm)
        position[extreme.axis] = extreme.sign * (height + extreme.outward_mm)
        variances = np.full(3, TANGENTIAL_SD_MM**2)
        variances[extreme.axis] = extreme.sd_mm**2
        positions[extreme.name] = origin_mm + position @ axes
        covariances[extreme.name] = axes.T @ np.diag(variances) @ axes
    return positions, covariances


def _outermost(local: np.ndarray, extreme: Extreme) -> float | None:
    """How far the points (n, 3) in the AC-PC frame reach out near the extreme's usual position, mm."""
    across = np.arange(3) != extreme.axis
    near = (np.abs(local[:, across] - np.array(extreme.typical_mm)[across]) < extreme.reach_mm).all(axis=1)
    heights = np.sort(extreme.sign * local[near, extreme.axis])
    return float(heights[-ROBUST_RANK]) if len(heights) >= ROBUST_RANK else None
