"""Norms, activations and dropout by name, for the networks built of MONAI's blocks.

The defaults (batch norm, leaky ReLU of slope 0.1, dropout of single values) are those of every earlier model.
"""

from __future__ import annotations

from typing import Any

import torch

#: "instance": statistics of each image and channel, in evaluation too; with a scale and shift like batch norm.
BATCH, INSTANCE = NORMS = ("batch", "instance")
LEAKY_RELU, RELU, ELU, PRELU = ACTIVATIONS = ("leaky_relu", "relu", "elu", "prelu")

#: Name -> MONAI's name and arguments.
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    LEAKY_RELU: ("LeakyReLU", {"inplace": True, "negative_slope": 0.1}),
    RELU: ("RELU", {"inplace": True}),
    ELU: ("ELU", {"inplace": True}),
    # One slope for all channels, learnt, 0.25 at first (He et al. 2015).
    PRELU: ("PRELU", {}),
}


def activation_of(name: str) -> tuple[str, dict[str, Any]]:
    """MONAI's description of the activation ``name``, one of ACTIVATIONS."""
    return _ACTIVATIONS[name]


def norm_of(name: str) -> str | tuple[str, dict[str, Any]]:
    """MONAI's description of the norm ``name``, one of NORMS."""
    return ("instance", {"affine": True}) if name == INSTANCE else name


def drop_whole_maps(network: torch.nn.Module) -> None:
    """Make every dropout of ``network`` drop whole maps (spatial dropout, Tompson et al. 2015, arXiv:1411.4280)."""
    for parent in network.modules():
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.Dropout):
                setattr(parent, name, torch.nn.Dropout2d(layer.p))
