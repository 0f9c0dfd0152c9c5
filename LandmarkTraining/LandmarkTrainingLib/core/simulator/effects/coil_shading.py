"""Shading by the elements of a receive coil, as images without intensity correction show it."""

from __future__ import annotations

import numpy as np
import torch

#: Side of the coarse grid on which the smooth gain is computed.
GRID = 16

#: The gain is between exp(-this) and exp(this) times that of the middle: amplifiers and filters limit it.
LARGEST_LOG_GAIN = 1.8


def shade_by_coil(images: torch.Tensor, rng: np.random.Generator, share: float, pixel_mm: float) -> torch.Tensor:
    """Multiply ``share`` of the images (b, H, W) by the root sum of squares of 1 to 8 coil elements.

    Elements (loops of radius a = 35-80 mm) lie on an arc or a ring round the middle of the image. On its axis
    the field of a loop falls off as a^3 / (a^2 + d^2)^1.5 (Biot-Savart), which is taken for all directions here.
    """
    chosen = np.flatnonzero(rng.random(len(images)) < share)
    if not len(chosen):
        return images
    half = (images.shape[-1] - 1) / 2 * pixel_mm
    gains = np.stack([_coarse_gain(rng, half) for _ in chosen])
    field = torch.nn.functional.interpolate(
        torch.from_numpy(gains).float()[:, None].to(images.device),
        images.shape[-2:],
        mode="bicubic",
        align_corners=True,
    )[:, 0]
    result = images.clone()
    result[chosen] *= torch.exp(field)
    return result


def _coarse_gain(rng: np.random.Generator, half_mm: float) -> np.ndarray:
    """(GRID, GRID) logarithm of the gain over a square of -half_mm..half_mm; 0 at its middle."""
    axis = np.linspace(-half_mm, half_mm, GRID)
    elements = int(rng.integers(1, 9))
    spread = rng.uniform(0.5, 1) * 2 * np.pi if elements > 2 else rng.uniform(0.2, 1) * np.pi
    angles = rng.uniform(0, 2 * np.pi) + (np.arange(elements) + rng.uniform(-0.3, 0.3, elements)) / elements * spread
    distance, beside = rng.uniform(95, 150, elements), rng.uniform(0, 60, elements)
    radius, weight = rng.uniform(35, 80), np.exp(rng.normal(0, 0.25, elements))
    row, column = distance * np.sin(angles), distance * np.cos(angles)
    squared = (axis[:, None, None] - row) ** 2 + (axis[None, :, None] - column) ** 2 + beside**2
    gain = np.sqrt(((weight * radius**3 / (radius**2 + squared) ** 1.5) ** 2).sum(-1))
    log_gain = np.log(gain) - np.log(gain[GRID // 2, GRID // 2])
    return LARGEST_LOG_GAIN * np.tanh(log_gain * rng.uniform(0.5, 1.0) / LARGEST_LOG_GAIN)
