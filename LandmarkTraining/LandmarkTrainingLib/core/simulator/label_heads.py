"""Label maps of whole heads with their landmarks: the anatomy that the simulator draws from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import unit

from ..reference_heads.corrected_targets import correct_label_points
from ..reference_heads.label_landmarks import hippocampus_ends, read_label_map
from ..reference_heads.point_files import read_points
from .effects.atrophy import thin_cortex, thin_landmarks
from .effects.effect_settings import SimulationEffects
from .effects.ventricles import ventricle_field
from .pose import BRAIN_CENTER_MM
from .scenes.scene import Scene
from .slice_planes import SLICE_RANGE_MM
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
        fields: (n, 4, I, J, K) of ``ventricles.ventricle_field``, None where ventricles stay as they are.
        atrophied: (n0,) number of the copy with a thinner cortex of each of the first n0 heads, which are intact; None
            where there are no copies.
        scene: of another anatomy than the head, whose space takes the place of head space; None for heads.
        people: whose the intact heads are, by name.
    """

    tissues: torch.Tensor
    voxel_from_head: torch.Tensor
    landmarks_mm: torch.Tensor
    names: tuple[str, ...]
    fields: torch.Tensor | None = None
    atrophied: np.ndarray | None = None
    scene: Scene | None = None
    people: tuple[str, ...] = ()

    @property
    def center_mm(self) -> np.ndarray:
        """(3,) point of head space that poses turn about and bring near the isocentre."""
        return BRAIN_CENTER_MM if self.scene is None else self.scene.center_mm

    @property
    def slice_range_mm(self) -> np.ndarray:
        """(3,) largest distance of the slices of each plane from the isocentre."""
        return SLICE_RANGE_MM if self.scene is None else self.scene.slice_range_mm

    @property
    def intact(self) -> int:
        """How many of the heads, from the first on, are as in their label maps."""
        return len(self.tissues) if self.atrophied is None else len(self.atrophied)

    def with_atrophy(self, chosen: np.ndarray, where: np.ndarray) -> np.ndarray:
        """The numbers ``chosen`` (b,) of intact heads, those of their copies ``where`` (b,) bool."""
        return chosen if self.atrophied is None else np.where(where, self.atrophied[chosen], chosen)

    def to(self, device: torch.device) -> LabelHeads:
        """The same heads with all tensors on ``device``."""
        return replace(
            self,
            tissues=self.tissues.to(device),
            voxel_from_head=self.voxel_from_head.to(device),
            landmarks_mm=self.landmarks_mm.to(device),
            fields=None if self.fields is None else self.fields.to(device),
        )


def head_frame(points: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(origin (3,) at AC, axes (3, 3) rows right, anterior, superior) of a head from its RAS points."""
    anterior = unit(points["AC"] - points["PC"])
    right = sum(unit(points[r] - points[left]) for left, r in LEFT_RIGHT_PAIRS if r in points and left in points)
    right = unit(right - (right @ anterior) * anterior)
    return points["AC"], np.stack([right, anterior, np.cross(right, anterior)])


def load_label_heads(
    folder: Path,
    heads: Sequence[int],
    names: Sequence[str],
    *,
    corrected: bool = False,
    effects: SimulationEffects | None = None,
) -> LabelHeads:
    """Read ``head_NN.nii.gz`` and ``head_NN.csv`` of the numbered ``heads``.

    Args:
        corrected: with PC, LVAC and LVPC where human raters place them instead of as the files have them.
        effects: what is to be simulated; of changed ventricles and atrophy the maps' share is prepared.

    Raises:
        InputError: a file is missing or cannot be read, or the label maps differ in matrix.
        UsageError: ``heads`` is empty.
    """
    if not heads:
        raise UsageError("no head is named", source=str(folder), remedy="Set train_heads and check_heads.")
    absent = sorted(set(heads) - set(find_heads(folder)))
    if absent:
        remedy = "Set train_heads and check_heads to numbers that it holds."
        raise InputError(f"has no head_{absent[0]:02d}.nii.gz", source=str(folder), remedy=remedy)
    effects = effects or SimulationEffects()
    tissues, matrices, landmarks, fields = [], [], [], []
    lookup = tissue_lookup()
    for number in heads:
        label_map = read_label_map(folder / f"head_{number:02d}.nii.gz")
        points = read_points(folder / f"head_{number:02d}.csv")
        origin, axes = head_frame(points)
        points |= hippocampus_ends(label_map, anterior=axes[1])
        if corrected:
            points = correct_label_points(points, label_map, origin, axes)
        tissues.append(lookup[np.clip(label_map.array, 0, len(lookup) - 1)])
        inverse = np.linalg.inv(label_map.affine)
        matrices.append(np.column_stack([inverse[:3, :3] @ axes.T, inverse[:3, :3] @ origin + inverse[:3, 3]]))
        if effects.ventricles:
            fields.append(ventricle_field(label_map, matrices[-1]))
        unknown = np.full(3, np.nan)
        landmarks.append([(points[n] - origin) @ axes.T if n in points else unknown for n in names])
    if len({t.shape for t in tissues}) > 1:
        raise InputError("the label maps differ in matrix size", source=str(folder), remedy="Resample them alike.")
    loaded = LabelHeads(
        torch.from_numpy(np.ascontiguousarray(np.stack(tissues))),
        torch.from_numpy(np.stack(matrices)).float(),
        torch.from_numpy(np.array(landmarks)).float(),
        tuple(names),
        torch.stack(fields) if fields else None,
        people=tuple(f"head_{number:02d}" for number in heads),
    )
    return with_atrophied_copies(loaded) if effects.atrophy else loaded


def with_atrophied_copies(heads: LabelHeads) -> LabelHeads:
    """The heads, all of them intact, followed by a copy with a thinner cortex of each."""
    count = len(heads.tissues)
    copies = torch.from_numpy(np.stack([thin_cortex(tissues.numpy()) for tissues in heads.tissues]))
    thin = torch.from_numpy(np.stack([thin_landmarks(places.numpy(), heads.names) for places in heads.landmarks_mm]))
    return LabelHeads(
        torch.cat([heads.tissues, copies]),
        heads.voxel_from_head.repeat(2, 1, 1),
        torch.cat([heads.landmarks_mm, thin.float()]),
        heads.names,
        None if heads.fields is None else torch.cat([heads.fields, heads.fields]),
        count + np.arange(count),
        people=heads.people,
    )


def find_heads(folder: Path) -> list[int]:
    """Numbers of the ``head_NN.nii.gz`` in a folder; InputError if there is none."""
    numbers = sorted(int(path.name[5:7]) for path in folder.glob("head_[0-9][0-9].nii.gz"))
    if not numbers:
        remedy = "Name the folder of label maps; maps of another anatomy need a scene.json first (anatomy scene)."
        raise InputError("holds no head_NN.nii.gz", source=str(folder), remedy=remedy)
    return numbers
