"""The registry of network architectures: name and validated options -> module.

A bundle names its architecture and options as data; only what is listed here is ever built, so a
foreign bundle cannot choose which code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ModelError

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
    #: Called with (image, known, truth), see ``architectures/landmark_groups.py``; the others with the image.
    guided: bool = False


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_WIDTH


def _fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < 1


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _pixels(value: Any) -> bool:
    """Check of a width in pixels, fractions allowed."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= LARGEST_WIDTH


def _counts(length: int, largest: int = LARGEST_WIDTH) -> Callable[[Any], bool]:
    """Check of a list of ``length`` counts, none above ``largest``."""

    def check(value: Any) -> bool:
        is_list = isinstance(value, (list, tuple)) and len(value) == length
        return is_list and all(_count(count) and count <= largest for count in value)

    return check


def _up_to(length: int) -> Callable[[Any], bool]:
    """Check of a list of 1 to ``length`` counts."""
    return lambda value: any(_counts(n)(value) for n in range(1, length + 1))


def _at_most(largest: int) -> Callable[[Any], bool]:
    """Check of a count that is not above ``largest``."""
    return lambda value: _count(value) and value <= largest


def _anatomies(value: Any) -> bool:
    """Check of the number of anatomies, or of the list of how many landmarks each has."""
    return _at_most(16)(value) or _up_to(16)(value)


def _one_of(*counts: int) -> Callable[[Any], bool]:
    return lambda value: _count(value) and value in counts


def _options_of_another(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _indices(below: int) -> Callable[[Any], bool]:
    """Check of a list of different indices, all smaller than ``below``."""

    def check(value: Any) -> bool:
        is_list = isinstance(value, (list, tuple)) and 0 < len(value) <= below
        return is_list and all(type(i) is int and 0 <= i < below for i in value) and len(set(value)) == len(value)

    return check


def _stems_round_inner(options: Mapping[str, Any]) -> int:
    name, inner = inner_network(options["inner"], options["inner_options"], options["in_channels"], 1)
    return options["stem"] * ARCHITECTURES[name].divisor(inner)


def _sixteen_stems(options: Mapping[str, Any]) -> int:
    return 16 * options["stem"]


def _scn_divisor(options: Mapping[str, Any]) -> int:
    return max(8, options.get("grid", 16)) * options["stem"]


def _hourglass_divisor(options: Mapping[str, Any]) -> int:
    """Smaller grids may be odd: an hourglass of depth 6 needs no image of 64 * stem pixels."""
    return 2 ** min(options["depth"], 4) * options["stem"]


def _among(*names: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in names


_LAYER_KINDS = {
    "norm": _among("batch", "instance"),
    "activation": _among("leaky_relu", "relu", "elu", "prelu"),
    "spatial_dropout": _flag,
}

_EVERY = {"in_channels": _count, "out_channels": _count, "stem": _one_of(1, 2, 4)}

_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x8d")

#: Encoders of ``encoder_unet_plus_plus``: name -> module in ``architectures`` and its class.
ENCODERS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("vgg19", "vgg19_bn"), ("vgg", "VggEncoder")),
    **dict.fromkeys(_RESNETS, ("resnet", "ResNetEncoder")),
    **{f"efficientnet-b{number}": ("efficientnet", "EfficientNetPyramid") for number in range(8)},
}

