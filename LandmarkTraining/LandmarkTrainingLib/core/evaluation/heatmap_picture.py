"""A picture of a network's heatmaps overlaid on their slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, to_image_pixels
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path
from AutoVolumeCalibrationLib.core.report.style import BACKGROUND, FONT, GREY, TEXT

from ..slices.targets import TargetSettings

_PER_ROW = 6
_PANEL_INCHES, _TITLE_INCHES, _DPI = 2.0, 0.4, 100
#: Largest opacity of a heatmap over the slice.
_STRONGEST = 0.75


@torch.no_grad()
def heatmap_picture(
    network: torch.nn.Module,
    image: torch.Tensor,
    targets: TargetSettings,
    names: Sequence[str],
    path: Path,
    *,
    threshold: float = 0.0,
    title: str = "",
) -> None:
    """One panel per landmark as a PNG: the slice, its heatmap (0..1) in colour, a cross at the peak, the peak's height.

    Args:
        network: left in evaluation mode.
        image: (4, H, W) as the network sees it (``network_input.encode_slices``), on the network's device.
        names: k landmark names.
        threshold: a lower peak has no cross, and its name is grey.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heatmaps = network.eval()(image[None]).float().cpu()
    peaks = decode_peaks(heatmaps, targets.sigma_pixels)
    positions = to_image_pixels(peaks.positions[0], targets.stem)
    rows = -(-len(names) // _PER_ROW)
    size = (_PER_ROW * _PANEL_INCHES, rows * (_PANEL_INCHES + _TITLE_INCHES / 2) + _TITLE_INCHES)
    figure = Figure(figsize=size, dpi=_DPI, facecolor=BACKGROUND)
    style: dict[str, Any] = {"color": TEXT, "family": FONT, "fontsize": 12, "weight": "bold"}
    figure.text(0.01, 1 - _TITLE_INCHES / 2 / size[1], title, va="center", **style)
    top = 1 - (_TITLE_INCHES + 0.15) / size[1]
    layout = {"left": 0.005, "right": 0.995, "bottom": 0.005, "top": top, "wspace": 0.03, "hspace": 0.12}
    panels = list(figure.subplots(rows, _PER_ROW, squeeze=False, gridspec_kw=layout).flat)
    for axes in panels:
        axes.set_axis_off()
    # The scale of the input is 2 * image - 1 with the image in 0..1.2.
    slice_image, heat = image[0].float().cpu().numpy(), heatmaps[0].clamp(0, 1).numpy()
    height, width = slice_image.shape
    for axes, name, heatmap, position, peak in zip(panels, names, heat, positions, peaks.peak_values[0], strict=False):
        found = peak >= threshold
        axes.imshow(slice_image, cmap="gray", vmin=-1, vmax=1.4, origin="lower")
        extent = (-0.5, width - 0.5, -0.5, height - 0.5)
        strength = _STRONGEST * np.sqrt(heatmap)
        axes.imshow(heatmap, cmap="inferno", vmin=0, vmax=1, origin="lower", extent=extent, alpha=strength)
        if found:
            axes.plot(position[1], position[0], "+", color=TEXT, markersize=7, markeredgewidth=1.0)
        axes.set_title(f"{name} {peak:.2f}", color=TEXT if found else GREY, family=FONT, fontsize=8, pad=2)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
