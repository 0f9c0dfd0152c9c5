"""One batch of slices through a model's network, whatever runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import ModelError
from .onnx_network import OnnxNetwork
from .torch_network import run_module

if TYPE_CHECKING:
    from ..landmark_model import LandmarkModel


def run_network(model: LandmarkModel, images: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """(n, k, h, w) float32 heatmaps.

    Args:
        images: (n, 4, H, W) as ``network_input.encode_slices`` makes them.
        known: (n, k, h, w) guidance of a guided model, zeros where a landmark is not known.

    Raises:
        ModelError: the device has too little memory, or lacks an operation.
    """
    if isinstance(model.network, OnnxNetwork):
        return model.network.run(images, known)
    try:
        return run_module(model.network, model.device, images, known)
    except RuntimeError as error:  # of torch, which has no other common base
        reason = str(error).partition("\n")[0][:200]
        remedy = "Free memory, or choose" if model.device == "cpu" else "Choose the device cpu, or"
        raise ModelError(
            f"failed on device {model.device} ({reason})", source=model.name, remedy=f"{remedy} another model."
        ) from error