ARCHITECTURES: dict[str, Architecture] = {
    "unet_plus_plus": Architecture(
        build=_class("unet_plus_plus", "StemUNetPlusPlus"),
        options={
            **_EVERY,
            **_LAYER_KINDS,
            "features": _counts(6),
            "dropout": _fraction,
            "deep_supervision": _flag,
            "average_heads": _flag,
        },
        divisor=_sixteen_stems,
    ),
    "encoder_unet_plus_plus": Architecture(
        build=_class("encoder_unet_plus_plus", "EncoderUNetPlusPlus"),
        options={
            **_EVERY,
            "encoder": _among(*ENCODERS),
            "decoder": _up_to(5),
            "deep_supervision": _flag,
            "average_heads": _flag,
            "form": _among("nested", "segmentation_models"),
        },
        # Of the encoders' coarsest map.
        divisor=lambda options: 32,
    ),
    "unet": Architecture(
        build=_class("unet", "StemUNet"),
        options={**_EVERY, **_LAYER_KINDS, "features": _counts(6), "dropout": _fraction},
        divisor=_sixteen_stems,
    ),
    "attention_unet": Architecture(
        build=_class("attention_unet", "StemAttentionUNet"),
        options={**_EVERY, "features": _counts(5), "dropout": _fraction},
        divisor=_sixteen_stems,
    ),
    "scn": Architecture(
        build=_class("scn", "SpatialConfigurationNet"),
        options={
            **_EVERY,
            "width": _count,
            "dropout": _fraction,
            "grid": _one_of(4, 8, 16, 32),
            "learned_sigma": _pixels,
        },
        divisor=_scn_divisor,
    ),
    "flat_net": Architecture(
        build=_class("flat_net", "FlatNets"),
        options={**_EVERY, "width": _count, "rates": _counts(5, LARGEST_RATE), "networks": _at_most(64)},
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
    "iterative": Architecture(
        build=_class("iterative", "IterativeNetwork"),
        options={
            **_EVERY,
            "inner": lambda value: isinstance(value, str),
            "inner_options": _options_of_another,
            "group_size": _count,
            "order": _indices(LARGEST_WIDTH),
        },
        divisor=_stems_round_inner,
        guided=True,
    ),
    "ntm_unet": Architecture(
        build=_class("ntm_unet", "NtmUNet"),
        options={
            **_EVERY,
            "features": _counts(5),
            "where": lambda value: value in ("level", "skip"),
            "levels": _indices(5),
            "group_size": _count,
            "order": _indices(LARGEST_WIDTH),
            "filters": _at_most(512),
            "grid": _at_most(32),
            "controller": _at_most(1024),
            "memory_rows": _at_most(1024),
            "memory_width": _at_most(1024),
            "heads": _at_most(16),
        },
        divisor=_sixteen_stems,
        guided=True,
    ),
    "gu2net": Architecture(
        build=_class("gu2net", "GU2Net"),
        options={**_EVERY, "features": _counts(5), "width": _at_most(1024), "anatomies": _anatomies},
        divisor=_sixteen_stems,
    ),
    "hourglass": Architecture(
        build=_class("hourglass", "KneelHourglass"),
        options={
            **_EVERY,
            # A quarter of twice the width is the narrowest convolution.
            "width": lambda value: _count(value) and value >= 2,
            "depth": _one_of(*range(1, 9)),
            "sigma": _pixels,
            "dropout": _fraction,
            "align_corners": _flag,
            "mixing_kernel": _one_of(1, 3),
        },
        divisor=_hourglass_divisor,
    ),
    "stacked_hourglass": Architecture(
        build=_class("hourglass", "StackedHourglass"),
        options={
            **_EVERY,
            "width": lambda value: _count(value) and value % 4 == 0,
            "depth": _one_of(*range(1, 9)),
            "stacks": _one_of(*range(2, 17)),
        },
        divisor=_hourglass_divisor,
    ),
    "cascade": Architecture(
        build=_class("cascade", "CoarseToFine"),
        options={
            **_EVERY,
            "features": _counts(6),
            "width": _count,
            "coarse": _one_of(2, 4),
            "crop": lambda value: _count(value) and value % 2 == 0 and value <= 64,
            "dropout": _fraction,
        },
        divisor=lambda options: 16 * options["coarse"] * options["stem"],
    ),
    "t2dl": Architecture(
        build=_class("t2dl", "TwoStage"),
        options={**_EVERY, "width": _count, "stage": _one_of(1, 2), "sigma": _pixels},
        divisor=lambda options: 4 * options["stem"],
    ),
    "search_agent": Architecture(
        build=_class("search_agent", "SearchAgents"),
        options={
            **_EVERY,
            "width": _at_most(128),
            # Two poolings must leave something of a patch.
            "patch": _one_of(*range(5, 66, 2)),
            "levels": _one_of(*range(1, 7)),
            "sigma": _pixels,
        },
        divisor=lambda options: options["stem"] * 2 ** (options["levels"] - 1),
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


def inner_network(
    name: str, options: Mapping[str, Any], in_channels: int, out_channels: int
) -> tuple[str, dict[str, Any]]:
    """Architecture and all options of a network inside another one, which sets channels and stem.

    Raises:
        ModelError: the name is not registered, or its network takes more than an image or outputs something other
            than heatmaps; an option is unknown, out of range, or not its own.
    """
    decided = {"in_channels": in_channels, "out_channels": out_channels, "stem": 1}
    complete = {**options, **decided}
    if taken := sorted(decided.keys() & options.keys()):
        raise ModelError(f"inner_options may not set {taken[0]}", remedy="The network around it does; leave it out.")
    architecture = find_architecture(name, complete)
    # A network that takes a target's sigma outputs coordinates in training, and heatmaps only in evaluation.
    # One that learns the widths of its targets gives them beside its heatmaps in training.
    if architecture.guided or "sigma" in architecture.options or "learned_sigma" in options:
        raise ModelError(f"{name} cannot be the inner network", remedy="Choose one that maps images to heatmaps.")
    return name, complete
