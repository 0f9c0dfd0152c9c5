"""Subcutaneous fat and skin round a leg."""

from __future__ import annotations

import numpy as np

from .tissues import FAT, HALF_MM, SKIN, VOXEL_MM

#: Thickness of the fat, mm: median, log-normal spread, least and most.
FAT_MM, FAT_LOG_SD, FAT_RANGE_MM = 8.0, 0.6, (3.0, 25.0)

SKIN_MM = (1.5, 2.5)

#: In front of the joint the fat is thinner: angle and height over which that holds, rad and mm.
FRONT_RAD, FRONT_MM, FRONT_HEIGHT_MM = 0.7, 55.0, 15.0


def cover(tissues: np.ndarray, rng: np.random.Generator) -> None:
    """Lay fat and skin of random thickness round the leg (I, J, K), in place."""
    distance = _distance_outside(tissues > 0)
    fat = _fat_thickness(tissues.shape, rng)
    skin = rng.uniform(*SKIN_MM)
    air = tissues == 0
    tissues[air & (distance < fat + skin)] = SKIN
    tissues[air & (distance < fat)] = FAT


def _distance_outside(leg: np.ndarray) -> np.ndarray:
    """(I, J, K) float32 distance to the leg's smoothed outline, mm: found at half the resolution."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

    smooth = gaussian_filter(leg[::2, ::2, ::2].astype(np.float32), 1.6, mode="nearest") > 0.5
    distance = distance_transform_edt(~smooth, sampling=2 * VOXEL_MM).astype(np.float32)
    factors = [n / m for n, m in zip(leg.shape, distance.shape, strict=True)]
    return np.asarray(zoom(distance, factors, order=1))


def _fat_thickness(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """(I, J, K) thickness round the leg, mm: thinner in front, uneven, thicker or thinner upwards."""
    typical = float(np.clip(FAT_MM * np.exp(rng.normal(0, FAT_LOG_SD)), *FAT_RANGE_MM))
    x, y, z = (
        values * VOXEL_MM - half for values, half in zip(np.ogrid[tuple(map(slice, shape))], HALF_MM, strict=True)
    )
    angle = np.arctan2(y, x)
    front = np.exp(-(((angle - np.pi / 2) / FRONT_RAD) ** 2)) * np.exp(-(((z - FRONT_HEIGHT_MM) / FRONT_MM) ** 2))
    uneven = 1 + rng.uniform(0, 0.35) * np.cos(angle - rng.uniform(0, 2 * np.pi))
    uneven = (
        uneven + rng.uniform(0, 0.2) * np.cos(2 * angle - rng.uniform(0, 2 * np.pi)) + rng.uniform(-0.1, 0.4) * z / 150
    )
    return np.maximum(2.0, typical * np.clip(uneven, 0.3, 2) * (1 - rng.uniform(0.3, 0.75) * front)).astype(np.float32)
