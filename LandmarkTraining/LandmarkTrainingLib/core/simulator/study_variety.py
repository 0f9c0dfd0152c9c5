"""Whole studies as clinics acquire them: other slices in each plane, a head that moves between and within stacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry

from .slice_planes import SlicePlanes

#: Usual numbers of (sagittal, coronal, axial) slices of a three-plane localizer.
SLICE_COUNTS = ((1, 1, 1), (3, 3, 3), (5, 5, 5), (7, 1, 1), (7, 7, 7), (10, 10, 10), (15, 15, 15), (24, 5, 7))

#: Slice thickness and gap between slices, mm; the stack of many slices is at most this long.
THICKNESS_MM, GAP_MM, LONGEST_MM = (3.0, 10.0), (0.0, 10.0), 160.0


def random_geometries(rng: np.random.Generator) -> tuple[ScoutGeometry, ...]:
    """A random geometry for each of PLANES: usual slice counts, 3-10 mm slices, gaps of 0-10 mm."""
    counts = SLICE_COUNTS[int(rng.integers(len(SLICE_COUNTS)))]
    return tuple(_random_geometry(rng, count) for count in counts)


def _random_geometry(rng: np.random.Generator, count: int) -> ScoutGeometry:
    thickness = rng.uniform(*THICKNESS_MM)
    spacing = min(thickness + rng.uniform(*GAP_MM), max(thickness, LONGEST_MM / count))
    return ScoutGeometry(slices=count, slice_spacing_mm=float(spacing), thickness_mm=float(thickness))


@dataclass(frozen=True)
class MotionLimits:
    """Standard deviations of the head's rigid motion: between stacks, and in addition from slice to slice."""

    stack_shift_mm: float = 3.0
    stack_rotation_deg: float = 3.0
    slice_shift_mm: float = 0.5
    slice_rotation_deg: float = 0.5


@dataclass(frozen=True, eq=False)
class StudyMotion:
    """Where the head lies while each of s slices is acquired, against where its landmarks are said to lie.

    A scanner point x (mm) of the head as stated is at ``rotations @ x + shifts_mm``.
    """

    rotations: np.ndarray
    shifts_mm: np.ndarray

    def as_seen(self, planes: SlicePlanes) -> SlicePlanes:
        """The slices as they lie in the head as stated: moved by the inverse."""
        back = torch.from_numpy(self.rotations.transpose(0, 2, 1)).to(planes.center)
        shift = torch.from_numpy(self.shifts_mm).to(planes.center)

        def turned(vectors: torch.Tensor) -> torch.Tensor:
            return (back @ vectors[..., None])[..., 0]

        return replace(
            planes,
            center=turned(planes.center - shift),
            column_axis=turned(planes.column_axis),
            row_axis=turned(planes.row_axis),
            normal=turned(planes.normal),
        )


def random_motion(rng: np.random.Generator, counts: Sequence[int] | np.ndarray, limits: MotionLimits) -> StudyMotion:
    """Motion about the isocentre for stacks of ``counts`` slices; the first one is where it is stated to be.

    Rotation vectors and shifts are normal; those of a stack hold for all of its slices, those of slices add to them.
    """
    stack = np.repeat(np.arange(len(counts)), counts)
    of_stack = rng.normal(0, 1, (2, len(counts), 3))
    of_stack[:, 0] = 0
    of_slice = rng.normal(0, 1, (2, len(stack), 3))
    turn = limits.stack_rotation_deg * of_stack[0, stack] + limits.slice_rotation_deg * of_slice[0]
    shift = limits.stack_shift_mm * of_stack[1, stack] + limits.slice_shift_mm * of_slice[1]
    return StudyMotion(Rotation.from_rotvec(turn, degrees=True).as_matrix(), shift)
