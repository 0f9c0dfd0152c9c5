"""Losses on heatmaps, coordinates, presence and displacements, by name.

A loss is a callable ``(prediction, target, weight) -> scalar`` in float32; what the three are depends on its kind:

=============  =============================  ====================================  ==================================
kind           prediction                     target                                weight (b, k)
=============  =============================  ====================================  ==================================
HEATMAP        (b, k, h, w) heatmaps          (b, k, h, w) Gaussians 0..1           1 where the truth is known, else 0
POINTS         (b, k, 2) heatmap pixels       (b, k, 2) heatmap pixels, finite      height of the target, 0 if unknown
PRESENCE       (b, k) 0..1                    (b, k) height of the target, 0..1     1 where the truth is known, else 0
DISPLACEMENT   (b, k, 2, h, w) heatmap pixels (b, k, 2) heatmap pixels, finite      height of the target, 0 if unknown
SIGMA          (k,) heatmap pixels, learned   () heatmap pixels, what they began as (height, 0 if unknown)^2 / (number
                                                                                    known * pixels of a map)
=============  =============================  ====================================  ==================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from AutoVolumeCalibrationLib.core.errors import UsageError

HEATMAP, POINTS, PRESENCE, DISPLACEMENT, SIGMA = KINDS = ("heatmap", "points", "presence", "displacement", "sigma")

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class PeakWeightedMse(torch.nn.Module):
    """Mean of ``(1 + peak_weight * target) * (prediction - target)^2`` over the known landmarks.

    Background outnumbers the peaks by far; without the weight a network first learns to output zero.
    The factor 50 brings the loss to the order of one.
    """

    def __init__(self, peak_weight: float = 20.0) -> None:
        super().__init__()
        self.peak_weight = peak_weight

    def forward(self, prediction: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """``prediction`` and ``target`` (b, k, h, w); ``known`` (b, k) bool: the landmark's truth exists."""
        error = (1 + self.peak_weight * target) * (prediction.float() - target) ** 2
        return 50 * (error.mean(dim=(2, 3)) * known).sum() / known.sum().clamp_min(1)


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``sum(weight * values) / max(1, sum(weight))``: 0 if all weights are 0, and small if they are small."""
    return (values * weight).sum() / weight.sum().clamp_min(1)


def mse() -> Loss:
    """Mean squared error of heatmaps."""
    return lambda prediction, target, known: weighted_mean(((prediction - target) ** 2).mean(dim=(2, 3)), known)


def mae() -> Loss:
    """Mean absolute error of heatmaps (Flat-net, Eslami 2019)."""
    return lambda prediction, target, known: weighted_mean((prediction - target).abs().mean(dim=(2, 3)), known)


def bce(margin: float = 1e-4) -> Loss:
    """Binary cross-entropy of heatmaps as probabilities, not logits (GU2Net, Zhu 2021: a product of sigmoids).

    Predictions are clamped to ``margin .. 1 - margin``, where the logarithm is finite. Beyond it the clamped loss has
    no gradient, so the distance to that range is added, which pulls unbounded outputs into it.
    """
    if not 0 < margin < 0.5:
        raise ValueError(f"margin {margin} is not between 0 and 0.5")

    def loss(prediction: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        return weighted_mean(_cross_entropy(prediction, target, margin).mean(dim=(2, 3)), known)

    return loss


def _cross_entropy(probability: torch.Tensor, target: torch.Tensor, margin: float) -> torch.Tensor:
    inside = probability.clamp(margin, 1 - margin)
    entropy = -(target * inside.log() + (1 - target) * torch.log1p(-inside))
    return entropy + (probability - inside).abs()


def adaptive_wing(
    alpha: float = 2.1, omega: float = 14.0, epsilon: float = 1.0, theta: float = 0.5, peak_weight: float = 10.0
) -> Loss:
    """Adaptive wing loss of heatmaps with its weighted loss map (Wang 2019, arXiv:1904.07399, eq. 3 and 4).

    ``omega ln(1 + |d / epsilon|^(alpha - target))`` below ``|d| = theta``, a straight line above. Pixels whose target
    is at least 0.2, and their neighbours, count ``1 + peak_weight`` times. The constants are the paper's.
    """
    # With alpha below 2 the curve has a cusp at the peaks, where its gradient is not finite.
    if min(omega, epsilon, theta) <= 0 or alpha < 2:
        raise ValueError("omega, epsilon and theta must be positive and alpha at least 2")

    def loss(prediction: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        distance = (prediction - target).abs()
        power = alpha - target
        at_theta = (theta / epsilon) ** power
        slope = omega * power * at_theta / (theta * (1 + at_theta))
        curve = omega * torch.log1p((distance / epsilon) ** power)
        line = slope * (distance - theta) + omega * torch.log1p(at_theta)
        near_peak = torch.nn.functional.max_pool2d(target, 3, stride=1, padding=1) >= 0.2
        cost = torch.where(distance < theta, curve, line) * (1 + peak_weight * near_peak)
        return weighted_mean(cost.mean(dim=(2, 3)), known)

    return loss


def wing(width: float = 15.0, curvature: float = 3.0) -> Loss:
    """Wing loss of coordinates, mean of row and column (Feng 2018, arXiv:1711.06753, eq. 5).

    ``width ln(1 + |d| / curvature)`` below ``|d| = width``, ``|d|`` plus a constant above, ``d`` in heatmap pixels.
    The defaults are those of KNEEL (Tiulpin 2019), where ``d`` is a part of the image's side (the term's
    ``"unit": "image"``): within the image the curve is then nearly straight, 5 |d|.
    """
    if min(width, curvature) <= 0:
        raise ValueError("width and curvature must be positive")
    offset = width - width * math.log1p(width / curvature)

    def cost(difference: torch.Tensor) -> torch.Tensor:
        distance = difference.abs()
        return torch.where(distance < width, width * torch.log1p(distance / curvature), distance - offset)

    return _of_coordinates(cost)


def point_mse() -> Loss:
    """Mean squared error of coordinates, heatmap pixels^2, mean of row and column."""
    return _of_coordinates(torch.square)


def point_mae() -> Loss:
    """Mean absolute error of coordinates, heatmap pixels, mean of row and column."""
    return _of_coordinates(torch.abs)


def _of_coordinates(cost: Callable[[torch.Tensor], torch.Tensor]) -> Loss:
    return lambda points, target, weight: weighted_mean(cost(points - target).mean(dim=-1), weight)


def presence_bce(margin: float = 1e-4) -> Loss:
    """Cross-entropy of the presence against the height of the target; ``margin`` as in :func:`bce`."""
    if not 0 < margin < 0.5:
        raise ValueError(f"margin {margin} is not between 0 and 0.5")
    return lambda presence, height, known: weighted_mean(_cross_entropy(presence, height, margin), known)


def sigma_penalty(alpha: float = 20.0, mass: float = 100.0) -> Loss:
    """Mean square of learned sigmas (Payer 2019), balanced like the authors' code against an ``mse`` of this weight.

    There the loss of an image is ``1/2 sum (h - g)^2 + alpha/2 sum sigma^2`` over the landmarks that it shows, the
    targets g are ``mass / 2 pi sigma^2`` high, and the defaults are those for cephalograms. Here targets begin with the
    height of the presence and squares are averaged over pixels, which divides the loss by ``(mass / 2 pi start^2)^2``
    and the number of pixels; a landmark counts by the square of its presence, as in the other term. An empty answer is
    then at rest where ``sigma^4 = mass^2 / (4 pi alpha)``: 2.5 pixels with the defaults, where the authors start. For
    another start s the balance is theirs with a mass of ``100 (s / 2.5)^2``.
    """
    if alpha < 0 or mass <= 0:
        raise ValueError("alpha must not be negative and mass must be positive")

    def loss(sigmas: torch.Tensor, start: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        height = mass / (2 * math.pi * start**2)
        return alpha * (weight * sigmas**2).sum() / height**2

    return loss


def smooth_l1(reach: float = 12.0, beta: float = 1.0) -> Loss:
    """Smooth L1 loss of displacements, mean of row and column, in heatmap pixels.

    A pixel at the distance d from the landmark counts ``exp(-d / reach)``: patches near a landmark locate it
    best, those far off hardly at all (T2DL, Zhang 2017, learns from patches near the landmarks). Pixels are
    averaged with these weights, so that a landmark near the border counts as much as one in the middle.
    """
    if reach <= 0 or beta < 0:
        raise ValueError("reach must be positive and beta not negative")

    def loss(displacements: torch.Tensor, points: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        rows, columns = (torch.arange(n, device=points.device, dtype=points.dtype) for n in displacements.shape[-2:])
        pixels = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        target = points[..., None, None] - pixels
        # The nearest pixel's weight is divided out first: a point far outside would make them all underflow.
        distance = target.norm(dim=2)
        nearness = torch.exp((distance.amin(dim=(2, 3), keepdim=True) - distance) / reach)
        error = torch.nn.functional.smooth_l1_loss(displacements, target, reduction="none", beta=beta).mean(dim=2)
        return weighted_mean((nearness * error).sum(dim=(2, 3)) / nearness.sum(dim=(2, 3)), weight)

    return loss


@dataclass(frozen=True)
class LossEntry:
    """A registered loss: its kind, and its factory, which takes the options."""

    kind: str
    factory: Callable[..., Loss]


LOSSES: dict[str, LossEntry] = {
    "peak_weighted_mse": LossEntry(HEATMAP, PeakWeightedMse),
    "mse": LossEntry(HEATMAP, mse),
    "mae": LossEntry(HEATMAP, mae),
    "bce": LossEntry(HEATMAP, bce),
    "adaptive_wing": LossEntry(HEATMAP, adaptive_wing),
    "wing": LossEntry(POINTS, wing),
    "point_mse": LossEntry(POINTS, point_mse),
    "point_mae": LossEntry(POINTS, point_mae),
    "presence_bce": LossEntry(PRESENCE, presence_bce),
    "smooth_l1": LossEntry(DISPLACEMENT, smooth_l1),
    "sigma_penalty": LossEntry(SIGMA, sigma_penalty),
}


def register_loss(name: str, factory: Callable[..., Loss], kind: str = HEATMAP) -> None:
    """Register a custom loss under ``name``, so that a configuration can use it.

    Args:
        factory: called with the term's options as keywords; returns the loss, a callable as described at the top of
            this module. A ``torch.nn.Module`` class is such a factory.
        kind: one of KINDS, which determines the arguments of the loss.

    Raises:
        UsageError: the name is taken by another factory, or the kind is unknown.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of loss {kind!r}", remedy=f"Known: {', '.join(KINDS)}.")
    entry = LossEntry(kind, factory)
    if LOSSES.get(name, entry) != entry:
        raise UsageError(f"a loss {name!r} is registered already", remedy="Choose another name.")
    LOSSES[name] = entry
