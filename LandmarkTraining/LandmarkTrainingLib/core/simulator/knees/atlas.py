"""The atlas as a right knee of tissues, with what it lacks painted in: cortex, joint fluid, quadriceps, fat."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.scouts.volume import Volume

from ...reference_heads.label_landmarks import read_label_map
from ...reference_knees.bones import ATLAS_LABELS, bones_of
from ...reference_knees.landmarks import find_landmarks
from .tissues import (
    ATLAS_STRUCTURES,
    CARTILAGE,
    FAT_BETWEEN,
    FEMUR,
    FIBULA,
    FLUID,
    MARROW,
    PATELLA,
    QUADRICEPS,
    RECESS,
    TENDON,
    TIBIA,
)

#: Thickness of the cortical bone at the joint, and how much thicker it is in the shafts, mm.
CORTEX_MM = {FEMUR: (1.2, 2.5), TIBIA: (1.2, 2.5), FIBULA: (1.4, 1.0), PATELLA: (1.4, 0.0)}

#: The cortex thickens from this far from the joint line on, over this length, mm.
SHAFT_FROM_MM, SHAFT_OVER_MM = 28.0, 40.0

#: Slices at each end that are incomplete.
CUT_SLICES = 2

#: Largest distance from a muscle that is kept, mm.
FAR_MM = 8.0


@dataclass(frozen=True, eq=False)
class ShaftEnd:
    """Where the atlas ends: height, centre (2,) of the bone there, and slopes (2,) per mm of height.

    ``slope`` is that of the end, ``axis`` that of the whole bone, which the slope passes into.
    """

    height_mm: float
    center_mm: np.ndarray
    slope: np.ndarray
    axis: np.ndarray


@dataclass(frozen=True, eq=False)
class KneeAtlas:
    """The atlas knee, mirrored to a right one; coordinates are right, anterior, superior mm.

    Attributes:
        tissues: (I, J, K) uint8; bone is marrow throughout.
        bone_depth_mm: (I, J, K) float32 depth inside the nearest bone, negative outside.
        cortex_mm: (I, J, K) float32 thickness of the cortex of the nearest bone.
        muscle_distance_mm: (I, J, K) float32 to the nearest muscle, FAR_MM at most.
        origin_mm, spacing_mm: (3,) of the first voxel's centre, and between voxels.
        landmarks_mm: name -> (3,).
        joint_mm: height of the joint line.
        top, bottom: the cut ends of femur and tibia.
    """

    tissues: np.ndarray
    bone_depth_mm: np.ndarray
    cortex_mm: np.ndarray
    muscle_distance_mm: np.ndarray
    origin_mm: np.ndarray
    spacing_mm: np.ndarray
    landmarks_mm: dict[str, np.ndarray]
    joint_mm: float
    top: ShaftEnd
    bottom: ShaftEnd


def load_atlas(path: Path) -> KneeAtlas:
    """Read the SPL knee atlas; InputError where it cannot be read."""
    volume = read_label_map(path)
    found = find_landmarks(bones_of(volume, ATLAS_LABELS, str(path)))
    landmarks, upwards = found.points_mm, found.axes[2, :2] / found.axes[2, 2]
    labels, origin, spacing = _as_right_knee(volume)
    joint = float(landmarks["EMINENCE"][2])
    heights = origin[2] + spacing[2] * np.arange(labels.shape[2])
    tissues = np.zeros(labels.shape, np.uint8)
    for tissue, numbers in ATLAS_STRUCTURES.items():
        tissues[np.isin(labels, numbers)] = tissue
    depth, cortex = _bones(labels, spacing, np.abs(heights - joint))
    tissues[depth > 0] = MARROW
    _paint_joint(tissues, labels, spacing)
    _paint_thigh(tissues, labels)
    return KneeAtlas(
        tissues,
        depth,
        cortex,
        _muscle_distance(tissues, spacing),
        origin,
        spacing,
        landmarks,
        joint,
        _end(labels, FEMUR, slice(-25, None), -1, origin, spacing),
        # The atlas ends in the head of the tibia, whose front slopes; its shaft is parallel to the femur's.
        _end(labels, TIBIA, slice(0, 18), 0, origin, spacing, upwards),
    )


def _as_right_knee(volume: Volume) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (I, J, K) without cut ends, axes right, anterior, superior of the mirrored knee; origin and spacing."""
    labels, affine = volume.array, np.diag([-1.0, 1, 1, 1]) @ volume.affine
    for axis in range(3):
        if affine[axis, axis] < 0:
            labels = np.flip(labels, axis)
            affine[:3, 3] += affine[:3, axis] * (labels.shape[axis] - 1)
            affine[:, axis] *= -1
    spacing, origin = np.diag(affine)[:3].copy(), affine[:3, 3].copy()
    origin[2] += CUT_SLICES * spacing[2]
    return np.ascontiguousarray(labels[:, :, CUT_SLICES:-CUT_SLICES]), origin, spacing


