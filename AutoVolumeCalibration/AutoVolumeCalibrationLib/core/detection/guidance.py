"""Guidance as a guided network takes it: for every slice the heatmaps of the landmarks that are known.

They equal the targets of the training: a Gaussian at the projection, lower with the distance from the slice, zero
where the projection lies outside the image, and in sagittal slices what a left/right pair is (``sagittal_pairs``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import Landmark
from ..geometry.coordinates import PLANES
from ..scouts.stack import ScoutSlice
from .heatmaps import amplitude, render_targets, to_heatmap_pixels
from .sagittal_pairs import shown_of_pair

if TYPE_CHECKING:
    from .landmark_model import LandmarkModel
    from .network_input import NetworkImage


@dataclass(frozen=True, eq=False)
class GuidancePeaks:
    """Where the peaks of the known landmarks lie on n slices, for k landmarks.

    Attributes:
        points: (n, k, 2) heatmap pixels (row, column), fractions; NaN where a landmark is not known.
        peak_values: (n, k), 0 where it is not known or its projection lies outside the image.
    """

    points: np.ndarray
    peak_values: np.ndarray

    def heatmaps(self, slices: slice, size: Sequence[int], sigma_pixels: float) -> np.ndarray:
        """(m, k, h, w) float32 heatmaps of ``size`` (h, w) for ``slices``; zeros where there is no peak."""
        points, peak_values = (values[slices].astype(np.float32) for values in (self.points, self.peak_values))
        return render_targets(points, peak_values, size, sigma_pixels)


def guidance_peaks(
    guidance: Iterable[Landmark],
    planes: Sequence[int],
    acquired: Sequence[ScoutSlice],
    slices: Sequence[ScoutSlice],
    prepared: Sequence[NetworkImage],
    size: Sequence[int],
    model: LandmarkModel,
) -> GuidancePeaks:
    """The peaks of ``guidance`` on slices that are ready for the network.

    Args:
        guidance: placed landmarks; those without a position, and names that the model does not know, are left out.
        planes: (n,) index into PLANES.
        acquired: the slices as they were acquired; a landmark outside of them has no peak.
        slices: the same, perhaps derotated in-plane.
        prepared: the same on the network's grid.
        size: (H, W) pixels of the network's input, in whose middle every prepared image lies.
    """
    known = {landmark.name: landmark.position_mm for landmark in guidance if landmark.position_mm is not None}
    single = np.array([known.get(name, np.full(3, np.nan)) for name in model.names], dtype=float)
    partner = single[model.mirror]
    points, peak_values = [], []
    for plane, before, scout_slice, prep in zip(planes, acquired, slices, prepared, strict=True):
        is_sagittal = PLANES[plane] == "sagittal"
        positions_mm = shown_of_pair(single, partner, scout_slice, model.sagittal_pairs) if is_sagittal else single
        pixels = prep.from_slice_pixels(scout_slice.to_pixel(positions_mm)) + prep.first_in(size)
        depths = (positions_mm - scout_slice.origin_mm) @ scout_slice.normal
        visible = before.shows(positions_mm) & scout_slice.shows(positions_mm)
        points.append(to_heatmap_pixels(pixels, model.output_stride))
        peak_values.append(np.where(visible, amplitude(depths, model.tau_mm), 0.0))
    return GuidancePeaks(np.stack(points), np.stack(peak_values))
