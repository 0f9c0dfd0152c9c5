"""Label maps of whole heads with their landmarks: the anatomy that the simulator draws from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import unit

from ..reference_heads.label_landmarks import hippocampus_ends, read_label_map
from ..reference_heads.point_files import read_points
from .tissues import tissue_lookup

#: AFIDs pairs whose left-right direction gives the frame's right axis (all lie near the midline's height).
LEFT_RIGHT_PAIRS = (("LSLMS", "RSLMS"), ("LLVAC", "RLVAC"), ("LLVPC", "RLVPC"), ("LATERAL_L", "LATERAL_R"))


@dataclass(frozen=True, eq=False)
class LabelHeads:
    """Heads of equal matrix, n of them, k landmarks.

    "Head space" is millimetres in the head's own AC-PC frame: origin AC, axes right, anterior, superior.

    Attributes:
        tissues: (n, I, J, K) uint8 tissue class of each voxel.
        voxel_from_head: (n, 3, 4) float32, head space mm -> fractional voxel (i, j, k).
        landmarks_mm: (n, k, 3) float32 in head space, NaN where unknown.
        names: names of the k landmarks.
    """

    tissues: torch.Tensor
    voxel_from_head: torch.Tensor
    landmarks_mm: torch.Tensor
    names: tuple[str, ...]

    def to(self, device: torch.device) -> LabelHeads:
        """The same heads with all tensors on ``device``."""
        return LabelHeads(
            self.tissues.to(device), self.voxel_from_head.to(device), self.landmarks_mm.to(device), self.names
        )


def head_frame(points: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(origin (3,) at AC, axes (3, 3) rows right, anterior, superior) of a head from its RAS points."""
    anterior = unit(points["AC"] - points["PC"])
    right = sum(unit(points[r] - points[left]) for left, r in LEFT_RIGHT_PAIRS if r in points and left in points)
    right = unit(right - (right @ anterior) * anterior)
    return points["AC"], np.stack([right, anterior, np.cross(right, anterior)])


def load_label_heads(folder: Path, heads: Sequence[int], names: Sequence[str]) -> LabelHeads:
    """Read ``head_NN.nii.gz`` and ``head_NN.csv`` of the numbered ``heads``.

    Raises:
        InputError: a file is missing or cannot be read, or the label maps differ in matrix.
        UsageError: ``heads`` is empty.
    """
    if not heads:
        raise UsageError("no head is named", source=str(folder), remedy="Set train_heads and check_heads.")
    tissues, matrices, landmarks = [], [], []
    lookup = tissue_lookup()
    for number in heads:
        label_map = read_label_map(folder / f"head_{number:02d}.nii.gz")
        points = read_points(folder / f"head_{number:02d}.csv")
        origin, axes = head_frame(points)
        points |= hippocampus_ends(label_map, anterior=axes[1])
        tissues.append(lookup[np.clip(label_map.array, 0, len(lookup) - 1)])
        inverse = np.linalg.inv(label_map.affine)
        matrices.append(np.column_stack([inverse[:3, :3] @ axes.T, inverse[:3, :3] @ origin + inverse[:3, 3]]))
        unknown = np.full(3, np.nan)
        landmarks.append([(points[n] - origin) @ axes.T if n in points else unknown for n in names])
    if len({t.shape for t in tissues}) > 1:
        raise InputError("the label maps differ in matrix size", source=str(folder), remedy="Resample them alike.")
    return LabelHeads(
        torch.from_numpy(np.ascontiguousarray(np.stack(tissues))),
        torch.from_numpy(np.stack(matrices)).float(),
        torch.from_numpy(np.array(landmarks)).float(),
        tuple(names),
    )


def find_heads(folder: Path) -> list[int]:
    """Numbers of the ``head_NN.nii.gz`` in a folder; InputError if there is none."""
    numbers = sorted(int(path.name[5:7]) for path in folder.glob("head_[0-9][0-9].nii.gz"))
    if not numbers:
        raise InputError("holds no head_NN.nii.gz", source=str(folder), remedy="Name the folder of label maps.")
    return numbers
