"""Encoders by name: networks that give feature maps of an image at five resolutions, finest first."""

from __future__ import annotations

from importlib import import_module

import torch

from ..registry import ENCODERS


def build_encoder(name: str, in_channels: int) -> torch.nn.Module:
    """A new encoder, randomly initialised. Every one has ``widths`` and ``strides``.

    Raises:
        ValueError: unknown name.
    """
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}, known ones: {', '.join(ENCODERS)}")
    module, kind = ENCODERS[name]
    encoder: torch.nn.Module = getattr(import_module(f".{module}", __package__), kind)(name, in_channels)
    return encoder
