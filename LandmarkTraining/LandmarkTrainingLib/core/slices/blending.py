"""Regularisation of finished batches: slices blended with each other, and squares of them blanked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .targets import Targets

#: Both parameters of the Beta distribution of the blend, as in KNEEL (Tiulpin et al. 2019, arXiv:1907.12237).
MIXUP_ALPHA = 0.75


@dataclass(frozen=True, eq=False)
class Blend:
    """What the slices of a batch were blended with.

    Attributes:
        other: targets of the slice that each was blended with.
        own: (b,) weight of the slice itself, 0..1.
    """

    other: Targets
    own: torch.Tensor

    def with_own(self, targets: Targets) -> Targets:
        """2 b targets: those of the slices, then those of their partners, ``known`` times their weights in the blend.

        The loss of the blended slices against these is the blend of their losses against both.
        """
        pairs = zip(vars(targets).values(), vars(self.other).values(), strict=True)
        heatmaps, points, peak_values, known = (torch.cat(pair) for pair in pairs)
        weights = torch.cat([self.own, 1 - self.own])
        return Targets(heatmaps, points, peak_values, known * weights[:, None])

    def to(self, device: torch.device) -> Blend:
        """The same on a device."""
        return Blend(self.other.to(device), self.own.to(device))


def mixup_losses_batch(
    images: torch.Tensor,
    planes: torch.Tensor,
    targets: Targets,
    rng: np.random.Generator,
    share: float = 1.0,
    alpha: float = MIXUP_ALPHA,
) -> tuple[torch.Tensor, Blend]:
    """Blend the images as :func:`mixup_batch` does, and leave the targets apart, for a blend of the losses (KNEEL).

    The loss of the blended image against the targets of both slices is blended with the images' weights. The authors'
    code draws one weight for a batch, and takes the first loss on the image before it is blended, at twice the time.
    """
    partner, own = _draw(images, planes, rng, share, alpha)
    other = Targets(*(tensor[partner] for tensor in vars(targets).values()))
    return _blend(images, images[partner], own), Blend(other, own)


def mixup_batch(
    images: torch.Tensor,
    planes: torch.Tensor,
    targets: Targets,
    rng: np.random.Generator,
    share: float = 1.0,
    alpha: float = MIXUP_ALPHA,
) -> tuple[torch.Tensor, Targets]:
    """Blend slices with another one of the same plane in the batch: mixup (Zhang et al. 2018, arXiv:1710.09412).

    Heatmaps and heights are blended like the images. A blended point is the centre of mass of the blended heatmap,
    the output of a spatial soft-argmax. A landmark is known where it is in both slices.

    Args:
        images: (b, H, W); planes: (b,) index into PLANES.
        share: how many of the slices are blended.
        alpha: the weight of the slice itself is drawn from Beta(alpha, alpha).
    """
    partner, own = _draw(images, planes, rng, share, alpha)
    return _blend(images, images[partner], own), _blended_targets(targets, partner, own)


def _draw(
    images: torch.Tensor, planes: torch.Tensor, rng: np.random.Generator, share: float, alpha: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(b,) number of each slice's partner, and (b,) weight of the slice itself."""
    partner = torch.from_numpy(_partners(planes.cpu().numpy(), rng)).to(images.device)
    weight = np.where(rng.random(len(images)) < share, rng.beta(alpha, alpha, len(images)), 1.0)
    own = torch.from_numpy(weight).float().to(images.device)
    return partner, torch.where(partner == torch.arange(len(images), device=images.device), 1.0, own)


def cut_out(images: torch.Tensor, share: float, rng: np.random.Generator, chance: float = 1.0) -> torch.Tensor:
    """A copy of ``images`` (b, H, W), some with a square of ``share`` of their pixels set to the background.

    Landmarks under the square stay: the rest of the head determines their positions (cutout, DeVries and Taylor 2017,
    arXiv:1708.04552). A side of 10 % is a share of 0.01.

    Args:
        chance: of each image to have a square.
    """
    height, width = images.shape[-2:]
    side = min(height, width, round((share * height * width) ** 0.5))
    rows, columns = (rng.integers(0, n - side + 1, len(images)) for n in (height, width))
    result = images.clone()
    hit = rng.random(len(images)) < chance if chance < 1 else np.full(len(images), True)
    for index in np.flatnonzero(hit):
        row, column = rows[index], columns[index]
        result[index, row : row + side, column : column + side] = 0
    return result


def _partners(planes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(b,) number of another slice of the same plane; its own where a slice is the only one of its plane."""
    partner = np.arange(len(planes))
    for plane in np.unique(planes):
        shuffled = rng.permutation(np.flatnonzero(planes == plane))
        partner[shuffled] = np.roll(shuffled, 1)
    return partner


def _blended_targets(targets: Targets, partner: torch.Tensor, own: torch.Tensor) -> Targets:
    """Targets of slices of weight ``own`` (b,) blended with those numbered ``partner`` (b,)."""
    other = Targets(*(tensor[partner] for tensor in vars(targets).values()))
    peak_values = _blend(targets.peak_values, other.peak_values, own)
    # A Gaussian's mass goes with its height; where both are 0, a point only has to stay between the two.
    weight = own[:, None].expand_as(peak_values)
    weight = torch.where(peak_values > 0, weight * targets.peak_values / peak_values.clamp_min(1e-12), weight)
    untouched = (own == 1)[:, None]
    points = torch.lerp(other.points, targets.points, weight[..., None])
    return Targets(
        _blend(targets.heatmaps, other.heatmaps, own),
        torch.where(untouched[..., None], targets.points, points),
        peak_values,
        targets.known & (other.known | untouched),
    )


def _blend(one: torch.Tensor, other: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``weight * one + (1 - weight) * other`` of tensors (b, ...) with weights (b,)."""
    weight = weight.view(-1, *[1] * (one.dim() - 1))
    return weight * one + (1 - weight) * other
