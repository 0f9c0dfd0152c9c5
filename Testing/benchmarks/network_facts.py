"""Parameters of the networks at their published sizes, and how far one heatmap pixel sees.

Run: ``python Testing/benchmarks/network_facts.py``. The field is measured by the gradient of the middle heatmap pixel
on a random image, in training mode without dropout; it does not depend on the width, so narrow networks tell it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.networks.registry import build_network  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402

CHANNELS = {"in_channels": 4, "out_channels": 3}
SIDE = 384
DEEP = [64, 128, 256, 512, 1024]
MACHINE = {"filters": 4, "grid": 4, "controller": 4, "memory_rows": 4, "memory_width": 4, "heads": 1}
PUBLISHED_MACHINE = {
    "filters": 64,
    "grid": 16,
    "controller": 256,
    "memory_rows": 64,
    "memory_width": 256,
    "heads": 3,
}
#: The decoder of segmentation_models, finest row first.
LIBRARY = {"decoder": [16, 32, 64, 128, 256], "form": "segmentation_models"}
RESNET = {"encoder": "resnet18", **LIBRARY, "decoder": [4] * 5, "stem": 1}

#: Name -> (architecture, published options, narrow options or what it sees in words).
NETWORKS = {
    "U-Net++": ("unet_plus_plus", {"features": [32, 64, 128, 256, 512, 32]}, {"features": [4] * 6}),
    "U-Net++ on VGG19": (
        "encoder_unet_plus_plus",
        {"encoder": "vgg19", **LIBRARY},
        {"encoder": "vgg19", **LIBRARY, "decoder": [4] * 5},
    ),
    "U-Net++ on ResNeXt101": (
        "encoder_unet_plus_plus",
        {"encoder": "resnext101_32x8d", **LIBRARY},
        RESNET,
    ),
    "U-Net++ on EfficientNet-B7": (
        "encoder_unet_plus_plus",
        {"encoder": "efficientnet-b7", **LIBRARY},
        RESNET,
    ),
    "U-Net": ("unet", {"features": [*DEEP, 64]}, {"features": [4] * 6}),
    "attention U-Net": ("attention_unet", {"features": DEEP}, {"features": [4] * 5}),
    "DeepLabV3 (ResNet-50)": (
        "deeplabv3",
        {"width": 64, "blocks": [3, 4, 6], "output_stride": 16},
        {"width": 4, "blocks": [3, 4, 6], "output_stride": 16},
    ),
    "hourglass (KNEEL)": (
        "hourglass",
        {"width": 24, "depth": 6, "sigma": 1.0, "stem": 4},
        {"width": 4, "depth": 6, "sigma": 1.0, "stem": 4, "dropout": 0.0},
    ),
    "stacked hourglass": (
        "stacked_hourglass",
        {"width": 256, "depth": 4, "stacks": 2, "stem": 4},
        {"width": 8, "depth": 4, "stacks": 2, "stem": 4},
    ),
    "Flat-net": ("flat_net", {"width": 32}, {"width": 8}),
    "SCN": ("scn", {"width": 128}, {"width": 4, "dropout": 0.0}),
    "GU2Net": (
        "gu2net",
        {"features": [64, 128, 256, 512, 512], "width": 128},
        {"features": [4] * 5, "width": 4},
    ),
    "iterative U-Net++": (
        "iterative",
        {"inner": "unet_plus_plus", "inner_options": {"features": [32, 64, 128, 256, 512, 32]}, "group_size": 1},
        {"inner": "unet_plus_plus", "inner_options": {"features": [4] * 6}, "group_size": 3},
    ),
    "NTM U-Net": (
        "ntm_unet",
        {"features": DEEP, "where": "skip", "levels": [0, 2], "group_size": 1, **PUBLISHED_MACHINE},
        {"features": [4] * 5, "where": "skip", "levels": [0, 2], "group_size": 3, **MACHINE},
    ),
    "cascade": (
        "cascade",
        {"features": [32, 32, 64, 128, 256, 32], "width": 32, "coarse": 4, "crop": 32},
        "a crop, chosen on the whole image",
    ),
    "T2DL": ("t2dl", {"width": 32, "stage": 2, "sigma": 1.0}, {"width": 4, "stage": 2, "sigma": 1.0}),
    "search agents": (
        "search_agent",
        {"width": 16, "patch": 21, "levels": 5, "sigma": 1.0},
        "a patch at each step of a walk over the image",
    ),
}


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rows = []
    for name, (architecture, published, narrow) in NETWORKS.items():
        with torch.device("meta"):
            network = build_network(architecture, {**CHANNELS, "stem": 1, **published})
        millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        rows.append([name, f"{millions:.1f}", field(architecture, narrow)])
    print(markdown_table(["network", "parameters, M", "one heatmap pixel sees"], rows))


def field(architecture: str, narrow: dict | str) -> str:
    """What one heatmap pixel sees, in words: stated where no gradient shows it (choice of crops, walks)."""
    if isinstance(narrow, str):
        return narrow
    across = seen_across(build_network(architecture, {**CHANNELS, "stem": 1, **narrow}).eval())
    return "the whole image" if across >= SIDE - 1 else f"{across} pixels"


def seen_across(network: torch.nn.Module) -> int:
    """Pixels across that the middle heatmap pixel of the first landmark depends on."""
    image = torch.randn(1, 4, SIDE, SIDE, requires_grad=True)
    heatmaps = network(image)
    middle = heatmaps.shape[-1] // 2
    heatmaps[0, 0, middle, middle].backward()
    reached = np.flatnonzero((image.grad[0].abs().sum(0) > 0).any(0).numpy())
    return int(reached[-1] - reached[0] + 1) if len(reached) else 0


if __name__ == "__main__":
    main()
