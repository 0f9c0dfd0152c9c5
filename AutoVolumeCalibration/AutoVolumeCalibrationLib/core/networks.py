"""The registry of network architectures: name and validated options -> module.

A bundle names its architecture and options as data; only what is listed here is ever built, so a
bundle from elsewhere cannot choose which code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ModelError

if TYPE_CHECKING:
    import torch

#: Largest value of any width or count an option may name: refuses memory bombs in foreign bundles.
LARGEST_WIDTH = 2048


def _unet_plus_plus(**options: Any) -> torch.nn.Module:
    from .architectures.unet_plus_plus import StemUNetPlusPlus

    return StemUNetPlusPlus(**options)


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


def _six_widths(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 6 and all(_count(width) for width in value)


ARCHITECTURES: dict[str, Architecture] = {
    "unet_plus_plus": Architecture(
        build=_unet_plus_plus,
        options={
            "in_channels": _count,
            "out_channels": _count,
            "features": _six_widths,
            "stem": lambda value: _count(value) and value in (1, 2, 4),
            "dropout": _fraction,
        },
        divisor=lambda options: 16 * options["stem"],
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
