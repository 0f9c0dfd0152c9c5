"""Pictures of a network in training: its predictions, its first kernels, its feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.report.style import BACKGROUND, EXPECTED, FONT, GREY, LEVEL_COLOURS, TEXT

from ..simulator.render import SliceBatch
from ..slices.targets import TargetSettings
from .validation import NEAR_MM, peaks_of_batch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of every picture in pixels.
WIDTH_PX = 1200
_DPI = 100
#: Height of a line of text above an image, pixels.
_LINE_PX = 30
#: Slices shown of each plane.
SLICES_PER_PLANE = 2
#: Errors up to the first are good, beyond the second bad, mm; bad points are named, at most so many a slice.
GOOD_MM, BAD_MM, _MOST_NAMES = 2.0, 4.0, 5
#: Feature maps shown, at most, and how many stand in a row.
MOST_MAPS, _MAPS_PER_ROW = 48, 8
#: Percentiles of a map that get the darkest and the brightest colour: padding makes the border stand out.
_MAP_PERCENTILES = (1.0, 99.0)

_CHANNELS = ("image", *PLANES)


def prediction_picture(
    network: torch.nn.Module,
    batch: SliceBatch,
    targets: TargetSettings,
    names: Sequence[str],
    path: Path,
    *,
    device: torch.device | None = None,
    title: str = "",
) -> None:
    """A few slices of ``batch`` with the true landmarks near them and the network's peaks, as a PNG.

    Of each plane the slices with the most landmarks near them, always the same ones of a batch.

    Args:
        network: left in evaluation mode.
        names: k landmark names.
        title: e.g. the step, put before the errors of the whole batch.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    error, _, _ = peaks_of_batch(network, batch, targets, device or torch.device("cpu"))
    near = (batch.visible & (batch.depths_mm.abs() < NEAR_MM)).numpy()
    shown = _slices_to_show(batch.planes.numpy(), near)
    rows = max(map(len, shown))
    side = WIDTH_PX // len(PLANES)
    figure = _figure(rows * (side + _LINE_PX) + 2 * _LINE_PX)
    distance = np.linalg.norm(error, axis=-1)
    _write(figure, 12, 18, " · ".join(filter(None, [title, _words(distance[near])])), size=12, weight="bold")
    for column, indices in enumerate(shown):
        for row, index in enumerate(indices):
            left, top = column * side, _LINE_PX + row * (side + _LINE_PX)
            _write(figure, left + 12, top + 17, f"{PLANES[column]}: {_words(distance[index][near[index]])}")
            axes = _axes(figure, left + 3, top + _LINE_PX, side - 6, side - 6)
            axes.imshow(batch.images[index].numpy(), cmap="gray", vmin=0, vmax=1.2, origin="lower")
            truth, peaks = batch.points[index].numpy(), batch.points[index].numpy() + error[index] / targets.pixel_mm
            _draw_points(axes, truth[near[index]], peaks[near[index]], distance[index][near[index]])
            _name_bad_points(axes, truth, np.where(near[index], distance[index], 0.0), names)
    _draw_legend(figure)
    _save(figure, path)


