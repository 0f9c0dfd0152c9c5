"""Encoders by name: networks that give feature maps of an image at five or six resolutions, finest first."""

from __future__ import annotations

from importlib import import_module

import torch

from ..registry import ENCODERS


class Encoder(torch.nn.Module):
    """What all encoders have in common.

    Attributes:
        widths, strides: channels of the feature maps, and how much coarser than the image each is.
        coarsest_is_pooled: the last map is the one before it, pooled: a decoder may do without it.
    """

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    coarsest_is_pooled = False


def build_encoder(name: str, in_channels: int) -> Encoder:
    """A new encoder, randomly initialised.

    Raises:
        ValueError: unknown name.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}, known ones: {', '.join(ENCODERS)}")
    module, kind = ENCODERS[name]
    encoder: Encoder = getattr(import_module(f".{module}", __package__), kind)(name, in_channels)
    return encoder
