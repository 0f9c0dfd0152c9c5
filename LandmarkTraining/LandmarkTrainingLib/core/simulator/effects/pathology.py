"""Lesions, tumours, holes after surgery and dental metal, painted into the tissue of a slice while it is rendered.

Everything is made of blobs: balls in head space with a wavy surface, each with its own signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..tissues import Contrast
from .effect_settings import SimulationEffects

#: Tissue classes that a blob may replace: ranges of numbers, none with air (0).
WHITE_MATTER, BRAIN, ANYTHING = (2,), tuple(range(1, 14)), tuple(range(1, 256))

#: Where a mouth is in head space, mm, and how far metal lies from it (sd).
MOUTH_MM, MOUTH_SD_MM = np.array([0.0, 62.0, -78.0]), 12.0


@dataclass(frozen=True, eq=False)
class Blobs:
    """m blobs of one kind in one slice.

    Attributes:
        center: (m, 3) head space mm; radius: (m,) mm.
        signal: (m,) grey value; replaces: tissue classes that are painted over.
        waviness: relative amplitude of the surface; wave: (3,) rad/mm.
    """

    center: torch.Tensor
    radius: torch.Tensor
    signal: torch.Tensor
    replaces: tuple[int, ...]
    waviness: float
    wave: torch.Tensor

    def paint(self, signal: torch.Tensor, tissue: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """``signal`` (n,) of ``tissue`` (n,) at head-space ``points`` (n, 3) with the blobs painted over it."""
        distance = torch.cdist(points[None], self.center[None])[0]
        wavy = 1 + self.waviness * torch.sin(points @ self.wave)
        inside = distance * wavy[:, None] < self.radius
        nearest = (distance / self.radius).argmin(1)
        hit = inside.any(1) & _one_of(tissue, self.replaces)
        return torch.where(hit, self.signal[nearest], signal)


def random_pathology(
    rng: np.random.Generator, contrast: Contrast, brain_points: np.ndarray, effects: SimulationEffects
) -> list[Blobs]:
    """The blobs of one slice, in the order in which they are painted.

    Args:
        brain_points: (n, 3) head-space mm of the slice's pixels within the brain: there lesions are laid, so that the
            slice meets them.
    """
    blobs = []
    brain = len(brain_points) > 50
    if brain and rng.random() < effects.lesions:
        count = int(rng.integers(3, 25))
        radius = rng.uniform(1.5, 5, count) * rng.choice([1.0, 1.6], count)
        signal = _away_from(rng, contrast.mean[2])
        blobs.append(_blobs(rng, _near(rng, brain_points, count, 4), radius, signal, WHITE_MATTER))
    if brain and rng.random() < effects.tumours:
        blobs += _tumour(rng, contrast, brain_points)
    if brain and rng.random() < effects.resections:
        radius = rng.uniform(8, 28, 1)
        replaced = ANYTHING if rng.random() < 0.4 else BRAIN
        signal = contrast.mean[1] * rng.uniform(0.8, 1.1)
        blobs.append(_blobs(rng, _near(rng, brain_points, 1, 6), radius, signal, replaced))
    if rng.random() < effects.dental_metal:
        center = MOUTH_MM + rng.normal(0, MOUTH_SD_MM, (1, 3))
        blobs.append(_blobs(rng, center, rng.uniform(20, 55, 1), 0.0, ANYTHING))
    return blobs


def _tumour(rng: np.random.Generator, contrast: Contrast, brain_points: np.ndarray) -> Sequence[Blobs]:
    """A mass, with oedema of the white matter round it and a necrotic middle in some."""
    center, radius = _near(rng, brain_points, 1, 6), rng.uniform(6, 24, 1)
    parts = []
    if rng.random() < 0.6:
        oedema = _away_from(rng, contrast.mean[2])
        parts.append(_blobs(rng, center, radius + rng.uniform(4, 15), oedema, WHITE_MATTER))
    parts.append(_blobs(rng, center, radius, _away_from(rng, contrast.mean[3]), BRAIN))
    if rng.random() < 0.5:
        necrosis = contrast.mean[1] * rng.uniform(0.7, 1.1)
        parts.append(_blobs(rng, center + rng.normal(0, 2, 3), radius * rng.uniform(0.4, 0.85), necrosis, BRAIN))
    return parts


def _away_from(rng: np.random.Generator, grey: float) -> float:
    """A random grey value that differs from ``grey`` by at least 20 %."""
    return float(grey * rng.choice([rng.uniform(0.2, 0.8), rng.uniform(1.2, 2.2)]))


def _near(rng: np.random.Generator, points: np.ndarray, count: int, sd_mm: float) -> np.ndarray:
    return points[rng.integers(0, len(points), count)] + rng.normal(0, sd_mm, (count, 3))


def _blobs(
    rng: np.random.Generator, center: np.ndarray, radius: np.ndarray, signal: float, replaces: tuple[int, ...]
) -> Blobs:
    wave = rng.normal(0, 1, 3) * rng.uniform(1, 3) / max(float(radius.max()), 4.0)
    arrays = (torch.from_numpy(np.asarray(a)).float() for a in (center, radius, np.full(len(radius), signal), wave))
    centers, radii, signals, waves = arrays
    return Blobs(centers, radii, signals, replaces, float(rng.uniform(0, 0.3)), waves)


def _one_of(tissue: torch.Tensor, classes: tuple[int, ...]) -> torch.Tensor:
    return (tissue >= min(classes)) & (tissue <= max(classes))
