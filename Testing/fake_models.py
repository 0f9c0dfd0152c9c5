"""Models whose answers are known: networks made by hand instead of trained, and scouts for them to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.derotation import in_plane_angle, rotated_in_plane, standard_orientation
from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets, to_heatmap_pixels
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.detection.model_limits import DEFAULT_LIMITS
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import default_uncertainty
from AutoVolumeCalibrationLib.core.detection.reorientation import is_turned
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANE_NORMAL_AXIS, PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES, ScoutSlice, ScoutStack

SIGMA_MM, TAU_MM, PIXEL_MM, STEM = 6.0, 12.0, 2.0, 2


class BrightestPlace(torch.nn.Module):
    """Answers each slice with one Gaussian at the centroid of its bright pixels; nothing on a dark slice."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        weights = ((batch[:, 0] + 1) / 2 - 0.5).clamp_min(0)
        total = weights.sum((1, 2))
        rows, columns = (torch.arange(float(n)) for n in weights.shape[1:])
        center = torch.stack([weights.sum(2) @ rows, weights.sum(1) @ columns], dim=1) / total.clamp_min(1e-6)[:, None]
        points = to_heatmap_pixels(center, STEM)[:, None]
        size = tuple(n // STEM for n in batch.shape[-2:])
        return render_targets(points, (total > 0).float()[:, None], size, SIGMA_MM / (PIXEL_MM * STEM))


class KnowingNetwork(torch.nn.Module):
    """Answers slice after slice of known stacks with perfect targets at the projections of known points (NaN: none).

    The stacks have square slices of ``side`` pixels of PIXEL_MM in standard orientation. Like a trained network it
    sees a left/right pair as its middle on sagittal slices. With ``head_axes`` every pass over the stacks is followed
    by one over those in which that head is turned, answered for slices in which it was turned upright.
    """

    def __init__(
        self,
        stacks: Sequence[ScoutStack],
        points_mm: np.ndarray,
        mirror: np.ndarray,
        height: float = 1.0,
        head_axes: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        seen = [(stack.plane, standard_orientation(s, stack.plane)) for stack in stacks for s in stack.slices]
        turned = [] if head_axes is None else [s for s in stacks if is_turned(s, head_axes, DEFAULT_LIMITS.turned_deg)]
        upright = []
        for stack in turned:
            for s in (standard_orientation(s, stack.plane) for s in stack.slices):
                angle = in_plane_angle(s, stack.plane, head_axes)
                upright.append((stack.plane, rotated_in_plane(s, angle, PIXEL_MM / 2)))
        self.slices = seen + upright
        self.points, self.mirror, self.height, self.calls = points_mm, mirror, height, 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        answers = []
        for index in range(self.calls, self.calls + len(batch)):
            plane, scout_slice = self.slices[index % len(self.slices)]
            points = (self.points + self.points[self.mirror]) / 2 if plane == "sagittal" else self.points
            pixels = to_heatmap_pixels(scout_slice.to_pixel(points), STEM)
            depth = (points - scout_slice.origin_mm) @ scout_slice.normal
            peak_values = np.nan_to_num(self.height * np.exp(-(depth**2) / (2 * TAU_MM**2)))
            size = tuple(n // STEM for n in batch.shape[-2:])
            sigma = SIGMA_MM / (PIXEL_MM * STEM)
            answers.append(
                render_targets(
                    torch.from_numpy(pixels).float()[None], torch.from_numpy(peak_values).float()[None], size, sigma
                )
            )
        self.calls = (self.calls + len(batch)) % len(self.slices)
        return torch.cat(answers)


def fake_model(network: torch.nn.Module, names: Sequence[str] = ("SPOT",), mirror: Sequence[int] = (0,), **changes):
    """A model around ``network`` with the usual numbers."""
    model = LandmarkModel(
        name="fake",
        sha256="0" * 64,
        network=network,
        device="cpu",
        names=tuple(names),
        mirror=np.asarray(mirror),
        pixel_mm=PIXEL_MM,
        output_stride=STEM,
        sigma_mm=SIGMA_MM,
        tau_mm=TAU_MM,
        divisor=32,
        largest_size=192,
        threshold=0.2,
        uncertainty=default_uncertainty(len(names)),
    )
    return replace(model, **changes)


def spot_slice(
    plane: str,
    point_mm: np.ndarray,
    *,
    offset_mm: float = 0.0,
    shape: tuple[int, int] = (240, 256),
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    axes: np.ndarray | None = None,
    shift_mm: tuple[float, float] = (0.0, 0.0),
    spot_mm: float = 5.0,
    orientation: tuple[bool, bool, bool] = (False, False, False),
) -> ScoutSlice:
    """A slice with a bright Gaussian of ``spot_mm`` at the projection of ``point_mm`` (3,) RAS.

    Args:
        offset_mm: position along the normal.
        axes: (3, 3) right, anterior, superior directions of the scout; the world's when None.
        shift_mm: (column, row) of the middle of the image.
        orientation: rows reversed, columns reversed, then transposed: the same image stored another way.
    """
    axes = np.eye(3) if axes is None else axes
    column, row = (axes[i] for i in IN_PLANE_AXES[plane])
    center = offset_mm * axes[PLANE_NORMAL_AXIS[plane]] + shift_mm[0] * column + shift_mm[1] * row
    corner = [(n - 1) / 2 * s for n, s in zip(shape, spacing_mm, strict=True)]
    empty = ScoutSlice(
        np.zeros(shape, np.float32), center - corner[0] * row - corner[1] * column, column, row, spacing_mm, 5.0
    )
    where = (empty.to_pixel(point_mm) - np.moveaxis(np.indices(shape), 0, -1)) * spacing_mm
    pixels = (20 + 500 * np.exp(-(where**2).sum(-1) / (2 * spot_mm**2))).astype(np.float32)
    return _stored_otherwise(replace(empty, pixels=pixels), *orientation)


def spot_stack(plane: str, point_mm: np.ndarray, offsets_mm: Sequence[float] = (0.0,), **options) -> ScoutStack:
    """Slices of :func:`spot_slice` at several positions."""
    return ScoutStack(plane, tuple(spot_slice(plane, point_mm, offset_mm=o, **options) for o in offsets_mm))


def blank_stacks(offsets_mm: Sequence[float], side: int = 128, turn: np.ndarray | None = None) -> list[ScoutStack]:
    """Three planes of slices of a bright blur as large as a head, ``side`` pixels of PIXEL_MM square, axes ``turn``."""
    options = {"shape": (side, side), "spacing_mm": (PIXEL_MM, PIXEL_MM), "axes": turn, "spot_mm": 50.0}
    return [spot_stack(plane, np.zeros(3), offsets_mm, **options) for plane in PLANES]


def _stored_otherwise(s: ScoutSlice, flip_rows: bool, flip_columns: bool, transpose: bool) -> ScoutSlice:
    rows, columns = s.pixels.shape
    if flip_rows:
        s = replace(s, pixels=s.pixels[::-1], origin_mm=s.to_world(np.array([rows - 1, 0])), row_axis=-s.row_axis)
    if flip_columns:
        s = replace(
            s, pixels=s.pixels[:, ::-1], origin_mm=s.to_world(np.array([0, columns - 1])), column_axis=-s.column_axis
        )
    if transpose:
        s = replace(s, pixels=s.pixels.T, column_axis=s.row_axis, row_axis=s.column_axis, spacing_mm=s.spacing_mm[::-1])
    return s
