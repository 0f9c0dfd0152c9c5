"""Random variations of the slices of studies: pose and shape of the head, and image appearance."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import CAP
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES

from ..simulator.effects.scanner_effects import add_rician_noise, add_scanner_effects, normalise
from ..simulator.pose import HeadPose
from ..simulator.render import SliceBatch, flipped_landmarks, has_partners, in_view
from ..simulator.slice_planes import SliceSettings
from .in_plane_poses import LARGEST_ELASTIC_MM, magnification, random_in_plane_poses
from .study_slices import StudySlices

logger = logging.getLogger(__name__)

#: The part of each side that a reduced field of view keeps.
KEPT_SIDE = (0.6, 0.95)

#: Largest valid value of each setting; the smallest is 0.
_LARGEST = {
    "rotation_deg": 180.0,
    "scale": 1.0,
    "shear": 0.5,
    "shift_mm": 200.0,
    "elastic_mm": LARGEST_ELASTIC_MM,
    "gamma": 2.0,
    "gain": 0.9,
}
_LARGEST_SHARE = 1.0


@dataclass(frozen=True)
class Augmentation:
    """How strongly slices are varied; 0 switches a variation off.

    Attributes:
        rotation_deg, shift_mm, shear: largest rotation, shift per axis, and shear, in either direction.
        scale: the head becomes at most ``1 + scale`` times as large or as small, its depth off the slice with it.
        elastic_mm: largest displacement per axis by a smooth deformation.
        flip: share of the slices that are mirrored left to right, where left and right landmarks change their names;
            0 where the anatomy declares no left/right partners (``suited_to``).
            Sagittal slices are left as they are: a mirrored head gives the same image, and left/right pairs are one
            point there.
        field_of_view: share of the slices whose field of view is cut down to a part, black around it.
        artefacts: share of the slices with coil shading, metal, blur, ringing, ghosts, fold-over, noise.
        noise: share of the slices with noise, which those with artefacts may have twice.
        gamma: standard deviation of the logarithm of the exponent that the intensities are raised to.
        gain: the intensities are multiplied by ``1 - gain`` to ``1 + gain``.
    """

    rotation_deg: float = 15.0
    scale: float = 0.12
    shear: float = 0.03
    shift_mm: float = 15.0
    elastic_mm: float = 2.0
    flip: float = 0.5
    field_of_view: float = 0.15
    artefacts: float = 0.3
    noise: float = 0.3
    gamma: float = 0.2
    gain: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            largest = _LARGEST.get(name, _LARGEST_SHARE)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value <= largest:
                raise UsageError(
                    f"{name} is {value!r}", source="augmentation", remedy=f"Give a number from 0 to {largest:g}."
                )

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Augmentation:
        """The defaults with some settings changed; UsageError for one that is unknown or out of range."""
        known = [field.name for field in dataclasses.fields(Augmentation)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise UsageError(
                f"unknown setting {unknown[0]}", source="augmentation", remedy=f"Known: {', '.join(known)}."
            )
        return Augmentation(**values)

    @staticmethod
    def suited_to(values: Mapping[str, Any], mirror: np.ndarray) -> Augmentation:
        """Like ``from_dict``, without flips where no landmark has a partner; UsageError where these are asked for.

        Args:
            mirror: (k,) index of each landmark's left/right partner, its own where there is none.
        """
        chosen = Augmentation.from_dict(values)
        if has_partners(mirror) or not chosen.flip:
            return chosen
        if "flip" in values:
            raise UsageError(
                f"flip is {chosen.flip:g}, but the anatomy declares no left/right partners",
                source="augmentation",
                remedy="Name the partners in the anatomy (mirror), or set flip to 0.",
            )
        logger.warning("the anatomy declares no left/right partners (mirror): slices are not mirrored.")
        return dataclasses.replace(chosen, flip=0.0)

    @staticmethod
    def none() -> Augmentation:
        """No variation at all."""
        return Augmentation(**dict.fromkeys((field.name for field in dataclasses.fields(Augmentation)), 0.0))


def augmented(
    slices: StudySlices,
    mirror: np.ndarray,
    settings: SliceSettings,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> SliceBatch:
    """A variation of each slice on the network's grid, resampled once; its landmarks follow exactly.

    Args:
        mirror: (k,) index of each landmark's left/right partner, its own where there is none.
    """
    count = len(slices)
    flip = (slices.planes.numpy() != PLANES.index("sagittal")) & (rng.random(count) < augmentation.flip)
    poses = random_in_plane_poses(
        rng,
        count,
        rotation_deg=augmentation.rotation_deg,
        log_scale=math.log1p(augmentation.scale),
        shear=augmentation.shear,
        shift_mm=augmentation.shift_mm,
        elastic_mm=augmentation.elastic_mm,
        flip=flip,
    )
    cut = _drawn(count, augmentation.field_of_view, rng)
    images, in_field = _resampled(_with_less_field_of_view(slices, cut, rng), poses, settings)
    if len(cut):
        # The intensities of a cropped slice are scaled anew; an empty one gives NaN.
        images[cut] = normalise(images[cut], in_field[cut]).nan_to_num(0.0)
    images, in_field = _degraded(images, in_field, augmentation, rng, settings.pixel_mm)
    points, depths = _moved_landmarks(slices, poses, mirror, settings)
    return SliceBatch(images, slices.planes, points, depths, in_view(points, in_field))


def _resampled(slices: StudySlices, poses: HeadPose, settings: SliceSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (b, H, W) as the poses make them, bilinear, and their fields of view (b, H, W) bool."""
    matrix, middle = settings.matrix, (settings.matrix - 1) / 2
    steps = (torch.arange(matrix) - middle) * settings.pixel_mm
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([columns.flatten(), rows.flatten()], dim=1)
    positions = poses.to_head(grid.expand(len(slices), -1, -1)) / settings.pixel_mm
    in_field = slices.within_fields(positions.flip(-1) + middle).view(-1, matrix, matrix)
    side = slices.images.shape[-1]
    sampled = torch.nn.functional.grid_sample(
        slices.images[:, None], (positions * (2 / side)).view(-1, matrix, matrix, 2), align_corners=False
    )
    return sampled[:, 0], in_field


