"""Planes, size and thickness of simulated slices in the scanner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANE_NORMAL_AXIS, PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry

from .effects.effect_settings import SimulationEffects
from .pose import HeadPose, PoseLimits

#: Largest distance of the slices of each plane (sagittal, coronal, axial) from the isocentre, mm.
SLICE_RANGE_MM = np.array([55.0, 75.0, 62.0])


@dataclass(frozen=True)
class SliceSettings:
    """Settings of simulated slices: ``matrix`` pixels of ``pixel_mm`` per side, slice thickness range in mm.

    In ``upright_share`` of the slices the head is upright, up to ``upright_sd_deg``, as in the second pass over a study
    (``core.detection.derotation``): there only its through-plane tilt remains. ``sagittal_pairs``: what a left/right
    pair is on sagittal slices (``core.detection.sagittal_pairs``).
    """

    matrix: int = 128
    pixel_mm: float = 2.0
    thickness_mm: tuple[float, float] = (3.0, 9.0)
    profile_samples: int = 5
    center_jitter_mm: float = 15.0
    upright_share: float = 0.5
    upright_sd_deg: float = 4.0
    limits: PoseLimits = field(default_factory=PoseLimits)
    effects: SimulationEffects = field(default_factory=SimulationEffects)
    sagittal_pairs: str = MIDDLE


@dataclass(frozen=True, eq=False)
class SlicePlanes:
    """b slice planes in scanner space: centers (b, 3) mm, unit axes (b, 3), plane index and thickness (b,)."""

    planes: np.ndarray
    center: torch.Tensor
    column_axis: torch.Tensor
    row_axis: torch.Tensor
    normal: torch.Tensor
    thickness_mm: torch.Tensor

    def grid(self, matrix: int, pixel_mm: float) -> torch.Tensor:
        """(b, matrix * matrix, 3) scanner points of the pixels, row by row."""
        steps = (torch.arange(matrix, device=self.center.device) - (matrix - 1) / 2) * pixel_mm
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        flat = torch.stack([rows.flatten(), columns.flatten()], dim=1)
        return self.center[:, None] + flat @ torch.stack([self.row_axis, self.column_axis], dim=1)


def random_planes(
    rng: np.random.Generator, poses: HeadPose, settings: SliceSettings, range_mm: np.ndarray = SLICE_RANGE_MM
) -> SlicePlanes:
    """A slice of random plane, position and thickness for each pose; 60 % near the middle of the head.

    Args:
        range_mm: (3,) largest distance of the slices of each plane from the isocentre.
    """
    count, device = len(poses.linear), poses.linear.device
    planes = rng.integers(0, 3, count)
    position = np.where(rng.random(count) < 0.6, rng.normal(0, 20, count), rng.uniform(-1, 1, count) * range_mm[planes])
    position += rng.uniform(-1, 1, count) * settings.limits.shift_mm * rng.random(count)
    jitter = rng.uniform(-1, 1, (2, count, 1)) * settings.center_jitter_mm
    slices = _planes_at(planes, position, jitter, rng.uniform(*settings.thickness_mm, count), device)
    upright = rng.random(count) < settings.upright_share
    tilt = np.deg2rad(rng.normal(0, settings.upright_sd_deg, count))
    angle = np.where(upright, _upright_angles(slices, poses) + tilt, 0.0)
    return _rotated(slices, torch.from_numpy(angle).float().to(device))


def _upright_angles(slices: SlicePlanes, poses: HeadPose) -> np.ndarray:
    """(b,) rad from the column axes towards the row axes by which the heads are rotated in their slices.

    The formula is that of ``core.detection.derotation.in_plane_angle``.
    """
    head_axes = torch.linalg.inv(poses.linear).transpose(1, 2)  # rows: the head's own directions in scanner space
    along = torch.tensor([IN_PLANE_AXES[PLANES[p]] for p in slices.planes], device=head_axes.device)
    number = torch.arange(len(along), device=along.device)
    along_column, along_row = (head_axes[number, along[:, i]] for i in range(2))
    sine = (slices.row_axis * along_column).sum(1) - (slices.column_axis * along_row).sum(1)
    cosine = (slices.column_axis * along_column).sum(1) + (slices.row_axis * along_row).sum(1)
    return torch.atan2(sine, cosine).cpu().numpy()


def _rotated(slices: SlicePlanes, angle: torch.Tensor) -> SlicePlanes:
    """The slices with their in-plane axes rotated by ``angle`` (b,) rad, from the column axis towards the row axis."""
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    column, row = slices.column_axis, slices.row_axis
    return replace(slices, column_axis=cos * column + sin * row, row_axis=cos * row - sin * column)


def _planes_at(
    planes: np.ndarray, position: np.ndarray, jitter: np.ndarray, thickness: np.ndarray, device: torch.device
) -> SlicePlanes:
    """Slices (b,) at ``position`` along their plane's axis, moved in plane by ``jitter`` (2, b, 1) (column, row) mm."""
    axes = np.eye(3)
    column = axes[[IN_PLANE_AXES[PLANES[p]][0] for p in planes]]
    row = axes[[IN_PLANE_AXES[PLANES[p]][1] for p in planes]]
    normal = axes[[PLANE_NORMAL_AXIS[PLANES[p]] for p in planes]]
    center = position[:, None] * normal + jitter[0] * column + jitter[1] * row
    tensors = (torch.from_numpy(a).float().to(device) for a in (center, column, row, normal, thickness))
    return SlicePlanes(planes, *tensors)


def study_planes(geometry: ScoutGeometry | Sequence[ScoutGeometry], device: torch.device) -> SlicePlanes:
    """The slices of a three-plane scout through the isocentre, plane by plane; one geometry for all or one for each."""
    of_plane = (geometry,) * len(PLANES) if isinstance(geometry, ScoutGeometry) else tuple(geometry)
    counts = [g.slices for g in of_plane]
    position = np.concatenate([(np.arange(g.slices) - (g.slices - 1) / 2) * g.slice_spacing_mm for g in of_plane])
    planes = np.repeat(np.arange(len(PLANES)), counts)
    thickness = np.repeat([g.thickness_mm for g in of_plane], counts)
    return _planes_at(planes, position, np.zeros((2, len(planes), 1)), thickness, device)