def kernel_picture(network: torch.nn.Module, path: Path) -> None:
    """The kernels of the first convolution as a PNG: red adds, blue subtracts, dark is the kernel's largest weight.

    One panel per channel of the image, every kernel at the same position in all of them and in the orientation of the
    slices. Kernels on folded blocks of pixels are unfolded, so that they show what each pixel is weighed with.

    Raises:
        UsageError: the network has no 2D convolution, or ``path`` cannot be written.
    """
    kernels = first_kernels(network)
    # A norm follows the convolution in most networks: the scale of a whole kernel means nothing there.
    scaled = kernels / np.abs(kernels).max(axis=(1, 2, 3), keepdims=True).clip(1e-12)
    count, channels, height, width = kernels.shape
    per_row = int(np.ceil(np.sqrt(count)))
    columns = min(channels, 2)
    side = WIDTH_PX // columns
    figure = _figure((side + _LINE_PX) * -(-channels // columns) + _LINE_PX)
    text = f"First convolution: {count} kernels of {height} x {width} pixels, each on its own scale"
    _write(figure, 12, 18, text, size=12, weight="bold")
    for channel in range(channels):
        row, column = divmod(channel, columns)
        left, top = column * side, _LINE_PX + row * (side + _LINE_PX)
        label = _CHANNELS[channel] if channels == len(_CHANNELS) else f"channel {channel}"
        _write(figure, left + 12, top + 17, label)
        axes = _axes(figure, left + 8, top + _LINE_PX, side - 16, side - 16)
        axes.imshow(montage(scaled[:, channel, ::-1], per_row), cmap="RdBu_r", vmin=-1, vmax=1)
    _save(figure, path)


def feature_picture(network: torch.nn.Module, image: torch.Tensor, layer_name: str, path: Path) -> None:
    """A layer's output for an image, as a PNG: the image and the layer's maps that vary most, each on its own scale.

    Args:
        network: left in evaluation mode.
        image: (4, H, W), as the network sees it (see ``network_input.encode_slices``), on the network's device.
        layer_name: of a layer as in ``network.named_modules()``.

    Raises:
        UsageError: the layer does not exist or gives no feature maps, or ``path`` cannot be written.
    """
    maps = _output_of(network, image, layer_name)
    order = np.argsort(-maps.std(axis=(1, 2)), kind="stable")[:MOST_MAPS]
    rows = -(-len(order) // _MAPS_PER_ROW)
    side = WIDTH_PX // (_MAPS_PER_ROW + 2)
    figure = _figure(_LINE_PX + max(rows, 2) * (side + _LINE_PX // 2) + 12)
    _write(figure, 12, 18, _feature_title(layer_name, maps, len(order)), size=12, weight="bold")
    axes = _axes(figure, 6, _LINE_PX + 8, 2 * side - 18, 2 * side - 18)
    axes.imshow(image[0].detach().float().cpu().numpy(), cmap="gray", vmin=-1, vmax=1.4, origin="lower")
    for number, channel in enumerate(order):
        row, column = divmod(number, _MAPS_PER_ROW)
        left, top = (column + 2) * side, _LINE_PX + row * (side + _LINE_PX // 2)
        _write(figure, left + 3, top + 4, str(channel), size=7.5)
        axes = _axes(figure, left + 2, top + _LINE_PX // 2 - 2, side - 4, side - 4)
        low, high = np.percentile(maps[channel], _MAP_PERCENTILES)
        axes.imshow(maps[channel], cmap="viridis", vmin=low, vmax=high, origin="lower")
    _save(figure, path)


def montage(images: np.ndarray, per_row: int) -> np.ndarray:
    """Images (n, h, w) side by side, ``per_row`` in a row, with a frame of NaN a sixth as wide as they are."""
    count, height, width = images.shape
    gap = max(1, width // 6)
    rows = -(-count // per_row)
    sheet = np.full((rows * (height + gap) + gap, per_row * (width + gap) + gap), np.nan)
    for number, image in enumerate(images):
        row, column = divmod(number, per_row)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _slices_to_show(planes: np.ndarray, near: np.ndarray) -> list[list[int]]:
    """Of each plane the indices of the slices with the most landmarks near them, in the order of the batch."""
    result = []
    for plane in range(len(PLANES)):
        of_plane = np.flatnonzero(planes == plane)
        best = of_plane[np.argsort(-near[of_plane].sum(axis=1), kind="stable")]
        result.append(sorted(int(index) for index in best[:SLICES_PER_PLANE]))
    return result


def _words(distance_mm: np.ndarray) -> str:
    if not len(distance_mm):
        return "no landmark near"
    points = f"{len(distance_mm)} point{'s' if len(distance_mm) > 1 else ''}"
    return f"median {np.median(distance_mm):.1f} mm, worst {distance_mm.max():.1f} mm ({points})"


def _level(distance_mm: float) -> str:
    return OK if distance_mm <= GOOD_MM else WARNING if distance_mm <= BAD_MM else ERROR


def _draw_points(axes: Axes, truth: np.ndarray, peaks: np.ndarray, distance_mm: np.ndarray) -> None:
    """True positions (n, 2) as circles, peaks (n, 2) as crosses, (row, column) pixels, a line from one to the other."""
    limits = axes.axis()
    for true, peak, distance in zip(truth, peaks, distance_mm, strict=True):
        level = _level(distance)
        axes.plot([true[1], peak[1]], [true[0], peak[0]], color=LEVEL_COLOURS[level], linewidth=1.0)
        axes.plot(true[1], true[0], **_CIRCLE)
        axes.plot(peak[1], peak[0], **_CROSSES[level])
    axes.axis(limits)


_CIRCLE: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "markeredgecolor": EXPECTED}
#: Level -> its cross; the shape says the same as the colour.
_CROSSES: dict[str, dict[str, Any]] = {
    OK: {"marker": "+", "markersize": 8, "markeredgewidth": 1.8, "color": LEVEL_COLOURS[OK]},
    WARNING: {"marker": "x", "markersize": 6, "markeredgewidth": 1.8, "color": LEVEL_COLOURS[WARNING]},
    ERROR: {"marker": "X", "markersize": 8, "markeredgewidth": 0.0, "color": LEVEL_COLOURS[ERROR]},
}


def _name_bad_points(axes: Axes, truth: np.ndarray, distance_mm: np.ndarray, names: Sequence[str]) -> None:
    """Numbers beside the worst of the points (k, 2), and what they are in the lower left corner."""
    worst = [index for index in np.argsort(-distance_mm, kind="stable") if distance_mm[index] > BAD_MM]
    # On a sagittal slice both points of a left/right pair have the same position and error: they are named once.
    positions = {tuple(truth[index].round(3)): index for index in reversed(worst)}
    named = sorted(positions.values(), key=lambda index: -distance_mm[index])[:_MOST_NAMES]
    style: dict[str, Any] = {"fontsize": 8, "family": FONT, "color": TEXT}
    for number, index in enumerate(named, start=1):
        position = (truth[index, 1], truth[index, 0])
        axes.annotate(str(number), position, xytext=(6, 4), textcoords="offset points", annotation_clip=True, **style)
    lines = [f"{number}  {names[index]} {distance_mm[index]:.0f} mm" for number, index in enumerate(named, start=1)]
    backing = {"facecolor": BACKGROUND, "edgecolor": "none", "alpha": 0.7, "pad": 3}
    if lines:
        axes.text(
            0.015, 0.02, "\n".join(lines), transform=axes.transAxes, va="bottom", bbox=backing, zorder=1.5, **style
        )


def _draw_legend(figure: Figure) -> None:
    height = figure.get_size_inches()[1] * _DPI
    axes = _axes(figure, 0, height - _LINE_PX, WIDTH_PX, _LINE_PX)
    axes.axis((0, WIDTH_PX, 0, _LINE_PX))
    axes.set_axis_off()
    entries = [
        (_CIRCLE, f"truth (within {NEAR_MM:g} mm of the slice)"),
        (_CROSSES[OK], f"prediction, error up to {GOOD_MM:g} mm"),
        (_CROSSES[WARNING], f"up to {BAD_MM:g} mm"),
        (_CROSSES[ERROR], "more"),
    ]
    x = 18.0
    for marker, text in entries:
        axes.plot(x, _LINE_PX / 2, linestyle="none", **marker)
        axes.text(x + 14, _LINE_PX / 2, text, color=GREY, fontsize=9, family=FONT, va="center_baseline")
        x += 60 + 7.2 * len(text)


def first_kernels(network: torch.nn.Module) -> np.ndarray:
    """(n, channels, h, w) weights of the first convolution on pixels of the image."""
    fold = 1
    for layer in network.modules():
        if isinstance(layer, torch.nn.PixelUnshuffle):
            fold *= layer.downscale_factor
        if isinstance(layer, torch.nn.Conv2d):
            # The image's channels come first; a network in groups has the maps of known landmarks after them.
            weight = layer.weight.detach().float().cpu()[:, : IN_CHANNELS * fold**2]
            return functional.pixel_shuffle(weight, fold).numpy()
    raise UsageError(f"{type(network).__name__} has no 2D convolution", remedy="Choose a network that has one.")


@torch.no_grad()
def _output_of(network: torch.nn.Module, image: torch.Tensor, layer_name: str) -> np.ndarray:
    """(channels, h, w) float32 of the named layer."""
    layers = dict(network.named_modules())
    if not layer_name or layer_name not in layers:
        known = [name for name, layer in layers.items() if isinstance(layer, torch.nn.Conv2d)]
        raise UsageError(f"the network has no layer {layer_name!r}", remedy=f"For instance: {', '.join(known[:12])}.")
    outputs: list[Any] = []
    handle = layers[layer_name].register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        network.eval()(image[None])
    finally:
        handle.remove()
    # Of a layer used several times (in an iterative network) the last output is shown.
    output = outputs[-1] if outputs else None
    output = output[-1] if isinstance(output, (list, tuple)) else output
    if not isinstance(output, torch.Tensor) or output.ndim != 4:
        raise UsageError(f"the layer {layer_name} gives no feature maps", remedy="Choose a convolution.")
    return output[0].float().cpu().numpy()


def _feature_title(layer_name: str, maps: np.ndarray, shown: int) -> str:
    count, height, width = maps.shape
    which = f"the {shown} of {count} maps that vary most" if shown < count else f"{count} maps"
    return f"{layer_name}: {which}, {height} x {width} pixels"


def _figure(height_px: int) -> Figure:
    # Without pyplot no figure is kept anywhere once it is written.
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_PX / _DPI, height_px / _DPI), dpi=_DPI, facecolor=BACKGROUND)


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a position in pixels from the picture's top left."""
    total = figure.get_size_inches()[1] * _DPI
    bounds = (left / WIDTH_PX, 1 - (top + height) / total, width / WIDTH_PX, height / total)
    axes = figure.add_axes(bounds, facecolor=BACKGROUND)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def _write(figure: Figure, left: float, top: float, text: str, size: float = 10, **options: str) -> None:
    """Text with its middle line ``top`` pixels below the picture's upper edge."""
    total = figure.get_size_inches()[1] * _DPI
    style: dict[str, Any] = {"color": TEXT, "family": FONT, "va": "center_baseline", **options}
    figure.text(left / WIDTH_PX, 1 - top / total, text, fontsize=size, **style)


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
