"""Radiographs as slices: on one square grid, to learn from and to be measured on.

Every picture is scaled, its sides kept in proportion, until the longer one fills the grid; it lies in the middle, with
black beside it, and upright as all slices are (the row index grows upwards).

The sets hold pixels of many sizes, or of unknown size, so that the grid has no millimetres: its pixel is the unit of
length of ``SliceSettings``, ``TrainingConfig`` and the log. ``sigma_mm: 3`` is a target of 3 pixels of the grid, as
in the published methods, whose targets too are as wide on a large hand as on a small one. Millimetres come back only
where errors are told, from each picture's own scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import to_network_grid
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice

from ..datasets.xray_benchmarks import LabelledImage
from ..evaluation.validation import peaks_of_batch
from ..simulator.render import SliceBatch, in_view
from ..simulator.slice_planes import SliceSettings
from ..slices.augmentation import Augmentation
from ..slices.sources import FixedSlices, part_of
from ..slices.targets import TargetSettings

#: Errors on pictures of unknown spacing are told in pixels of the picture stretched to a square of this side (Zhu et
#: al. 2021, who measure there).
STRETCHED_SIDE = 512

#: How radiographs are varied, where a configuration does not say otherwise: posed alike, and without what is peculiar
#: to MR scanners. Never mirrored, because these landmarks have no left/right partners to change names with.
AUGMENTATION = {
    "rotation_deg": 10.0,
    "scale": 0.1,
    "shear": 0.0,
    "shift_mm": 10.0,
    "elastic_mm": 2.0,
    "flip": 0.0,
    "field_of_view": 0.0,
    "artefacts": 0.0,
    "noise": 0.0,
    "gamma": 0.1,
    "gain": 0.1,
}

#: Pictures that go through a network at once.
_TOGETHER = 8


@dataclass(frozen=True, eq=False)
class XrayImages:
    """n radiographs with k points on the grid.

    Attributes:
        names: of the n pictures.
        landmarks: names of the k points.
        slices: one for each picture, all of the same plane, their points on the slice (depth 0).
        pixel_sizes: (n, 2) float64, height and width of a pixel of the grid in the unit of ``own_pixel``.
    """

    names: tuple[str, ...]
    landmarks: tuple[str, ...]
    slices: SliceBatch
    pixel_sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def grid(matrix: int) -> SliceSettings:
    """A grid of ``matrix`` x ``matrix`` pixels of side 1."""
    return SliceSettings(matrix=matrix, pixel_mm=1.0)


def own_pixel(image: LabelledImage) -> np.ndarray:
    """(2,) height and width of the picture's pixels: mm, or of a picture of unknown spacing those of STRETCHED_SIDE."""
    if image.spacing_mm is None:
        return STRETCHED_SIDE / np.array(image.pixels.shape)
    return np.array(image.spacing_mm)


def images_on_grid(images: Iterable[LabelledImage], matrix: int, plane: str) -> XrayImages:
    """The pictures, read one by one, on a grid of ``matrix`` pixels per side.

    Args:
        plane: what the network is told it sees, one of PLANES.

    Raises:
        InputError: there is no picture.
    """
    parts, names, landmarks = [], [], ()
    for image in images:
        parts.append(_on_grid(image, matrix))
        names.append(image.name)
        landmarks = image.names
    if not parts:
        raise InputError("there is no picture", remedy="Unpack the whole data set.")
    canvases, seen, points, sizes = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    pixels = torch.from_numpy(points).float()
    planes = torch.full((len(parts),), PLANES.index(plane))
    visible = in_view(pixels, torch.from_numpy(seen))
    slices = SliceBatch(torch.from_numpy(canvases), planes, pixels, torch.zeros(pixels.shape[:2]), visible)
    return XrayImages(tuple(names), landmarks, slices, sizes)


def random_xrays(images: XrayImages, augmentation: Mapping[str, Any]) -> FixedSlices:
    """Source of randomly chosen and varied pictures.

    Args:
        augmentation: what differs from AUGMENTATION.

    Raises:
        UsageError: a setting is unknown or out of range, or asks for mirrored pictures.
    """
    chosen = Augmentation.from_dict({**AUGMENTATION, **augmentation})
    if chosen.flip:
        raise UsageError(
            f"flip is {chosen.flip:g}, but these landmarks have no left/right partners",
            source="augmentation",
            remedy="Leave flip at 0.",
        )
    return FixedSlices(images.slices, no_mirror(images), grid(images.slices.images.shape[-1]), chosen)


def no_mirror(images: XrayImages) -> np.ndarray:
    """(k,) every landmark is its own partner."""
    return np.arange(len(images.landmarks))


def radial_errors(
    network: torch.nn.Module, images: XrayImages, targets: TargetSettings, device: torch.device
) -> np.ndarray:
    """(n, k) distances from the network's points to the true ones, in the unit of ``own_pixel``."""
    distances = []
    for start in range(0, len(images), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        offsets, _, _ = peaks_of_batch(network, part_of(images.slices, part), targets, device)
        scale = images.pixel_sizes[part, None] / targets.pixel_mm
        distances.append(np.linalg.norm(offsets * scale, axis=-1))
    return np.concatenate(distances)


def _on_grid(image: LabelledImage, matrix: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Picture (matrix, matrix) in 0..CAP, where it lies (bool), points (k, 2) there, size (2,) of the grid's pixels."""
    spacing = np.array(image.spacing_mm or (1.0, 1.0))
    relative = spacing * matrix / (spacing * image.pixels.shape).max()
    upright = ScoutSlice(
        image.pixels[::-1],
        np.zeros(3),
        np.array([1.0, 0, 0]),
        np.array([0, 0, 1.0]),
        tuple(relative),
        source=image.name,
    )
    prepared = to_network_grid(upright, 1.0, matrix)
    (rows, columns), last_row = prepared.image.shape, image.pixels.shape[0] - 1
    first = [(matrix - n) // 2 for n in (rows, columns)]
    place = slice(first[0], first[0] + rows), slice(first[1], first[1] + columns)
    canvas, seen = np.zeros((matrix, matrix), np.float32), np.zeros((matrix, matrix), bool)
    canvas[place], seen[place] = prepared.image, True
    turned = np.stack([last_row - image.points[:, 0], image.points[:, 1]], axis=-1)
    return canvas, seen, prepared.from_slice_pixels(turned) + first, prepared.scale * own_pixel(image)
