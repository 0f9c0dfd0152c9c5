"""Landmarks moved to where human raters place them: PC, LVAC and LVPC.

Points that were carried over by registration differ from those of human raters (means of 60 people). Only three of the
differences are certain and lead to a place that is visible in the image:

- PC: raters place it 0.5 mm posterior and 0.5 mm superior of the label maps' points, and 0.3 mm and 0.3 mm of those
  carried over from templates to real images.
- LVAC and LVPC are defined (AFIDs, Lau et al. 2019) as the lateral border of the lateral ventricle on the coronal slice
  of AC and of PC. Of label maps they are measured. In real images only the coronal slice is corrected.

All shifts are in the AC-PC frame of the points as they were.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from AutoVolumeCalibrationLib.core.scouts.volume import Volume

#: Raters less label maps, and raters less points carried over to real images: (right, anterior, superior) mm.
PC_SHIFT_OF_LABEL_MAPS_MM = np.array([0.0, -0.5, 0.5])
PC_SHIFT_OF_VOLUMES_MM = np.array([0.0, -0.3, 0.3])

#: FreeSurfer number of the lateral ventricle by side, and the direction of lateral in the frame.
LATERAL_VENTRICLES = {"L": (4, -1), "R": (43, 1)}

#: Landmark on the border of the ventricle -> landmark on whose coronal slice it lies.
VENTRICLE_LANDMARKS = {"LVAC": "AC", "LVPC": "PC"}

#: Half thickness of the coronal slab that counts as the slice, mm.
HALF_SLAB_MM = 1.5

#: The border is where this much ventricle (mm3) of the slab lies further out; its height is the centroid of the next
#: ``BORDER_MM``. Voxel centres end half a voxel inside the border.
OUTERMOST_MM3, BORDER_MM, HALF_VOXEL_MM = 5.0, 1.0, 0.5

#: Two sides that differ by more than this (mm): the narrower one is a fault of the label map.
LARGEST_ASYMMETRY_MM = 6.0

Points = Mapping[str, np.ndarray]


def correct_label_points(points: Points, labels: Volume, origin_mm: np.ndarray, axes: np.ndarray) -> dict:
    """The points of a label map, name -> (3,) RAS mm, with PC, LVAC and LVPC where raters place them.

    Args:
        origin_mm, axes: AC (3,) and rows right, anterior, superior (3, 3) of the head's frame.

    Returns:
        A new mapping. Ventricle landmarks that cannot be measured are left out.
    """
    result = {**points, "PC": points["PC"] + PC_SHIFT_OF_LABEL_MAPS_MM @ axes}
    ventricles = {side: _in_frame(labels, number, origin_mm, axes) for side, (number, _) in LATERAL_VENTRICLES.items()}
    for name, plane in VENTRICLE_LANDMARKS.items():
        anterior = (result[plane] - origin_mm) @ axes[1]
        borders = {
            side: lateral_border(ventricles[side], anterior, sign) for side, (_, sign) in LATERAL_VENTRICLES.items()
        }
        for side in LATERAL_VENTRICLES:
            result.pop(f"{side}{name}", None)
        result |= {f"{side}{name}": origin_mm + place @ axes for side, place in _plausible(borders).items()}
    return result


def correct_volume_points(points: Points, origin_mm: np.ndarray, axes: np.ndarray) -> dict:
    """The points carried over to a real image: PC shifted, LVAC and LVPC moved onto the coronal slice of AC and PC.

    Right and superior of LVAC and LVPC stay as they are: where the border lies is not known without a segmentation.
    """
    result = dict(points)
    result["PC"] = points["PC"] + PC_SHIFT_OF_VOLUMES_MM @ axes
    for name, plane in VENTRICLE_LANDMARKS.items():
        anterior = (result[plane] - origin_mm) @ axes[1]
        for key in (f"L{name}", f"R{name}"):
            if key in points:
                place = (points[key] - origin_mm) @ axes.T
                place[1] = anterior
                result[key] = origin_mm + place @ axes
    return result


def lateral_border(points: np.ndarray, anterior_mm: float, sign: int) -> np.ndarray | None:
    """Outermost place (3,) of a ventricle on a coronal slice; None where the slice does not meet it.

    Args:
        points: (n, 3) voxel centres in the head's frame (right, anterior, superior mm), 1 mm3 each.
        anterior_mm: of the slice.
        sign: +1 where lateral is right, -1 where it is left.
    """
    slab = points[np.abs(points[:, 1] - anterior_mm) < HALF_SLAB_MM]
    rank = round(OUTERMOST_MM3)
    if len(slab) < 4 * rank:
        return None
    reach = sign * slab[:, 0]
    outermost = np.sort(reach)[-rank]
    height = slab[reach >= outermost - BORDER_MM, 2].mean()
    return np.array([sign * (outermost + HALF_VOXEL_MM), anterior_mm, height])


def _plausible(borders: Mapping[str, np.ndarray | None]) -> dict[str, np.ndarray]:
    """The borders by side without those that are absent or far nearer to the midline than the other side's."""
    found = {side: place for side, place in borders.items() if place is not None}
    widest = max((abs(place[0]) for place in found.values()), default=0.0)
    return {side: place for side, place in found.items() if abs(place[0]) > widest - LARGEST_ASYMMETRY_MM}


def _in_frame(labels: Volume, number: int, origin_mm: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(n, 3) voxel centres of a label in the head's frame, mm."""
    index = np.argwhere(labels.array == number)
    return (index @ labels.affine[:3, :3].T + labels.affine[:3, 3] - origin_mm) @ axes.T
