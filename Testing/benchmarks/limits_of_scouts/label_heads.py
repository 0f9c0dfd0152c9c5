"""Heads of label maps in a given contrast, with the landmarks of the maps: for contrasts no real head here has.

They are no real heads: tissue is even but for white noise. Their landmarks follow the definitions of the training data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.reference_heads.brain_extremes import NORMAL_AXIS, TANGENTIAL_SD_MM
from LandmarkTrainingLib.core.reference_heads.heads import Head
from LandmarkTrainingLib.core.simulator.label_heads import load_label_heads
from LandmarkTrainingLib.core.simulator.tissues import CLASSES, T1_LIKE, T1_SD, T2_LIKE, Contrast

#: The maps that the shipped network did not learn from.
CHECK_MAPS = (19, 20)

#: Tissue classes of the brain's surface; its stem is left out, for where it ends is up to who drew the map.
BRAIN_CLASSES = (2, 3, 4, 5)
_CSF, _EYES, _FAT = 1, 15, (16, 19, 23)
_BRAIN = slice(2, 14)

#: Points kept on the surface of a brain, as many as the real heads have.
SURFACE_POINTS = 4000

#: How well the maps' landmarks are known, mm: all alike, so that they weigh alike in the true frame.
POINT_SD_MM = 1.0


def _changed(mean: np.ndarray, changes: dict[int, float]) -> np.ndarray:
    result = mean.copy()
    result[list(changes)] = list(changes.values())
    return result


def _proton_density() -> np.ndarray:
    """Little contrast: fluid and grey matter somewhat brighter than white matter, fat bright."""
    mean = _changed(T2_LIKE, {_CSF: 150.0, _EYES: 150.0})
    mean[_BRAIN] = 120.0 + 0.5 * (T2_LIKE[_BRAIN] - T2_LIKE[3])
    return mean


_EVEN_SD = np.full(CLASSES, 10.0)

#: Name -> grey values by tissue class.
CONTRASTS = {
    "T1": Contrast(T1_LIKE, T1_SD / 2),
    "T2": Contrast(T2_LIKE, _EVEN_SD),
    "PD": Contrast(_proton_density(), _EVEN_SD),
    "FLAIR": Contrast(_changed(T2_LIKE, {_CSF: 15.0, _EYES: 40.0}), _EVEN_SD),
    "T1 without fat": Contrast(_changed(T1_LIKE, {c: 0.2 * T1_LIKE[c] for c in _FAT}), T1_SD / 2),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelHead(Head):
    """A head whose image is painted: ``tissues`` (I, J, K) classes, ``affine`` (4, 4) to its AC-PC frame."""

    tissues: np.ndarray
    affine: np.ndarray
    paint: Contrast

    def volume(self) -> Volume:
        """The painted image, the same at every call."""
        texture = np.random.default_rng(0).standard_normal(self.tissues.shape, dtype=np.float32)
        mean, sd = (values.astype(np.float32) for values in (self.paint.mean, self.paint.sd))
        return Volume(np.clip(mean[self.tissues] + sd[self.tissues] * texture, 0, None), self.affine, self.id)


def painted_heads(folder: Path, names: Sequence[str], contrasts: Sequence[str]) -> dict[str, list[Head]]:
    """Contrast, one of CONTRASTS, -> heads of the CHECK_MAPS in ``folder`` painted in it.

    Args:
        names: of the landmarks that are wanted.

    Raises:
        InputError: a label map or its points cannot be read.
    """
    if not contrasts:
        return {}
    maps = load_label_heads(folder, CHECK_MAPS, names)
    painted: dict[str, list[Head]] = {contrast: [] for contrast in contrasts}
    tensors = zip(CHECK_MAPS, maps.tissues, maps.voxel_from_head, maps.landmarks_mm, strict=True)
    for number, tissues, voxel_from_head, places in tensors:
        affine = np.linalg.inv(np.vstack([voxel_from_head.double().numpy(), [0, 0, 0, 1]]))
        known = zip(maps.names, places.double().numpy(), strict=True)
        points = {name: place for name, place in known if np.isfinite(place).all()}
        surface = brain_surface(tissues.numpy(), affine)
        for contrast in contrasts:
            painted[contrast].append(
                LabelHead(
                    f"map_{number:02d}",
                    "validation",
                    f"label map {number}",
                    f"{contrast}, painted label map",
                    folder / f"head_{number:02d}.nii.gz",
                    points,
                    {name: _covariance_mm2(name) for name in points},
                    surface,
                    tissues=tissues.numpy(),
                    affine=affine,
                    paint=CONTRASTS[contrast],
                )
            )
    return painted


def brain_surface(tissues: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(n, 3) mm, at most SURFACE_POINTS: voxels of cerebrum and cerebellum that border on something else."""
    from scipy.ndimage import binary_closing, binary_erosion, binary_fill_holes

    brain = binary_fill_holes(binary_closing(np.isin(tissues, BRAIN_CLASSES), iterations=3))
    index = np.argwhere(brain & ~binary_erosion(brain))
    chosen = np.random.default_rng(0).permutation(len(index))[:SURFACE_POINTS]
    return index[chosen] @ affine[:3, :3].T + affine[:3, 3]


def _covariance_mm2(name: str) -> np.ndarray:
    """(3, 3) in the AC-PC frame: an extreme is hardly known across its normal."""
    sd = np.full(3, POINT_SD_MM)
    if name in NORMAL_AXIS:
        sd[:] = TANGENTIAL_SD_MM
        sd[NORMAL_AXIS[name]] = POINT_SD_MM
    return np.diag(sd**2)
