"""Single-shot T2 (HASTE, SSFSE): a usual contrast of scouts. Bright fluid and fat, dark muscle, blur along one axis."""

from __future__ import annotations

import numpy as np
import torch

from ..tissues import CLASSES, EXTRACEREBRAL, Contrast

#: Typical grey values (0-255) per tissue class at an echo time of about 90 ms.
SINGLE_SHOT = np.array(
    [3, 225, 85, 112, 82, 108, 88, 80, 62, 85, 160, 40, 140, 88, 25, 225, 95, 45, 170, 110, 100, 50, 15, 110, 90.0]
)

#: Decay of the signal along the echo train, pixels: blur by a Lorentzian of this half width.
BLUR_PIXELS = (0.15, 0.9)


def single_shot_contrast(rng: np.random.Generator) -> Contrast:
    """A random single-shot T2 contrast."""
    mean = SINGLE_SHOT * np.exp(rng.normal(0, 0.12, CLASSES))
    brain = slice(2, 14)
    mean[brain] = mean[3] + (mean[brain] - mean[3]) * rng.uniform(0.5, 1.3)
    mean[EXTRACEREBRAL] *= np.exp(rng.normal(0, 0.25, len(EXTRACEREBRAL)))
    mean[[16, 19, 23]] *= rng.uniform(0.5, 2.0)  # fat: bright in fast spin echo, dark where it is suppressed
    sd = rng.uniform(2, 14, CLASSES)
    sd[EXTRACEREBRAL] *= rng.uniform(1, 3)
    mean[0], sd[0] = rng.uniform(0, 6), rng.uniform(0, 3)
    return Contrast(np.clip(mean, 0, 400), np.clip(sd, 0, 70), single_shot=True)


def blur_by_decay(images: torch.Tensor, chosen: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Blur the ``chosen`` (indices) images (b, H, W) along a random axis each: k-space times exp(-2 pi w |f|)."""
    if not len(chosen):
        return images
    result = images.clone()
    for i in chosen:
        axis, width = int(rng.integers(2)), rng.uniform(*BLUR_PIXELS)
        frequency = torch.fft.rfftfreq(images.shape[1 + axis], device=images.device)
        gain = torch.exp(-2 * torch.pi * width * frequency)
        gain = gain[:, None] if axis == 0 else gain
        result[i] = torch.fft.irfft(torch.fft.rfft(images[i], dim=axis) * gain, n=images.shape[1 + axis], dim=axis)
    return result.clamp_min(0)
