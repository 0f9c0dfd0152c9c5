"""EfficientNet (Tan and Le 2019, arXiv:1905.11946) by MONAI as an encoder."""

from __future__ import annotations

from monai.networks.nets import EfficientNetBNFeatures, EfficientNetEncoder

from .encoders import Encoder


class EfficientNetPyramid(EfficientNetBNFeatures, Encoder):
    """MONAI's ``EfficientNetBNFeatures`` without the layers that only its classifier uses.

    Args:
        name: ``efficientnet-b0`` to ``efficientnet-b7``.
        in_channels: channels of the input image; published: 3.

    Attributes:
        widths, strides: channels of the five feature maps, and how much coarser than the image each is.

    Shape:
        (B, in_channels, H, W), H and W multiples of 32 -> five maps (B, widths[i], H / strides[i], W / strides[i]).
    """

    strides = (2, 4, 8, 16, 32)

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__(name, pretrained=False, in_channels=in_channels)
        self.widths = EfficientNetEncoder.num_channels_per_output()[int(name[-1])]
        # Parameters that no gradient reaches would stop training on several devices.
        del self._conv_head, self._conv_head_padding, self._bn1, self._avg_pooling, self._dropout, self._fc
