"""Outputs of networks in training, besides heatmaps.

In evaluation mode every network of the registry gives heatmaps (B, landmarks, h, w), so that one decoder serves
all. In training mode it may give one of the tuples below, or a list of several outputs (deep or intermediate
supervision), the last one its best. Coordinates are heatmap pixels (row, column), fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch

from ...detection.heatmaps import render_targets


class PointOutput(NamedTuple):
    """Coordinates by regression.

    Attributes:
        points: (B, k, 2) heatmap pixels (row, column).
        presence: (B, k) in 0..1, what the peak of a heatmap would be.
    """

    points: torch.Tensor
    presence: torch.Tensor


class DisplacementOutput(NamedTuple):
    """From every heatmap pixel to every landmark.

    Attributes:
        displacements: (B, k, 2, h, w) (row, column) heatmap pixels from the pixel to the landmark.
    """

    displacements: torch.Tensor


class SigmaOutput(NamedTuple):
    """Heatmaps of a network that learns the width of its targets (SCN, Payer 2019).

    Attributes:
        heatmaps: (B, k, h, w). Their target is a Gaussian of ``sigmas`` of the same mass whatever its width: as high as
            the presence at ``start``, and ``start^2 / sigma^2`` times that at ``sigma``.
        sigmas: (k,) heatmap pixels.
        start: (), what all of them were at first.
    """

    heatmaps: torch.Tensor
    sigmas: torch.Tensor
    start: torch.Tensor


def mean_of_heads(heads: Iterable[torch.nn.Module], features: Iterable[torch.Tensor]) -> torch.Tensor:
    """Mean of what each head makes of its features: the accurate mode of U-Net++ (Zhou 2018, section 3.2)."""
    return torch.stack([head(own) for head, own in zip(heads, features, strict=True)]).mean(dim=0)


def heatmaps_of(output: PointOutput, size: Sequence[int], sigma: float) -> torch.Tensor:
    """(B, k, h, w) Gaussians of ``sigma`` heatmap pixels at the points, as high as the presence."""
    return render_targets(output.points.float(), output.presence.float(), size, sigma)
