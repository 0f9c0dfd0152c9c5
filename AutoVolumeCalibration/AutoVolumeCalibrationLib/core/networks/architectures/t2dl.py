"""T2DL (Zhang et al. 2017, IEEE TIP 26:4753-4764, PMC5729285): displacements from patches, then all points jointly.

Stage 1 learns how far each landmark lies from a patch, which makes thousands of examples of every image. Stage 2
takes its weights and learns further layers on top that see all patches and all landmarks. The paper works on 3D
volumes and ends in fully connected layers for one image size. In this 2D version the patch net is run
convolutionally, and stage 2 ends in a weighted mean of the patches' votes, for any image size.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from .outputs import DisplacementOutput, PointOutput, heatmaps_of
from .point_head import PresenceHead, pixel_positions, spatial_softmax, weighted_mean
from .stem import folding

#: Levels of two 3x3 convolutions, with max pooling in between.
LEVELS = 3
#: Heatmap pixels between the centres of neighbouring patches, and across a patch, the trunk's receptive field.
STEP, PATCH = 2 ** (LEVELS - 1), 32
#: Patches count for a position by a Gaussian of their distance, with this standard deviation in heatmap pixels.
REACH = PATCH / 4
#: Dilation rates of the layers that stage 2 adds.
JOINT_RATES = (1, 2, 4)


def _activated(in_channels: int, out_channels: int, kernel: int, rate: int = 1) -> list[torch.nn.Module]:
    return [
        torch.nn.Conv2d(in_channels, out_channels, kernel, padding=rate * (kernel // 2), dilation=rate, bias=False),
        torch.nn.BatchNorm2d(out_channels),
        torch.nn.ReLU(inplace=True),
    ]


def _trunk(in_channels: int, width: int) -> torch.nn.Sequential:
    """The patch net: (B, in_channels, h, w) -> (B, 8 width, h / STEP, w / STEP), each pixel from a patch of its own."""
    layers: list[torch.nn.Module] = []
    channels = in_channels
    for level in range(LEVELS):
        filters = width * 2**level
        layers += [torch.nn.MaxPool2d(2)] if level else []
        layers += [*_activated(channels, filters, 3), *_activated(filters, filters, 3)]
        channels = filters
    # The fully connected layers of a net that takes one patch at a time.
    layers += [*_activated(channels, 8 * width, 1), *_activated(8 * width, 8 * width, 1)]
    return torch.nn.Sequential(*layers)


class JointLayers(torch.nn.Module):
    """Stage 2's own layers: from all patches' features and displacements, weights and corrections of their votes.

    Shape:
        features (B, channels, h, w), displacements (B, k, 2, h, w) in units of half a patch -> layer's features
        (B, channels, h, w), logarithms of the weights (B, k, h, w), corrections (B, k, 2, h, w) in these units.
    """

    def __init__(self, channels: int, landmarks: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(*_activated(channels + 2 * landmarks, channels, 3, JOINT_RATES[0]))
        for rate in JOINT_RATES[1:]:
            self.layers.extend(_activated(channels, channels, 3, rate))
        self.weights = torch.nn.Conv2d(channels, landmarks, 1)
        self.corrections = torch.nn.Conv2d(channels, 2 * landmarks, 1)

    def forward(self, features: torch.Tensor, displacements: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.layers(torch.cat([features, displacements.flatten(1, 2)], dim=1))
        return features, self.weights(features), self.corrections(features).unflatten(1, (-1, 2))


class TwoStage(torch.nn.Module):
    """The patch net with its displacements (``stage`` 1), and with the joint layers on top (``stage`` 2).

    The parameters of stage 1 have the same names in stage 2. Patches lie every 4 heatmap pixels and are 32 across;
    the votes of the pixels in between are interpolated. With ``width`` 32 and three landmarks stage 1 has 0.4
    million parameters, stage 2 2.2.

    Args:
        in_channels: channels of the input image.
        out_channels: landmarks.
        width: filters n of the first level; the levels have n, 2 n, 4 n, the layers behind 8 n.
        stage: 1 or 2.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        sigma: standard deviation of the heatmaps in evaluation mode, heatmap pixels.

    Shape:
        (B, in_channels, H, W), H and W multiples of 4 * ``stem`` -> (B, out_channels, H / stem, W / stem); in
        training mode a ``DisplacementOutput`` (stage 1), or a list of it and a ``PointOutput`` (stage 2).
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, stage: int, stem: int, sigma: float) -> None:
        super().__init__()
        self.stage, self.sigma = stage, sigma
        self.fold, channels = folding(in_channels, stem)
        self.trunk = _trunk(channels, width)
        self.displacement = torch.nn.Conv2d(8 * width, 2 * out_channels, 1)
        if stage == 2:
            self.joint = JointLayers(8 * width, out_channels)
            self.presence = PresenceHead(8 * width, out_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor | DisplacementOutput | list:
        features, displacements = self._patches(image)
        votes = _votes(displacements)
        size = _heatmap_size(votes)
        if self.stage == 1:
            return _dense(votes) if self.training else vote_heatmaps(votes, size, self.sigma)
        output = self._joint_points(features, displacements, votes)
        return [_dense(votes), output] if self.training else heatmaps_of(output, size, self.sigma)

    def _patches(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B, c, h, w) and displacements (B, k, 2, h, w) of the patches, the latter in half patches."""
        features = self.trunk(self.fold(image))
        return features, self.displacement(features).unflatten(1, (-1, 2))

    def _joint_points(self, features: torch.Tensor, displacements: torch.Tensor, votes: torch.Tensor) -> PointOutput:
        features, weights, corrections = self.joint(features, displacements)
        weights = spatial_softmax(weights)
        points = weighted_mean(weights, votes + PATCH / 2 * corrections.float())
        return PointOutput(points, self.presence(features, weights))


def vote_heatmaps(votes: torch.Tensor, size: tuple[int, int], sigma: float) -> torch.Tensor:
    """Share of the patches around a position that vote for it: the kernel density of the votes, (B, k, *size) in 0..1.

    Every patch counts for a position by a Gaussian of its distance from there (``REACH``), and agrees with it by a
    Gaussian of the distance of its vote (``sigma``). Where all agree the heatmap is the Gaussian of a target at full
    height; patches that contradict each other, or show nothing familiar, leave it low: that is the presence.

    Args:
        votes: (B, k, 2, h, w) heatmap pixels (row, column) that the patches, every ``STEP`` pixels, vote for.
        size: (height, width) of the heatmaps.
        sigma: heatmap pixels.
    """
    patches = pixel_positions(votes.shape[3:], votes.device, STEP).flatten(1)
    votes = votes.float().flatten(3)
    near, agreeing = [], []
    for axis, length in enumerate(size):
        positions = torch.arange(length, device=votes.device, dtype=torch.float32)[:, None]
        near.append(_gaussian(patches[axis] - positions, REACH))
        agreeing.append(near[axis] * _gaussian(votes[:, :, axis, None] - positions, sigma))
    with torch.autocast(votes.device.type, enabled=False):
        return agreeing[0] @ agreeing[1].transpose(2, 3) / (near[0] @ near[1].T)


def _votes(displacements: torch.Tensor) -> torch.Tensor:
    """(B, k, 2, h, w) float32 heatmap pixels that patches vote for, from displacements in half patches."""
    return pixel_positions(displacements.shape[3:], displacements.device, STEP) + PATCH / 2 * displacements.float()


def _heatmap_size(votes: torch.Tensor) -> tuple[int, int]:
    """(height, width) of the heatmaps, from votes (B, k, 2, h, w) of the patches."""
    return STEP * votes.shape[3], STEP * votes.shape[4]


def _dense(votes: torch.Tensor) -> DisplacementOutput:
    """Displacements from every heatmap pixel, its vote interpolated from those of the patches around it."""
    dense = functional.interpolate(votes.flatten(1, 2), scale_factor=STEP, mode="bilinear", align_corners=False)
    return DisplacementOutput(dense.unflatten(1, (-1, 2)) - pixel_positions(dense.shape[2:], dense.device))


def _gaussian(distances: torch.Tensor, sigma: float) -> torch.Tensor:
    return torch.exp(-(distances**2) / (2 * sigma**2))
