"""Losses on heatmaps."""

from __future__ import annotations

import torch


class PeakWeightedMse(torch.nn.Module):
    """Mean of ``(1 + peak_weight * target) * (prediction - target)^2`` over the known landmarks.

    Background outnumbers the peaks by far; without the weight a network first learns to answer zero.
    The factor 50 brings the loss to the order of one.
    """

    def __init__(self, peak_weight: float) -> None:
        super().__init__()
        self.peak_weight = peak_weight

    def forward(self, prediction: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """``prediction`` and ``target`` (b, k, h, w); ``known`` (b, k) bool: the landmark's truth exists."""
        error = (1 + self.peak_weight * target) * (prediction.float() - target) ** 2
        return 50 * (error.mean(dim=(2, 3)) * known).sum() / known.sum().clamp_min(1)
