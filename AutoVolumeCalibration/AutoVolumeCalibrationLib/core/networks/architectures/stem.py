"""The space-to-depth stem that the networks with a full-resolution grid share."""

from __future__ import annotations

import torch


def folding(in_channels: int, stem: int) -> tuple[torch.nn.PixelUnshuffle, int]:
    """A layer that folds blocks of ``stem`` x ``stem`` pixels into channels, and how many channels come out.

    The finest grid holds nearly all the cost of these networks; folding divides it by ``stem``**2 and
    loses no pixel. 1 leaves the image as it is.
    """
    return torch.nn.PixelUnshuffle(stem), in_channels * stem**2
