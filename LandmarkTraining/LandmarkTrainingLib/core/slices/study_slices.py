"""Slices of labelled studies on the network's grid, prepared exactly as for inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.derotation import standard_orientation
from AutoVolumeCalibrationLib.core.detection.network_input import LARGEST_SIZE, to_network_grid
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import shown_of_pair
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..datasets.reading import absent_of
from ..simulator.slice_planes import SliceSettings


@dataclass(frozen=True, eq=False)
class StudySlices:
    """n slices with k landmarks.

    Pixels are those of the network's grid of ``matrix`` x ``matrix``, in whose middle every slice lies. The images
    reach ``margin`` pixels beyond it on all sides, so that the outer parts of a wide slice can be moved into view.

    Attributes:
        images: (n, side, side) float32 in 0..1.2, zero outside the field of view; side = matrix + 2 * margin.
        fields: (n, 2, 2) first (row, column) pixel of the field of view, and the one after its last.
        planes: (n,) int64, index into PLANES.
        points: (n, k, 2) float32 projections as (row, column) pixels, fractions; NaN where unknown or absent.
        depths_mm: (n, k) float32 landmark minus slice position along the normal; NaN where unknown, infinite where the
            landmark is known to be absent.
        studies: (n,) int64, index of the study.
        matrix: pixels per side of the network's grid.
    """

    images: torch.Tensor
    fields: torch.Tensor
    planes: torch.Tensor
    points: torch.Tensor
    depths_mm: torch.Tensor
    studies: torch.Tensor
    matrix: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: torch.Tensor) -> StudySlices:
        """The slices (m,) of these numbers."""
        tensors = {name: value[index] for name, value in vars(self).items() if name != "matrix"}
        return StudySlices(**tensors, matrix=self.matrix)

    @property
    def margin(self) -> int:
        return (self.images.shape[-1] - self.matrix) // 2

    def within_fields(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, m) bool: (row, column) pixels (n, m, 2) lie in the slice's field of view, its outer edge included."""
        first, end = self.fields[:, None].unbind(2)
        return ((pixels >= first - 0.5) & (pixels <= end - 0.5)).all(-1)


def slices_of_studies(
    studies: Sequence[LabelledStudy], names: Sequence[str], mirror: np.ndarray, settings: SliceSettings
) -> StudySlices:
    """All slices of the studies in order: study by study, stack by stack.

    A study's landmark with a position is the truth; one without is unknown, unless the user removed it
    (``absent_of``): then it is known to be absent from the scouts, and the target is zero.

    Args:
        names: the k landmarks in channel order; others that a study has are left out.
        mirror: (k,) index of each landmark's left/right partner, its own where there is none.
    """
    parts = [
        _network_slice(scout_slice, stack.plane, points, absent, mirror, settings)
        for study in studies
        for points, absent in [_truth(study, names)]
        for stack in study.stacks
        for scout_slice in stack.slices
    ]
    images, first, pixels, depths = zip(*parts, strict=True)
    first = np.array(first)
    end = first + [image.shape for image in images]
    margin = max(0, -int(first.min()), int(end.max()) - settings.matrix)
    counts = [sum(len(stack.slices) for stack in study.stacks) for study in studies]
    return StudySlices(
        torch.from_numpy(_on_canvases(images, first + margin, settings.matrix + 2 * margin)),
        torch.from_numpy(np.stack([first, end], axis=1)),
        torch.tensor([PLANES.index(t.plane) for study in studies for t in study.stacks for _ in t.slices]),
        torch.from_numpy(np.stack(pixels)).float(),
        torch.from_numpy(np.stack(depths)).float(),
        torch.from_numpy(np.repeat(np.arange(len(studies)), counts)),
        settings.matrix,
    )


def _truth(study: LabelledStudy, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Positions (k, 3) RAS mm of the landmarks, NaN without one, and which (k,) are known to be absent."""
    positions = {each.name: each.position_mm for each in study.landmarks if each.position_mm is not None}
    absent = absent_of(study)
    points = np.array([positions.get(name, np.full(3, np.nan)) for name in names], dtype=float)
    return points, np.array([name in absent for name in names])


def _network_slice(
    scout_slice: ScoutSlice,
    plane: str,
    points_mm: np.ndarray,
    absent: np.ndarray,
    mirror: np.ndarray,
    settings: SliceSettings,
) -> tuple[np.ndarray, list[int], np.ndarray, np.ndarray]:
    """Image (h, w), its first pixel on the network's grid, projections (k, 2) there, depths (k,) mm.

    In a sagittal slice both points of a left/right pair are the same (as in ``project_landmarks``): unknown where one
    of the two is, and absent only where both are.
    """
    oriented = standard_orientation(scout_slice, plane)
    if plane == "sagittal":
        points_mm = shown_of_pair(points_mm, points_mm[mirror], oriented, settings.sagittal_pairs)
        absent = absent & absent[mirror]
    prepared = to_network_grid(oriented, settings.pixel_mm, LARGEST_SIZE)
    first = [(settings.matrix - n) // 2 for n in prepared.image.shape]
    pixels = prepared.from_slice_pixels(oriented.to_pixel(points_mm)) + first
    depths = (points_mm - oriented.origin_mm) @ oriented.normal
    return prepared.image, first, pixels, np.where(absent, np.inf, depths)


def _on_canvases(images: Sequence[np.ndarray], first: np.ndarray, side: int) -> np.ndarray:
    """(n, side, side) zeros with the images from their first pixels (n, 2) on."""
    canvases = np.zeros((len(images), side, side), np.float32)
    for canvas, image, (row, column) in zip(canvases, images, first, strict=True):
        canvas[row : row + image.shape[0], column : column + image.shape[1]] = image
    return canvases
