"""The bones of a knee as clouds of voxel centres, from a label map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.volume import Volume

from ..reference_heads.label_landmarks import read_label_map

#: A bone of fewer voxels is an error of the label map.
FEWEST_VOXELS = 2000


@dataclass(frozen=True)
class BoneLabels:
    """Numbers of the bones in a label map, and whether its knee is a left one."""

    femur: int
    tibia: int
    patella: int
    left: bool = False


#: The label maps of people (``data/knee/shapes``): all 48 match a right knee.
PEOPLE_LABELS = BoneLabels(femur=1, tibia=3, patella=5)

#: The SPL knee atlas, a left knee (its fibula is on the left).
ATLAS_LABELS = BoneLabels(femur=95, tibia=96, patella=98, left=True)


@dataclass(frozen=True, eq=False)
class KneeBones:
    """Voxel centres (n, 3) of each bone in mm: right, anterior, superior of a *right* knee, lateral is right."""

    femur: np.ndarray
    tibia: np.ndarray
    patella: np.ndarray

    def rotated(self, axes: np.ndarray) -> KneeBones:
        """The same in the coordinates of ``axes`` (3, 3), rows are unit axes."""
        return KneeBones(self.femur @ axes.T, self.tibia @ axes.T, self.patella @ axes.T)


def read_bones(path: Path, labels: BoneLabels) -> KneeBones:
    """The bones of a label map; a left knee is mirrored in x = 0.

    Raises:
        InputError: the file cannot be read, or a bone is absent.
    """
    return bones_of(read_label_map(path), labels, str(path))


def bones_of(volume: Volume, labels: BoneLabels, source: str) -> KneeBones:
    """The largest connected piece of each bone; ``read_bones`` without reading."""
    mirror = np.array([-1.0 if labels.left else 1.0, 1.0, 1.0])
    clouds = {}
    for bone in ("femur", "tibia", "patella"):
        voxels = _largest_piece(volume.array == getattr(labels, bone))
        if len(voxels) < FEWEST_VOXELS:
            raise InputError(f"has no {bone}", source=source, remedy="Give a label map of a whole knee.")
        clouds[bone] = (voxels @ volume.affine[:3, :3].T + volume.affine[:3, 3]) * mirror
    return KneeBones(**clouds)


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """(n, 3) voxel indices of the largest connected piece."""
    from scipy.ndimage import label

    pieces, count = label(mask)
    if count > 1:
        mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.argwhere(mask)