def _bones(labels: np.ndarray, spacing: np.ndarray, from_joint_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth inside the nearest bone, and the thickness of its cortex; the cut ends count as inside."""
    depth = np.full(labels.shape, -np.inf, np.float32)
    cortex = np.zeros(labels.shape, np.float32)
    away = np.clip((from_joint_mm - SHAFT_FROM_MM) / SHAFT_OVER_MM, 0, 1)
    for bone, (at_joint, more) in CORTEX_MM.items():
        own = _signed_depth(labels == bone, spacing)
        nearest = own > depth
        depth[nearest] = own[nearest]
        cortex[nearest] = np.broadcast_to(at_joint + more * away, labels.shape)[nearest]
    return depth, cortex


def _signed_depth(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance to the surface of a mask, mm, positive inside; the mask continues beyond both ends along k."""
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(mask, ((0, 0), (0, 0), (12, 12)), mode="edge")
    inside = distance_transform_edt(padded, sampling=spacing)
    outside = distance_transform_edt(~padded, sampling=spacing)
    # The surface lies half a voxel from the centres on either side of it.
    half = float(spacing.min()) / 2
    signed = np.where(padded, inside - half, half - outside)
    return signed[:, :, 12:-12].astype(np.float32)


def _paint_joint(tissues: np.ndarray, labels: np.ndarray, spacing: np.ndarray) -> None:
    """A film of fluid round the cartilage, and the recess in front of the femur above the patella."""
    from scipy.ndimage import distance_transform_edt

    near_cartilage = distance_transform_edt(tissues != CARTILAGE, sampling=spacing)
    tissues[(tissues == 0) & (near_cartilage < 1.8)] = FLUID
    x, y, z = np.ogrid[tuple(slice(n) for n in labels.shape)]
    patella = np.argwhere(labels == PATELLA)
    middle, top = patella.mean(axis=0), patella[:, 2].max()
    near_femur = distance_transform_edt(labels != FEMUR, sampling=spacing) < 4
    recess = (tissues == 0) & near_femur & (y > _rear_to_front(labels) + 14) & (np.abs(x - middle[0]) < 38)
    tissues[recess & (z > middle[2]) & (z < top + 12)] = RECESS


def _paint_thigh(tissues: np.ndarray, labels: np.ndarray) -> None:
    """The quadriceps and its tendon, which the atlas lacks, and fat wherever the muscles' hull is empty."""
    from scipy.ndimage import binary_opening, distance_transform_edt

    x, y, z = np.ogrid[tuple(slice(n) for n in labels.shape)]
    patella = np.argwhere(labels == PATELLA)
    middle, top = patella.mean(axis=0), patella[:, 2].max()
    pole = patella[patella[:, 2] > top - 4][:, 1].mean()
    tendon = (z >= top - 3) & (np.abs(x - middle[0]) < 28) & (np.abs(y - (pole + 0.1 * (z - top))) < 5)
    tissues[(tissues == 0) & tendon] = TENDON
    hull = _hull(tissues, labels)
    off_bone = distance_transform_edt(labels != FEMUR) > 5
    thigh = hull & (tissues == 0) & (z > top + 4) & (y > _rear_to_front(labels) - 4) & off_bone
    tissues[binary_opening(thigh, iterations=2)] = QUADRICEPS
    tissues[hull & (tissues == 0)] = FAT_BETWEEN


def _rear_to_front(labels: np.ndarray) -> np.ndarray:
    """(1, 1, K) mean index along j of the femur in each axial slice, very large where there is none."""
    femur = labels == FEMUR
    count = femur.sum(axis=(0, 1))
    weighted = (femur * np.arange(labels.shape[1])[:, None]).sum(axis=(0, 1))
    return np.where(count > 0, weighted / np.maximum(count, 1), 1e9)[None, None]


def _hull(tissues: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(I, J, K) bool: the convex hull of each axial slice, smoothed; superficial vessels and nerves do not count."""
    from scipy.ndimage import binary_opening, gaussian_filter
    from scipy.spatial import ConvexHull

    superficial = np.isin(labels, (64, 77, 78))
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in labels.shape[:2]), indexing="ij"), axis=-1).reshape(-1, 2)
    hull = np.zeros(labels.shape, np.float32)
    for k in range(labels.shape[2]):
        points = np.argwhere(binary_opening((tissues[:, :, k] > 0) & ~superficial[:, :, k], iterations=2))
        sides = ConvexHull(points).equations
        hull[:, :, k] = (grid @ sides[:, :2].T + sides[:, 2] <= 0).all(axis=1).reshape(labels.shape[:2])
    return np.asarray(gaussian_filter(hull, (2, 2, 3), mode="nearest") > 0.5)


def _muscle_distance(tissues: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    muscle = np.isin(tissues, (1, QUADRICEPS))
    return np.minimum(distance_transform_edt(~muscle, sampling=spacing), FAR_MM).astype(np.float32)


def _end(
    labels: np.ndarray,
    bone: int,
    slices: slice,
    last: int,
    origin: np.ndarray,
    spacing: np.ndarray,
    axis: np.ndarray | None = None,
) -> ShaftEnd:
    """The end of a bone's shaft: the line through its last cross-sections' centres; ``axis``: None if it is that."""
    numbers = np.arange(labels.shape[2])[slices]
    heights = origin[2] + spacing[2] * numbers
    centers = np.array([np.argwhere(labels[:, :, k] == bone).mean(axis=0) for k in numbers])
    centers = centers * spacing[:2] + origin[:2]
    slope = np.polyfit(heights, centers, 1)[0]
    return ShaftEnd(float(heights[last]), centers[last], slope, slope if axis is None else axis)
