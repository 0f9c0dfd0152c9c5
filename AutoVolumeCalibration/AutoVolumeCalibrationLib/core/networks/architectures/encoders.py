"""The encoders a decoder can be put on, by name: feature maps of an image at five resolutions, finest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from . import efficientnet, resnet, vgg

#: Name -> class, which takes the name and the channels of the image. Every one has ``widths`` and ``strides``.
ENCODERS: Mapping[str, Any] = {
    **dict.fromkeys(vgg.NAMES, vgg.VggEncoder),
    **dict.fromkeys(resnet.NAMES, resnet.ResNetEncoder),
    **dict.fromkeys(efficientnet.NAMES, efficientnet.EfficientNetPyramid),
}


def build_encoder(name: str, in_channels: int) -> torch.nn.Module:
    """A new encoder, randomly initialised.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}, known ones: {', '.join(ENCODERS)}")
    return ENCODERS[name](name, in_channels)
