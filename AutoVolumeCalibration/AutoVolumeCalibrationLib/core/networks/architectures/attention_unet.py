"""Attention U-Net (Oktay et al. 2018, arXiv:1804.03999) by MONAI, behind a space-to-depth stem."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import AttentionUnet

from .stem import folding


class StemAttentionUNet(torch.nn.Module):
    """MONAI's ``AttentionUnet``: additive gates weigh each skip, alpha = sigmoid(psi(ReLU(W_x x + W_g g))).

    Unlike the paper's, the gating signal g is the upsampled one of the same level, so that alpha needs no
    resampling, and strided convolutions stand for the max pooling.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        features: widths of the five levels.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        dropout: dropout probability.

    Shape:
        (B, in_channels, H, W), H and W multiples of 16 * ``stem`` -> (B, out_channels, H / stem, W / stem).
    """

    def __init__(
        self, in_channels: int, out_channels: int, features: Sequence[int], stem: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.fold, channels = folding(in_channels, stem)
        self.unet = AttentionUnet(
            spatial_dims=2,
            in_channels=channels,
            out_channels=out_channels,
            channels=tuple(features),
            strides=(2, 2, 2, 2),
            dropout=dropout,
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.unet(self.fold(image))
