"""U-Net++ (Zhou et al. 2018, arXiv:1807.10165): its nested decoder on an encoder that may be pre-trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.basic_unet import TwoConv
from torch.nn import functional

from .encoders import build_encoder


class EncoderUNetPlusPlus(torch.nn.Module):
    """Nodes X(i, j): X(i, 0) are the encoder's maps, every other node convolves all earlier ones of its row.

    X(i, j) = H([X(i, 0), .., X(i, j - 1), U(X(i + 1, j - 1))]), H two 3x3 convolutions with batch norm, U bilinear
    upsampling. The row i = 0 has the grid of the heatmaps; finer maps of the encoder are not used. Where the encoder
    has no map as fine as the heatmaps, X(0, 0) is the image, convolved twice.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        encoder: name in ``registry.ENCODERS``.
        decoder: widths of the nodes of each row, finest first, as many as there are rows above the encoder's
            coarsest map (stride 16 for VGG, 32 for the others).
        stem: stride of the finest row against the image, and so of the heatmaps: 1, 2 or 4.
        deep_supervision: in training mode every X(0, j), j > 0, answers, the last one from the deepest U-Net.

    Shape:
        (B, in_channels, H, W), H and W multiples of 32 -> (B, out_channels, H / stem, W / stem); with deep supervision
        in training mode a list of those.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        encoder: str,
        decoder: Sequence[int],
        stem: int,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        self.encoder_name, self.deep_supervision = encoder, deep_supervision
        self.encoder = build_encoder(encoder, in_channels)
        widths = [w for w, stride in zip(self.encoder.widths, self.encoder.strides, strict=True) if stride >= stem]
        #: How many of the encoder's maps are too fine.
        self.skipped = len(self.encoder.widths) - len(widths)
        self.image_level = None
        if stem < self.encoder.strides[0]:
            self.image_level = _two_convolutions(in_channels, decoder[0])
            widths = [decoder[0], *widths]
        if len(decoder) != len(widths) - 1:
            raise ValueError(f"decoder needs {len(widths) - 1} widths for {encoder} at stem {stem}, not {len(decoder)}")
        self.depth = len(decoder)
        self.nodes = torch.nn.ModuleDict()
        for j in range(1, self.depth + 1):
            for i in range(self.depth - j + 1):
                below = widths[i + 1] if j == 1 else decoder[i + 1]
                self.nodes[f"{i}_{j}"] = _two_convolutions(widths[i] + (j - 1) * decoder[i] + below, decoder[i])
        heads = self.depth if deep_supervision else 1
        self.heads = torch.nn.ModuleList(torch.nn.Conv2d(decoder[0], out_channels, 1) for _ in range(heads))

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        levels = self.encoder(image)[self.skipped :]
        if self.image_level is not None:
            levels = [self.image_level(image), *levels]
        rows = [[level] for level in levels]
        for j in range(1, self.depth + 1):
            for i in range(self.depth - j + 1):
                up = functional.interpolate(rows[i + 1][j - 1], scale_factor=2, mode="bilinear", align_corners=False)
                rows[i].append(self.nodes[f"{i}_{j}"](torch.cat([*rows[i], up], dim=1)))
        if self.training and self.deep_supervision:
            return [head(node) for head, node in zip(self.heads, rows[0][1:], strict=True)]
        return self.heads[-1](rows[0][-1])


def _two_convolutions(in_channels: int, out_channels: int) -> TwoConv:
    return TwoConv(2, in_channels, out_channels, act=("RELU", {"inplace": True}), norm="batch", bias=False)
