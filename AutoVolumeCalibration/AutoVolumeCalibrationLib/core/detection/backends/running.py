"""One batch of slices through a model's network, whatever runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .onnx_network import OnnxNetwork
from .torch_network import run_module

if TYPE_CHECKING:
    from ..landmark_model import LandmarkModel


def run_network(model: LandmarkModel, images: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """(n, k, h, w) float32 heatmaps.

    Args:
        images: (n, 4, H, W) as ``network_input.encode_slices`` makes them.
        known: (n, k, h, w) guidance of a guided model, zeros where a landmark is not known.
    """
    if isinstance(model.network, OnnxNetwork):
        return model.network.run(images, known)
    return run_module(model.network, model.device, images, known)
