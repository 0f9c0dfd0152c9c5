"""Coarse to fine (as Yeh et al. 2021, Scientific Reports 11:7618): a net for the whole image, then one for crops.

The coarse net takes the whole image on a coarse grid and locates the crops; the refining net takes a crop round each
landmark on the grid of the heatmaps. Yeh et al. cascade pyramid networks (Chen et al. 2018, arXiv:1711.07319);
here a U-Net is the coarse net, and all landmarks share one refining net, with an embedding of each landmark.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from .stem import folding
from .unet import StemUNet

#: Dilation rates of the refining net's 3x3 convolutions: the receptive field is 21 pixels.
RATES = (1, 2, 4, 2, 1)
#: In training mode a crop's centre is moved by at most this part of its side, to imitate errors of the coarse net.
JITTER = 0.25


class CropRefiner(torch.nn.Module):
    """Dilated 3x3 convolutions on crops; after the first one every landmark scales and shifts the features its way.

    Shape:
        crops (B, k, channels, s, s) -> (B, k, s, s).
    """

    def __init__(self, channels: int, landmarks: int, width: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.first_norm = torch.nn.BatchNorm2d(width)
        self.embedding = torch.nn.Parameter(0.1 * torch.randn(landmarks, 2, width))
        self.layers = torch.nn.Sequential()
        for rate in RATES[1:]:
            self.layers.append(torch.nn.Conv2d(width, width, 3, padding=rate, dilation=rate, bias=False))
            self.layers.append(torch.nn.BatchNorm2d(width))
            self.layers.append(torch.nn.LeakyReLU(0.1, inplace=True))
        self.head = torch.nn.Conv2d(width, 1, 1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        count = crops.shape[0]
        features = self.first_norm(self.first(crops.flatten(0, 1)))
        scale, shift = self.embedding.repeat(count, 1, 1)[..., None, None].unbind(1)
        features = functional.leaky_relu(features * (1 + scale) + shift, 0.1)
        return self.head(self.layers(features)).unflatten(0, (count, -1)).squeeze(2)


class CoarseToFine(torch.nn.Module):
    """A U-Net on a coarse grid, then for each landmark a refined heatmap round the coarse one's peak.

    The refined heatmaps are zero outside of their crops: a landmark that the coarse net misses is lost.
    Crops lie whole in the image and on whole heatmap pixels, so that nothing is interpolated; their positions
    get no gradient. A usual size (32, 32, 64, 128, 256, 32 and 32) has 2.0 million parameters.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        features: six widths of the coarse U-Net.
        width: filters of the refining net.
        coarse: how much coarser than the heatmaps the coarse grid is.
        crop: side of the crops, heatmap pixels; at most 16 * ``coarse``.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        dropout: dropout probability of the coarse net.

    Shape:
        (B, in_channels, H, W), H and W multiples of 16 * ``coarse`` * ``stem`` -> (B, out_channels, H / stem,
        W / stem); in training mode a list of the coarse heatmaps, interpolated to that grid, and the refined ones.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Sequence[int],
        width: int,
        coarse: int,
        crop: int,
        stem: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if crop > 16 * coarse:
            raise ValueError(f"crop is {crop}, more than the smallest grid of {16 * coarse} pixels")
        self.coarse, self.crop = coarse, crop
        self.fold, channels = folding(in_channels, stem)
        self.look = StemUNet(in_channels, out_channels, features, coarse * stem, dropout)
        self.refine = CropRefiner(channels + 1, out_channels, width)

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        found = self.look(image)
        found = functional.interpolate(found, scale_factor=self.coarse, mode="bilinear", align_corners=False)
        refined = self.refined(self.fold(image), found)
        return [found, refined] if self.training else refined

    def refined(self, folded: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """Refined heatmaps (B, k, h, w) of a ``folded`` image (B, channels, h, w) with coarse ones (B, k, h, w)."""
        rows, columns = self._crops(found.detach())
        slices = torch.arange(len(found), device=found.device)[:, None, None, None]
        landmarks = torch.arange(found.shape[1], device=found.device)[None, :, None, None]
        image = folded.movedim(1, -1)[slices, rows, columns].movedim(-1, 2)
        own = found[slices, landmarks, rows, columns].unsqueeze(2).to(image.dtype)
        crops = self.refine(torch.cat([image, own], dim=2))
        return torch.zeros_like(found, dtype=crops.dtype).index_put((slices, landmarks, rows, columns), crops)

    def _crops(self, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (B, k, s, 1) and columns (B, k, 1, s) of the crops round the peaks of ``found`` (B, k, h, w)."""
        height, width = found.shape[2:]
        best = found.flatten(2).argmax(dim=2)
        centres = torch.stack([best // width, best % width])
        if self.training:
            most = int(JITTER * self.crop)
            centres = centres + torch.randint(-most, most + 1, centres.shape, device=found.device)
        steps = torch.arange(self.crop, device=found.device)
        rows, columns = (
            (centre - self.crop // 2).clamp(0, size - self.crop)[..., None] + steps
            for centre, size in zip(centres, (height, width), strict=True)
        )
        return rows[..., :, None], columns[..., None, :]
