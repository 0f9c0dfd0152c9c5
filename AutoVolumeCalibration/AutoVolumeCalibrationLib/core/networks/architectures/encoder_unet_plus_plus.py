"""U-Net++ (Zhou et al. 2018, arXiv:1807.10165): its nested decoder on an encoder that may be pre-trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets.basic_unet import TwoConv
from torch.nn import functional

from .encoders import build_encoder
from .nested_plan import NESTED, SEGMENTATION_MODELS, NestedPlan, plan_of
from .outputs import mean_of_heads


class EncoderUNetPlusPlus(torch.nn.Module):
    """Nodes X(i, j): X(i, 0) are the encoder's maps, every other node convolves all earlier ones of its row.

    X(i, j) = H([X(i, 0), .., X(i, j - 1), U(X(i + 1, j - 1))]), H two 3x3 convolutions with batch norm, U upsampling.
    Over VGG19 the rows go to stride 32, as over the others (models of version 0.1.0: to 16; their four widths
    of the decoder still build them).

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        encoder: name in ``registry.ENCODERS``.
        decoder: widths of the rows above the encoder's coarsest map, finest first.
        stem: stride of the finest row against the image, and so of the heatmaps: 1, 2 or 4.
        deep_supervision: in training mode every X(0, j), j > 0, answers, the last one from the deepest U-Net.
        average_heads: with deep supervision, in evaluation mode give the mean of their answers (Zhou's accurate mode)
            instead of the last one (the fast mode).
        form: "nested", or "segmentation_models" as in the library of that name (Iakubovskii), in which these encoders
            are usually trained. What both are: ``nested_plan``. Over VGG19 at stem 1 the library counts 44,657,041
            parameters (3 channels, 1 output), of which 4,720,640 belong to a block that its forward pass never uses;
            it is left out here. Zhou's Keras code is the nested form with nearest upsampling; its widths over VGG19 are
            32, 64, 128, 256, 16.

    Shape:
        (B, in_channels, H, W), H and W multiples of 32 -> (B, out_channels, H / stem, W / stem); with deep supervision
        in training mode a list of those.

    Raises:
        ValueError: the decoder has another number of widths than there are rows, or a mean or deep supervision is asked
            for where there is one head.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        encoder: str,
        decoder: Sequence[int],
        stem: int,
        deep_supervision: bool = False,
        average_heads: bool = False,
        form: str = NESTED,
    ) -> None:
        super().__init__()
        if average_heads and not deep_supervision:
            raise ValueError("average_heads needs deep_supervision: else there is one head")
        if form == SEGMENTATION_MODELS and deep_supervision:
            raise ValueError(f"the form {form} has one head: deep_supervision does not suit it")
        self.encoder_name, self.deep_supervision, self.average_heads = encoder, deep_supervision, average_heads
        self.encoder = build_encoder(encoder, in_channels)
        self.plan: NestedPlan = plan_of(self.encoder, encoder, decoder, stem, form)
        self.depth = len(decoder)
        self.image_level = _two_convolutions(in_channels, decoder[0]) if self.plan.image_row else None
        self.nodes = torch.nn.ModuleDict(
            {name: _two_convolutions(*channels) for name, channels in self.plan.nodes.items()}
        )
        heads = self.depth if deep_supervision else 1
        kernel = 3 if form == SEGMENTATION_MODELS else 1
        self.heads = torch.nn.ModuleList(
            torch.nn.Conv2d(decoder[0], out_channels, kernel, padding=kernel // 2) for _ in range(heads)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        levels: list[torch.Tensor | None] = list(self.encoder(image)[self.plan.first : self.plan.end])
        if self.plan.lone_row:
            levels = [None, *levels]
        elif self.image_level is not None:
            levels = [self.image_level(image), *levels]
        rows = [[level] if level is not None else [] for level in levels]
        for name in self.plan.nodes:
            self._add_node(name, rows)
        if not self.deep_supervision:
            return self.heads[-1](rows[0][-1])
        if self.training:
            return [head(node) for head, node in zip(self.heads, rows[0][1:], strict=True)]
        return mean_of_heads(self.heads, rows[0][1:]) if self.average_heads else self.heads[-1](rows[0][-1])

    def _add_node(self, name: str, rows: list[list[torch.Tensor]]) -> None:
        """Append X(i, j) to its row; ``rows[i + 1]`` holds the node below it."""
        i, j = (int(number) for number in name.split("_"))
        below = rows[i + 1][j - 1]
        mode = self.plan.upsampling
        corners = False if mode == "bilinear" else None
        up = functional.interpolate(below, scale_factor=2, mode=mode, align_corners=corners)
        rows[i].append(self.nodes[name](torch.cat([*rows[i], up], dim=1)))


def _two_convolutions(in_channels: int, out_channels: int) -> TwoConv:
    return TwoConv(2, in_channels, out_channels, act=("RELU", {"inplace": True}), norm="batch", bias=False)
