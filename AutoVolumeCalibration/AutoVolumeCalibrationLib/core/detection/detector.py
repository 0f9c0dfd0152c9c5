"""Run the network over all slices of a study and read the landmarks of each slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import Landmark
from ..errors import Cancelled
from ..geometry.coordinates import PLANES
from ..scouts.stack import ScoutSlice, ScoutStack
from .derotation import in_plane_angle, rotated_in_plane, standard_orientation
from .guidance import GuidancePeaks, guidance_peaks
from .heatmaps import decode_peaks, to_image_pixels
from .inference import inference_autocast
from .network_input import NetworkImage, _padded, encode_slices, to_network_grid

if TYPE_CHECKING:
    import torch

    from .landmark_model import LandmarkModel

#: Slices that go through the network at once; also how often a cancel is looked for.
BATCH = 8


@dataclass(frozen=True, eq=False)
class StackDetections:
    """What the network saw in the s slices of one stack, for k landmarks.

    In-plane coordinates are RAS positions projected on the stack's two image axes, mm from the world origin.

    Attributes:
        plane: of the stack.
        axes: (3, 3), rows are the unit column axis, row axis and normal of the slices in standard orientation.
        positions_mm: (s,) slice positions along the normal.
        points_mm: (s, k, 2) where the landmark's peak lies, along (column axis, row axis).
        peak_values: (s, k) peak heights, about 0..1.
        sd_mm: (s, k, 2) calibrated standard deviation of ``points_mm``.
    """

    plane: str
    axes: np.ndarray
    positions_mm: np.ndarray
    points_mm: np.ndarray
    peak_values: np.ndarray
    sd_mm: np.ndarray

    @property
    def sagittal(self) -> bool:
        """In sagittal slices a left/right pair is seen as its middle."""
        return self.plane == "sagittal"


def detect(
    stacks: Sequence[ScoutStack],
    model: LandmarkModel,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    *,
    head_axes: np.ndarray | None = None,
    guidance: Sequence[Landmark] = (),
) -> list[StackDetections]:
    """Detections of every stack, in the order of ``stacks``.

    Args:
        head_axes: (3, 3), rows are the head's right, anterior, superior directions, where they are known: the
            slices are then turned in their planes so that the head stands upright.
        given: landmarks that a person placed, for a sequential model: it is shown them and answers with them. Those
            without a place and those that it does not know are left out.
        progress: called with the fraction done, 0..1.
        cancelled: asked between batches; True raises Cancelled.
    """
    slices = [standard_orientation(s, stack.plane) for stack in stacks for s in stack.slices]
    acquired = slices
    if head_axes is not None:
        slices = _upright([s.plane for s in stacks for _ in s.slices], slices, head_axes, model.pixel_mm / 2)
    planes = [PLANES.index(stack.plane) for stack in stacks for _ in stack.slices]
    prepared = [to_network_grid(s, model.pixel_mm, model.largest_size) for s in slices]
    size = tuple(max(p.image.shape[i] for p in prepared) for i in range(2))
    size = tuple(-(-n // model.divisor) * model.divisor for n in size)
    known = (
        guidance_peaks(guidance, planes, acquired, slices, prepared, size, model) if guidance and model.guided else None
    )
    heatmaps = _run_network([_padded(p, size) for p in prepared], planes, known, model, progress, cancelled)
    peaks = decode_peaks(heatmaps, model.sigma_pixels)
    results, start = [], 0
    for stack in stacks:
        part = slice(start, start + len(stack.slices))
        start = part.stop
        results.append(_stack_detections(stack.plane, slices[part], prepared[part], size, peaks, part, model))
    return results


def _upright(
    planes: Sequence[str], slices: Sequence[ScoutSlice], head_axes: np.ndarray, smallest_pixel_mm: float
) -> list[ScoutSlice]:
    angles = [in_plane_angle(s, plane, head_axes) for plane, s in zip(planes, slices, strict=True)]
    return [rotated_in_plane(s, angle, smallest_pixel_mm) for s, angle in zip(slices, angles, strict=True)]


def _run_network(
    images: Sequence[np.ndarray],
    planes: Sequence[int],
    known: GuidancePeaks | None,
    model: LandmarkModel,
    progress: Callable[[float], None] | None,
    cancelled: Callable[[], bool] | None,
) -> torch.Tensor:
    """(n, k, h, w) heatmaps on the CPU."""
    import torch

    heatmaps = []
    with torch.inference_mode(), inference_autocast(model.network, model.device):
        batch = encode_slices(torch.from_numpy(np.stack(images)), torch.tensor(planes))
        for part in batch.split(BATCH):
            if cancelled and cancelled():
                raise Cancelled
            part = part.to(model.device).contiguous(memory_format=torch.channels_last)
            shown = [] if known is None else [_guidance_maps(known, sum(map(len, heatmaps)), part, model)]
            heatmaps.append(model.network(part, *shown).float().cpu())
            if progress:
                progress(sum(map(len, heatmaps)) / len(images))
    return torch.cat(heatmaps)


def _guidance_maps(known: GuidancePeaks, first: int, part: torch.Tensor, model: LandmarkModel) -> torch.Tensor:
    """(m, k, h, w) what is known on the slices of a batch ``part`` (m, 4, H, W), of which ``first`` is the first."""
    size = [n // model.output_stride for n in part.shape[-2:]]
    return known.heatmaps(slice(first, first + len(part)), size, model.sigma_pixels).to(part.device)


def _stack_detections(
    plane: str,
    slices: Sequence[ScoutSlice],
    prepared: Sequence[NetworkImage],
    size: Sequence[int],
    peaks,
    part: slice,
    model: LandmarkModel,
) -> StackDetections:
    """Peaks of one stack in millimetres."""
    axes = np.stack([slices[0].column_axis, slices[0].row_axis, slices[0].normal])
    positions = to_image_pixels(peaks.positions[part], model.output_stride)
    points = np.empty(positions.shape)
    for i, (scout_slice, prep) in enumerate(zip(slices, prepared, strict=True)):
        pixels = prep.to_slice_pixels(positions[i] - prep.first_in(size))
        points[i] = scout_slice.to_world(pixels) @ axes[:2].T
    nominal = model.pixel_mm * model.output_stride
    spread = np.sqrt(np.diagonal(peaks.moments[part], axis1=-2, axis2=-1))[..., ::-1] * nominal
    peak_values = peaks.peak_values[part]
    return StackDetections(
        plane=plane,
        axes=axes,
        positions_mm=np.array([s.origin_mm @ axes[2] for s in slices]),
        points_mm=points,
        peak_values=peak_values,
        sd_mm=model.uncertainty.sd_mm(PLANES.index(plane), peak_values, spread),
    )
