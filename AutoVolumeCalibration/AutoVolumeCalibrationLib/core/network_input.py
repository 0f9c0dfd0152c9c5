"""What the network sees of a slice: scaled intensities and the plane it is of. Shared by training and inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .coordinates import PLANES

if TYPE_CHECKING:
    import torch

#: Percentiles of a slice's own pixels that become 0 and 1, and the cap above.
LOW_PERCENTILE, HIGH_PERCENTILE, CAP = 1.0, 99.5, 1.2

#: Image plus one indicator per plane.
IN_CHANNELS = 1 + len(PLANES)

#: Largest side of an image in pixels; a wider field of view is seen coarser.
LARGEST_SIZE = 192


def encode_slices(images: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    """Network input (n, 4, H, W) from images (n, H, W) in 0..CAP and plane indices (n,) int64.

    Channel 0 is ``2 * image - 1``; channels 1-3 tell sagittal, coronal, axial.
    """
    import torch

    indicators = torch.nn.functional.one_hot(planes, len(PLANES)).to(images.dtype)
    spread = indicators[:, :, None, None].expand(-1, -1, *images.shape[-2:])
    return torch.cat([images[:, None] * 2 - 1, spread], dim=1)
