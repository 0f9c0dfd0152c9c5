"""Radiographs as slices: on one square grid, for training and measurement.

Every image is scaled isotropically until its longer side fills the grid; it lies in the middle, with black borders,
and upright like all slices (the row index grows upwards).

The sets hold pixels of many sizes, or of unknown size, so that the grid has no millimetres: its pixel is the unit of
length of ``SliceSettings``, ``TrainingConfig`` and the log. ``sigma_mm: 3`` is a target of 3 pixels of the grid, as
in the published methods, whose targets too are as wide on a large hand as on a small one. Millimetres return only
where errors are stated, from each image's own scale.
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

#: Errors on images of unknown spacing are stated in pixels of the image stretched to a square of this side (as by Zhu
#: et al. 2021).
STRETCHED_SIDE = 512

#: Default augmentation of radiographs: similar poses, no MR artefacts. Never mirrored, because these landmarks have
#: no left/right partners to exchange names with.
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

#: Batch size of the measurement.
_BATCH = 8


@dataclass(frozen=True, eq=False)
class XrayImages:
    """n radiographs with k points on the grid.

    Attributes:
        names: of the n images.
        landmarks: names of the k points.
        slices: one for each image, all of the same plane, their points on the slice (depth 0).
        pixel_sizes: (n, 2) float64, height and width of a pixel of the grid in the unit of ``own_pixel``.
        image_pixels: (n, 2) float64, the same in pixels of the image.
        readers_apart: (n, k) float64, distance of the two readers in pixels of the image; None where there is one.
    """

    names: tuple[str, ...]
    landmarks: tuple[str, ...]
    slices: SliceBatch
    pixel_sizes: np.ndarray
    image_pixels: np.ndarray
    readers_apart: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)


def grid(matrix: int) -> SliceSettings:
    """A grid of ``matrix`` x ``matrix`` pixels of side 1."""
    return SliceSettings(matrix=matrix, pixel_mm=1.0)


def own_pixel(image: LabelledImage) -> np.ndarray:
    """(2,) height and width of the image's pixels: mm, or with unknown spacing pixels of STRETCHED_SIDE."""
    if image.spacing_mm is None:
        return STRETCHED_SIDE / np.array(image.pixels.shape)
    return np.array(image.spacing_mm)


def images_on_grid(images: Iterable[LabelledImage], matrix: int, plane: str) -> XrayImages:
    """The images, read one by one, on a grid of ``matrix`` pixels per side.

    Args:
        plane: input of the network, one of PLANES.

    Raises:
        InputError: the split holds no images.
    """
    parts, names, apart = [], [], []
    landmarks: tuple[str, ...] = ()
    for image in images:
        parts.append(_on_grid(image, matrix))
        names.append(image.name)
        landmarks = image.names
        if image.readings is not None:
            apart.append(np.linalg.norm(image.readings[0] - image.readings[1], axis=-1))
    if not parts:
        raise InputError("no images", remedy="Unpack the whole data set.")
    canvases, in_field, points, sizes, in_pixels = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    pixels = torch.from_numpy(points).float()
    planes = torch.full((len(parts),), PLANES.index(plane))
    visible = in_view(pixels, torch.from_numpy(in_field))
    depths = torch.where(pixels.isnan().any(dim=-1), torch.nan, 0.0)
    slices = SliceBatch(torch.from_numpy(canvases), planes, pixels, depths, visible)
    readers = np.array(apart) if len(apart) == len(names) else None
    return XrayImages(tuple(names), landmarks, slices, sizes, in_pixels, readers)


def random_xrays(images: XrayImages, augmentation: Mapping[str, Any]) -> FixedSlices:
    """Source of randomly chosen and augmented images.

    Args:
        augmentation: what differs from AUGMENTATION.

    Raises:
        UsageError: a setting is unknown or out of range, or asks for mirrored images.
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


@dataclass(frozen=True, eq=False)
class PointErrors:
    """Distances (n, k) from the network's points to the true ones, NaN where nobody placed the point, and peaks (n, k).

    Attributes:
        own: in the unit of ``own_pixel``.
        pixels: in pixels of the image.
        peaks: heights of the network's peaks.
    """

    own: np.ndarray
    pixels: np.ndarray
    peaks: np.ndarray


def point_errors(
    network: torch.nn.Module, images: XrayImages, targets: TargetSettings, device: torch.device
) -> PointErrors:
    """The errors of a network on images."""
    offsets, peaks = [], []
    for start in range(0, len(images), _BATCH):
        offset, peak, _ = peaks_of_batch(network, part_of(images.slices, slice(start, start + _BATCH)), targets, device)
        offsets.append(offset / targets.pixel_mm)
        peaks.append(peak)
    offset = np.concatenate(offsets)
    own, pixels = (
        np.linalg.norm(offset * size[:, None], axis=-1) for size in (images.pixel_sizes, images.image_pixels)
    )
    return PointErrors(own, pixels, np.concatenate(peaks))


def radial_errors(
    network: torch.nn.Module, images: XrayImages, targets: TargetSettings, device: torch.device
) -> np.ndarray:
    """(n, k) distances from the network's points to the true ones, in the unit of ``own_pixel``."""
    return point_errors(network, images, targets, device).own


def _on_grid(image: LabelledImage, matrix: int) -> tuple[np.ndarray, ...]:
    """Image (matrix, matrix) in 0..CAP, the filled area (bool), points (k, 2) there, size (2,) of the grid's pixels.

    The size once in the unit of ``own_pixel``, once in pixels of the image.
    """
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
    area = slice(first[0], first[0] + rows), slice(first[1], first[1] + columns)
    canvas, in_field = np.zeros((matrix, matrix), np.float32), np.zeros((matrix, matrix), bool)
    canvas[area], in_field[area] = prepared.image, True
    turned = np.stack([last_row - image.points[:, 0], image.points[:, 1]], axis=-1)
    points = prepared.from_slice_pixels(turned) + first
    return canvas, in_field, points, prepared.scale * own_pixel(image), np.broadcast_to(prepared.scale, 2)