def _moved_landmarks(
    slices: StudySlices, poses: HeadPose, mirror: np.ndarray, settings: SliceSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (b, k, 2) as (row, column) pixels and depths (b, k) mm in the images that the poses make."""
    middle = (settings.matrix - 1) / 2
    positions = poses.to_scanner((slices.points.flip(-1) - middle) * settings.pixel_mm)
    points = positions.flip(-1) / settings.pixel_mm + middle
    depths = slices.depths_mm * magnification(poses)[:, None]
    points, depths = (flipped_landmarks(t, poses.flip, mirror) for t in (points, depths[..., None]))
    return points, depths[..., 0]


def _degraded(
    images: torch.Tensor,
    in_field: torch.Tensor,
    augmentation: Augmentation,
    rng: np.random.Generator,
    pixel_mm: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (b, H, W) in 0..CAP with scanner effects and intensity changes, and their remaining fields of view."""
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    hit = _drawn(len(images), augmentation.artefacts, rng)
    if len(hit):
        images[hit], field = add_scanner_effects(images[hit], rng, noise, pixel_mm)
        in_field[hit] &= field
    hit = _drawn(len(images), augmentation.noise, rng)
    images[hit] = add_rician_noise(images[hit], rng, noise)
    exponents = np.exp(rng.normal(0, augmentation.gamma, len(images)))
    gains = rng.uniform(1 - augmentation.gain, 1 + augmentation.gain, len(images))
    exponent, gain = (torch.from_numpy(values).float()[:, None, None] for values in (exponents, gains))
    return (gain * images**exponent).clamp(0, CAP) * in_field, in_field


def _with_less_field_of_view(slices: StudySlices, which: np.ndarray, rng: np.random.Generator) -> StudySlices:
    """The same slices, those numbered ``which`` with their fields of view reduced to a random window."""
    fields = slices.fields.numpy().copy()
    size = fields[which, 1] - fields[which, 0]
    kept = np.ceil(rng.uniform(*KEPT_SIDE, size.shape) * size).astype(int)
    fields[which, 0] += rng.integers(0, size - kept + 1)
    fields[which, 1] = fields[which, 0] + kept
    return dataclasses.replace(slices, fields=torch.from_numpy(fields))


def _drawn(count: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers of the slices, each drawn with probability ``share``."""
    return np.flatnonzero(rng.random(count) < share)
