"""U-Net (Ronneberger et al. 2015, arXiv:1505.04597) by MONAI, behind a space-to-depth stem."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import BasicUNet

from .layer_kinds import BATCH, LEAKY_RELU, activation_of, drop_whole_maps, norm_of
from .stem import folding


class StemUNet(torch.nn.Module):
    """MONAI's ``BasicUNet``: five levels of two 3x3 convolutions, max pooling, transposed convolutions, skips.

    Unlike the paper's, the convolutions are padded (nothing is cropped), batch norm follows them and the
    activation is leaky: the plain counterpart of this project's U-Net++. Published widths: 64, 128, 256, 512, 1024.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        features: six widths: of the five levels, and of the final upsampling.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        dropout: dropout probability.
        norm, activation, spatial_dropout: see ``layer_kinds``; the paper has no norm, and ReLU.

    Shape:
        (B, in_channels, H, W), H and W multiples of 16 * ``stem`` -> (B, out_channels, H / stem, W / stem).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Sequence[int],
        stem: int,
        dropout: float = 0.0,
        norm: str = BATCH,
        activation: str = LEAKY_RELU,
        spatial_dropout: bool = False,
    ) -> None:
        super().__init__()
        self.fold, channels = folding(in_channels, stem)
        self.unet = BasicUNet(
            spatial_dims=2,
            in_channels=channels,
            out_channels=out_channels,
            features=tuple(features),
            act=activation_of(activation),
            norm=norm_of(norm),
            dropout=dropout,
        )
        if spatial_dropout:
            drop_whole_maps(self.unet)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.unet(self.fold(image))
