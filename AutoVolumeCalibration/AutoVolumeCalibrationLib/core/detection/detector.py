"""Run the network over all slices of a study and decode the landmarks of each slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import Landmark
from ..errors import Cancelled
from ..geometry.coordinates import PLANES
from ..scouts.stack import ScoutSlice, ScoutStack
from .backends.running import run_network
from .derotation import in_plane_angle, rotated_in_plane, standard_orientation
from .guidance import GuidancePeaks, guidance_peaks
from .heatmaps import Peaks, decode_peaks, to_image_pixels
from .network_input import NetworkImage, encode_slices, padded, to_network_grid
from .sagittal_pairs import MIDDLE

if TYPE_CHECKING:
    from .landmark_model import LandmarkModel

#: Slices per run of the network; cancelling is checked before each.
BATCH = 8


@dataclass(frozen=True, eq=False)
class StackDetections:
    """The network's peaks on the s slices of one stack, for k landmarks.

    In-plane coordinates are RAS positions projected on the stack's two image axes, mm from the world origin.

    Attributes:
        plane: of the stack.
        axes: (3, 3), rows are the unit column axis, row axis and normal of the slices in standard orientation.
        positions_mm: (s,) slice positions along the normal.
        points_mm: (s, k, 2) position of the landmark's peak along (column axis, row axis).
        peak_values: (s, k), about 0..1.
        sd_mm: (s, k, 2) calibrated standard deviation of ``points_mm``.
        sagittal_pairs: what a left/right pair is on sagittal slices, MIDDLE or NEAREST (``sagittal_pairs``).
    """

    plane: str
    axes: np.ndarray
    positions_mm: np.ndarray
    points_mm: np.ndarray
    peak_values: np.ndarray
    sd_mm: np.ndarray
    sagittal_pairs: str = MIDDLE

    @property
    def sagittal(self) -> bool:
        """Sagittal slices do not distinguish left from right."""
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
        head_axes: (3, 3), rows are the head's right, anterior, superior directions in RAS, where they are known: the
            slices are then derotated in-plane.
        guidance: the user's landmarks, which a guided model takes as input and repeats in its output. Those without
            a position and names that the model does not know are left out; other models ignore them.
        progress: called with the fraction done, 0..1.
        cancelled: called between batches; True raises Cancelled.
    """
    acquired = [standard_orientation(s, stack.plane) for stack in stacks for s in stack.slices]
    slices = acquired
    if head_axes is not None:
        slices = _derotated([s.plane for s in stacks for _ in s.slices], acquired, head_axes, model.pixel_mm / 2)
    planes = [PLANES.index(stack.plane) for stack in stacks for _ in stack.slices]
    prepared = [to_network_grid(s, model.pixel_mm, model.largest_size) for s in slices]
    size = tuple(max(p.image.shape[i] for p in prepared) for i in range(2))
    size = tuple(-(-n // model.divisor) * model.divisor for n in size)
    known = None
    if guidance and model.guided:
        known = guidance_peaks(guidance, planes, acquired, slices, prepared, size, model)
    heatmaps = _run_network([padded(p, size) for p in prepared], planes, known, model, progress, cancelled)
    peaks = decode_peaks(heatmaps, model.sigma_pixels)
    results, start = [], 0
    for stack in stacks:
        part = slice(start, start + len(stack.slices))
        start = part.stop
        results.append(_stack_detections(stack.plane, slices[part], prepared[part], size, peaks, part, model))
    return results


def _derotated(
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
) -> np.ndarray:
    """(n, k, h, w) float32 heatmaps."""
    batch = encode_slices(np.stack(images), planes)
    heatmaps: list[np.ndarray] = []
    for first in range(0, len(batch), BATCH):
        if cancelled and cancelled():
            raise Cancelled
        part = batch[first : first + BATCH]
        maps = None if known is None else _guidance_maps(known, first, part, model)
        heatmaps.append(run_network(model, part, maps))
        if progress:
            progress((first + len(part)) / len(batch))
    return np.concatenate(heatmaps)


def _guidance_maps(known: GuidancePeaks, first: int, part: np.ndarray, model: LandmarkModel) -> np.ndarray:
    """(m, k, h, w) guidance for a batch ``part`` (m, 4, H, W), whose first slice has index ``first``."""
    size = [n // model.output_stride for n in part.shape[-2:]]
    return known.heatmaps(slice(first, first + len(part)), size, model.sigma_pixels)


def _stack_detections(
    plane: str,
    slices: Sequence[ScoutSlice],
    prepared: Sequence[NetworkImage],
    size: Sequence[int],
    peaks: Peaks,
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
        sagittal_pairs=model.sagittal_pairs,
    )
