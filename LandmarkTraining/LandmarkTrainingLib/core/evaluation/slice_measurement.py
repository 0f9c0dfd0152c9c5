"""In-plane errors of a network on single slices of real heads, by which networks are compared.

Slices are cut from real volumes at random positions and poses, once, so that every network sees the same ones.
Extremes are left out, because their true position across their normal is unknown, and so are landmarks further than
``REACH_MM`` from a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, to_image_pixels

from ..reference_heads.brain_extremes import NORMAL_AXIS
from ..reference_heads.heads import list_heads
from ..simulator.pose import PoseLimits
from ..simulator.render import SliceBatch
from ..simulator.slice_planes import SliceSettings
from ..simulator.volume_heads import load_volume_heads, simulate_volume_batch
from ..slices.batches import encode
from ..slices.sources import joined, part_of
from ..slices.targets import TargetSettings, make_targets

REACH_MM = 6.0

#: Heads as they are, in the poses of patients.
LIMITS = PoseLimits(rotation_deg=20.0, shift_mm=20.0).undeformed

#: Numbers of given landmarks that are tried with networks that take some.
GIVEN = (0, 1, 2, 4)


@dataclass(frozen=True, eq=False)
class RealSlices:
    """n slices of real heads, with their ``subjects`` (n,) and ``counted`` (n, k) bool: what is measured."""

    batch: SliceBatch
    subjects: tuple[str, ...]
    counted: torch.Tensor


def real_slices(
    data: Path, split: str, constellation: Constellation, per_head: int = 24, seed: int = 20261120
) -> RealSlices:
    """``per_head`` random slices of every head of a split (``heads.csv``)."""
    heads = list_heads(data, split)
    settings, mirror = SliceSettings(limits=LIMITS), constellation.mirror_indices
    batches = [
        simulate_volume_batch([volume], mirror, per_head, (seed, number), settings)
        for number, volume in enumerate(load_volume_heads(heads, constellation.names))
    ]
    batch = joined(batches)
    exact = torch.tensor([name not in NORMAL_AXIS for name in constellation.names])
    counted = batch.visible & (batch.depths_mm.abs() <= REACH_MM) & exact
    return RealSlices(batch, tuple(head.subject for head in heads for _ in range(per_head)), counted)


@torch.inference_mode()
def slice_errors_mm(
    network: torch.nn.Module,
    slices: RealSlices,
    targets: TargetSettings,
    device: torch.device,
    *,
    given: int | None = None,
    seed: int = 7,
) -> np.ndarray:
    """(n, k) in-plane errors, NaN where nothing is measured.

    Args:
        given: number of guidance landmarks per slice; None for a network without guidance.
            The landmarks that may be given (``max(GIVEN)`` per slice) are never measured, whatever the number, so
            that all numbers are measured on the same landmarks.
    """
    network.eval()
    order = _order_of_giving(slices, seed)
    errors = []
    for start in range(0, len(slices.subjects), 16):
        part = slice(start, start + 16)
        batch = part_of(slices.batch, part)
        guidance = None if given is None else _guidance_maps(batch, order[part] < given, targets).to(device)
        image = encode(batch).to(device)
        heatmaps = network(image) if guidance is None else network(image, guidance)
        peaks = decode_peaks(heatmaps.float().cpu(), targets.sigma_pixels)
        offset = (to_image_pixels(peaks.positions, targets.stem) - batch.points.numpy()) * targets.pixel_mm
        errors.append(np.linalg.norm(offset, axis=-1))
    result = np.concatenate(errors)
    counted = slices.counted if given is None else slices.counted & (order >= max(GIVEN))
    result[~counted.numpy()] = np.nan
    return result


def _order_of_giving(slices: RealSlices, seed: int) -> torch.Tensor:
    """(n, k) rank of each landmark in the order in which they are given; those that are not measured come last."""
    chance = np.random.default_rng(seed).random(slices.counted.shape) + ~slices.counted.numpy()
    return torch.from_numpy(chance.argsort(axis=1).argsort(axis=1))


def _guidance_maps(batch: SliceBatch, chosen: torch.Tensor, settings: TargetSettings) -> torch.Tensor:
    targets = make_targets(batch, settings)
    return targets.heatmaps * (chosen & targets.known)[..., None, None]


def pooled(errors: Sequence[np.ndarray], subjects: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The measured errors of all trainings (m,) and whose they are (m,).

    Concatenated: means over trainings have fewer large errors than any of the trainings.

    Args:
        errors: of each training (n, k), NaN where nothing is measured.
        subjects: of the n slices.
    """
    together = np.stack(errors)
    measured = np.isfinite(together)
    owners = np.broadcast_to(np.asarray(subjects)[:, None], together.shape)
    return together[measured], owners[measured]
