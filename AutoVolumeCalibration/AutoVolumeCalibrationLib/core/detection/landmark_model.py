"""A trained network in memory, with what is needed to run it and to read its heatmaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from .backends.onnx_network import OnnxNetwork
from .model_limits import ModelLimits
from .peak_uncertainty import PeakUncertainty
from .sagittal_pairs import MIDDLE

if TYPE_CHECKING:
    import torch

    from ..planning.face_uncertainty import Coverage
    from ..planning.risk.model import RiskModel


@dataclass(frozen=True, eq=False)
class LandmarkModel:
    """A network ready to run, with what is needed to feed and to read it.

    Attributes:
        name, sha256: of the bundle and its weights.
        network: (n, 4, H, W) -> heatmaps (n, k, H / s, W / s), s: output_stride; a module of PyTorch in evaluation
            mode on ``device``, or a graph in ONNX Runtime.
        device: "cpu", or another name of a torch device.
        names: k landmark names in channel order; mirror: (k,) index of each one's left/right partner.
        pixel_mm: pixel size of the input; output_stride: how much coarser the heatmaps are.
        sigma_mm, tau_mm: of the targets (see ``heatmaps``).
        sagittal_pairs: what a left/right pair is on sagittal slices, MIDDLE or NEAREST (``sagittal_pairs``).
        divisor, largest_size: an input's sides are multiples of, and at most, so many pixels.
        threshold: a lower peak means that the landmark is not visible.
        uncertainty: calibrated standard deviations of the peaks.
        guided: the network takes known landmarks as input: ``network(image, known)``, with heatmaps (n, k, h, w) of
            those and zeros for the others.
        coverage: measured coverage of the stated uncertainty, of some boxes.
        limits: of what the model shows, beyond which a plan or an orientation is in doubt.
        risk: how probable it is that a plan is wrong, None where it was not measured.
    """

    name: str
    sha256: str
    network: torch.nn.Module | OnnxNetwork
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
    sagittal_pairs: str = MIDDLE
    coverage: tuple[Coverage, ...] = ()
    limits: ModelLimits = ModelLimits()
    risk: RiskModel | None = None

    @property
    def sigma_pixels(self) -> float:
        """Standard deviation of the targets in heatmap pixels."""
        return self.sigma_mm / (self.pixel_mm * self.output_stride)

    @property
    def backend(self) -> str:
        """What runs the network: "torch" or "onnx"."""
        return "onnx" if isinstance(self.network, OnnxNetwork) else "torch"

    @property
    def torch_network(self) -> torch.nn.Module:
        """The network as a module of PyTorch; UsageError where ONNX Runtime runs it."""
        if isinstance(self.network, OnnxNetwork):
            raise UsageError("needs the network in PyTorch", source=self.name, remedy="Choose the backend torch.")
        return self.network
