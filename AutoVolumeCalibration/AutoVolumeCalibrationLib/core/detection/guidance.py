"""What a sequential network is shown of landmarks that are known: on every slice the heatmaps it should answer with.

They are made as the targets of the training are: a Gaussian at the projection, as high as the distance from the slice
lets it be, nothing where the projection lies outside the image, and in sagittal slices the middle of a left/right pair.
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

if TYPE_CHECKING:
    import torch

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

    def heatmaps(self, slices: slice, size: Sequence[int], sigma_pixels: float) -> torch.Tensor:
        """(m, k, h, w) float32 heatmaps of ``size`` (h, w) for ``slices``; zeros where there is no peak."""
        import torch

        points, peak_values = (torch.from_numpy(values[slices]).float() for values in (self.points, self.peak_values))
        return render_targets(points, peak_values, (size[0], size[1]), sigma_pixels)


def guidance_peaks(
    guidance: Iterable[Landmark],
    planes: Sequence[int],
    acquired: Sequence[ScoutSlice],
    slices: Sequence[ScoutSlice],
    prepared: Sequence[NetworkImage],
    size: Sequence[int],
    model: LandmarkModel,
) -> GuidancePeaks:
    """The peaks of ``given`` landmarks on slices that are ready for the network.

    Args:
        given: placed landmarks; those without a place, and names that the model does not know, are left out.
        planes: (n,) index into PLANES.
        acquired: the slices as they were acquired; what lies outside them was never seen.
        slices: the same, perhaps turned in their planes.
        prepared: the same on the network's grid.
        size: (H, W) pixels of the network's input, in whose middle every prepared image lies.
    """
    places = {mark.name: mark.position_mm for mark in guidance if mark.position_mm is not None}
    single = np.array([places.get(name, np.full(3, np.nan)) for name in model.names], dtype=float)
    pairs = (single + single[model.mirror]) / 2  # unknown where one of the two is
    points, peak_values = [], []
    for plane, before, scout_slice, prep in zip(planes, acquired, slices, prepared, strict=True):
        # A single sagittal slice cannot tell left from right.
        places_mm = pairs if PLANES[plane] == "sagittal" else single
        pixels = prep.from_slice_pixels(scout_slice.to_pixel(places_mm)) + prep.first_in(size)
        depths = (places_mm - scout_slice.origin_mm) @ scout_slice.normal
        shown = before.shows(places_mm) & scout_slice.shows(places_mm)
        points.append(to_heatmap_pixels(pixels, model.output_stride))
        peak_values.append(np.where(shown, amplitude(depths, model.tau_mm), 0.0))
    return GuidancePeaks(np.stack(points), np.stack(peak_values))
