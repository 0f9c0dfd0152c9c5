"""The registry of network architectures: name and validated options -> module.

A bundle names its architecture and options as data; only what is listed here is ever built, so a
bundle from elsewhere cannot choose which code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import ModelError

if TYPE_CHECKING:
    import torch

#: Largest value of any width or count an option may name: refuses memory bombs in foreign bundles.
LARGEST_WIDTH = 2048
#: Likewise for dilation rates, in pixels, and for the number of blocks of a stage.
LARGEST_RATE, LARGEST_DEPTH = 32, 64


def _class(module: str, name: str) -> Callable[..., torch.nn.Module]:
    """The class ``name`` of ``architectures.<module>``, imported when it is first built: it brings torch and MONAI."""

    def build(**options: Any) -> torch.nn.Module:
        return getattr(import_module(f".architectures.{module}", __package__), name)(**options)

    return build


@dataclass(frozen=True)
class Architecture:
    """How to build a network, and which options it takes (name -> check of the value)."""

    build: Callable[..., Any]
    options: Mapping[str, Callable[[Any], bool]]
    #: Side of the blocks an input's height and width must be multiples of, from the options.
    divisor: Callable[[Mapping[str, Any]], int]


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_WIDTH


def _fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < 1


def _counts(length: int, largest: int = LARGEST_WIDTH) -> Callable[[Any], bool]:
    """Check of a list of ``length`` counts, none above ``largest``."""

    def check(value: Any) -> bool:
        is_list = isinstance(value, (list, tuple)) and len(value) == length
        return is_list and all(_count(count) and count <= largest for count in value)

    return check


def _one_of(*counts: int) -> Callable[[Any], bool]:
    return lambda value: _count(value) and value in counts


def _sixteen_stems(options: Mapping[str, Any]) -> int:
    return 16 * options["stem"]


_EVERY = {"in_channels": _count, "out_channels": _count, "stem": _one_of(1, 2, 4)}

ARCHITECTURES: dict[str, Architecture] = {
    "unet_plus_plus": Architecture(
        build=_class("unet_plus_plus", "StemUNetPlusPlus"),
        options={**_EVERY, "features": _counts(6), "dropout": _fraction},
        divisor=_sixteen_stems,
    ),
    "unet": Architecture(
        build=_class("unet", "StemUNet"),
        options={**_EVERY, "features": _counts(6), "dropout": _fraction},
        divisor=_sixteen_stems,
    ),
    "attention_unet": Architecture(
        build=_class("attention_unet", "StemAttentionUNet"),
        options={**_EVERY, "features": _counts(5), "dropout": _fraction},
        divisor=_sixteen_stems,
    ),
    "scn": Architecture(
        build=_class("scn", "SpatialConfigurationNet"),
        options={**_EVERY, "width": _count, "dropout": _fraction},
        divisor=_sixteen_stems,
    ),
    "flat_net": Architecture(
        build=_class("flat_net", "FlatNet"),
        options={**_EVERY, "width": _count, "rates": _counts(5, LARGEST_RATE)},
        divisor=lambda options: options["stem"],
    ),
    "deeplabv3": Architecture(
        build=_class("deeplabv3", "DeepLabV3"),
        options={
            **_EVERY,
            "width": _count,
            "blocks": _counts(3, LARGEST_DEPTH),
            "output_stride": _one_of(8, 16),
        },
        divisor=lambda options: options["output_stride"],
    ),
}


def find_architecture(name: str, options: Mapping[str, Any]) -> Architecture:
    """The registered architecture ``name``, its ``options`` checked; raises ModelError otherwise."""
    if name not in ARCHITECTURES:
        raise ModelError(
            f"unknown network architecture {name!r}", remedy=f"Known ones: {', '.join(sorted(ARCHITECTURES))}."
        )
    architecture = ARCHITECTURES[name]
    for key, value in options.items():
        if key not in architecture.options or not architecture.options[key](value):
            raise ModelError(f"network option {key}={value!r} is not valid for {name}", remedy="Repair the bundle.")
    return architecture


def build_network(name: str, options: Mapping[str, Any]) -> torch.nn.Module:
    """A new network of architecture ``name``, randomly initialised.

    Raises:
        ModelError: the name is not registered, or an option is unknown or out of range.
    """
    architecture = find_architecture(name, options)
    try:
        return architecture.build(**options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name} cannot be built: {error}", remedy="Repair the bundle's options.") from error
