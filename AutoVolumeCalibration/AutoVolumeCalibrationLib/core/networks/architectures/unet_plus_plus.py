"""U-Net++ (Zhou et al. 2018, arXiv:1807.10165) by MONAI, behind a space-to-depth stem."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import BasicUNetPlusPlus
from monai.networks.nets.basic_unet import UpCat

from .layer_kinds import BATCH, LEAKY_RELU, activation_of, drop_whole_maps, norm_of
from .stem import folding


class Float32Head(torch.nn.Conv2d):
    """A convolution in float32 whatever the rest computes in: rounded heatmaps locate a peak badly.

    One that serves only training (``idle``) returns its input in evaluation mode, where its output is not used.
    """

    idle = False

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.idle and not self.training:
            return features
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


class StemUNetPlusPlus(torch.nn.Module):
    """MONAI's ``BasicUNetPlusPlus`` on images folded by ``stem``.

    The heads of its shallower U-Nets only serve deep supervision.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        features: six widths, the last one of the final upsampling (at least ``out_channels`` / 2,
            else the heatmaps are rank-limited).
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        dropout: dropout probability.
        deep_supervision: in training mode give the heatmaps of all four nested U-Nets, else of the deepest alone.
        average_heads: with deep supervision, in evaluation mode give the mean of their heatmaps (Zhou's accurate mode)
            instead of those of the deepest (the fast mode).
        norm, activation, spatial_dropout: see ``layer_kinds``; Zhou has batch norm and ReLU.

    Shape:
        (B, in_channels, H, W), H and W multiples of 16 * ``stem`` -> (B, out_channels, H / stem, W / stem);
        with deep supervision, in training mode, a list of them from the shallowest to the deepest.
    """

    #: Under autocast too, see ``inference.inference_autocast``.
    float32_heads = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Sequence[int],
        stem: int,
        dropout: float = 0.0,
        deep_supervision: bool = False,
        average_heads: bool = False,
        norm: str = BATCH,
        activation: str = LEAKY_RELU,
        spatial_dropout: bool = False,
    ) -> None:
        super().__init__()
        if average_heads and not deep_supervision:
            raise ValueError("average_heads needs deep_supervision: the other heads would be untrained")
        self.average_heads = average_heads
        self.fold, channels = folding(in_channels, stem)
        self.nested = BasicUNetPlusPlus(
            spatial_dims=2,
            in_channels=channels,
            out_channels=out_channels,
            features=tuple(features),
            act=activation_of(activation),
            norm=norm_of(norm),
            dropout=dropout,
            deep_supervision=deep_supervision,
        )
        if spatial_dropout:
            drop_whole_maps(self.nested)
        for layer in self.nested.modules():
            if isinstance(layer, UpCat):
                layer.is_pad = False  # no size is odd here; even empty padding would go through float32
        for name, layer in list(self.nested.named_children()):
            if isinstance(layer, torch.nn.Conv2d) and name.startswith("final_conv"):
                head = Float32Head(layer.in_channels, out_channels, 1)
                head.load_state_dict(layer.state_dict())
                head.idle = name != "final_conv_0_4" and not average_heads
                setattr(self.nested, name, head)

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        heatmaps = self.nested(self.fold(image))
        if self.training and self.nested.deep_supervision:
            return heatmaps
        return torch.stack(heatmaps).mean(dim=0) if self.average_heads else heatmaps[-1]
