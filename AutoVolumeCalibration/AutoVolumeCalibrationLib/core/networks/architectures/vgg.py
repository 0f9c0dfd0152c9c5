"""VGG-19 (Simonyan and Zisserman 2015, arXiv:1409.1556) as an encoder."""

from __future__ import annotations

import torch

from .encoders import Encoder

#: Configuration E of the paper: (3x3 convolutions, filters) of the five blocks between the poolings.
BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
#: Encoder -> whether batch norm follows its convolutions.
BATCH_NORM = {"vgg19": False, "vgg19_bn": True}


class VggEncoder(Encoder):
    """The maps of VGG-19 before each pooling, and the last one pooled.

    The parameters are named as in torchvision's checkpoints (``features.0.weight``).

    Args:
        name: one of ``BATCH_NORM``.
        in_channels: channels of the input image; published: 3.

    Attributes:
        widths, strides: channels of the six feature maps, and how much coarser than the image each is.

    Shape:
        (B, in_channels, H, W), H and W multiples of 32 -> six maps (B, widths[i], H / strides[i], W / strides[i]).
    """

    widths = (*(filters for _, filters in BLOCKS), BLOCKS[-1][1])
    strides = (1, 2, 4, 8, 16, 32)
    coarsest_is_pooled = True

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for convolutions, filters in BLOCKS:
            # A pooling layer takes a number in the names of the parameters after it.
            for _ in range(convolutions):
                layers.append(torch.nn.Conv2d(in_channels, filters, 3, padding=1))
                layers += [torch.nn.BatchNorm2d(filters)] if BATCH_NORM[name] else []
                layers.append(torch.nn.ReLU(inplace=True))
                in_channels = filters
            layers.append(torch.nn.MaxPool2d(2))
        self.features = torch.nn.Sequential(*layers)
        for layer in self.features:
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    torch.nn.init.zeros_(layer.bias)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        finer, features = [], image
        for layer in self.features:
            if isinstance(layer, torch.nn.MaxPool2d):
                finer.append(features)
            features = layer(features)
        return [*finer, features]
