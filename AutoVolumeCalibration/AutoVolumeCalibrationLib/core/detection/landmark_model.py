"""A trained network in memory, with what is needed to run it and to read its heatmaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .peak_uncertainty import PeakUncertainty

if TYPE_CHECKING:
    import torch

    from ..planning.face_uncertainty import Coverage


@dataclass(frozen=True, eq=False)
class LandmarkModel:
    """A network ready to run, with what is needed to feed and to read it.

    Attributes:
        name, sha256: of the bundle and its weights.
        network: in evaluation mode on ``device``; (n, 4, H, W) -> (n, k, H / stem, W / stem).
        device: torch device name.
        names: k landmark names in channel order; mirror: (k,) index of each one's left/right partner.
        pixel_mm: pixel size of the input; stem: how much coarser the heatmaps are.
        sigma_mm, tau_mm: of the targets (see ``heatmaps``).
        divisor, largest_size: an input's sides are multiples of, and at most, so many pixels.
        threshold: a lower peak means that the landmark is not there.
        uncertainty: how far off a peak is.
        sequential: the network may be given landmarks: ``network(image, known)``, with heatmaps (n, k, h, w) of those
            that are known and zeros for the others.
        coverage: what the stated uncertainty of some boxes is worth.
    """

    name: str
    sha256: str
    network: torch.nn.Module
    device: str
    names: tuple[str, ...]
    mirror: np.ndarray
    pixel_mm: float
    output_stride: int
    sigma_mm: float
    tau_mm: float
    divisor: int
    largest_size: int
    threshold: float
    uncertainty: PeakUncertainty
    guided: bool = False
    coverage: tuple[Coverage, ...] = ()

    @property
    def sigma_pixels(self) -> float:
        """Standard deviation of the targets in heatmap pixels."""
        return self.sigma_mm / (self.pixel_mm * self.output_stride)
