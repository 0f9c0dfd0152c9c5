"""From a 3D volume to scouts, and from a stack dense enough to be one back to a volume.

People hand over 3D images for scouts, and some scanners acquire the scout itself in 3D (one
sagittal series of 128 thin slices). Both are cut into three thick-slice stacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .image_checks import square_axes
from .reslice import ScoutGeometry, Volume, cut_three_planes
from .scouts import ScoutSlice, ScoutStack, plane_of

#: Slices of a stack of scouts, at most; a denser image may be a volume.
MAX_SCOUT_SLICES = 30

#: Longest over shortest voxel edge of a volume that can be resliced in all three directions.
MAX_VOLUME_ANISOTROPY = 2.0

#: How scouts are cut out of a volume: more and closer slices than most scanners take, since they cost nothing here.
VOLUME_SCOUTS = ScoutGeometry(slices=9, gap_mm=10.0, thickness_mm=5.0, pixel_mm=1.0, matrix=256)

#: From the vertex to just below the cerebellum: what lies lower has no say in where the middle of a head is.
HEAD_HEIGHT_MM = 150.0

#: Share of the intensity range (1st to 99th percentile) above which a voxel counts as body.
BODY_THRESHOLD = 0.15


def is_volume(shape: Sequence[int], spacing_mm: Sequence[float]) -> bool:
    """Whether a 3D image of this size and voxel (3 each) can be cut in all directions."""
    return min(shape) > MAX_SCOUT_SLICES and max(spacing_mm) < MAX_VOLUME_ANISOTROPY * min(spacing_mm)


def cut_volume(volume: Volume) -> list[ScoutStack]:
    """Three stacks of scouts through the middle of the head in ``volume``."""
    return cut_three_planes(volume, VOLUME_SCOUTS, scout_center_mm(volume))


def scout_center_mm(volume: Volume) -> np.ndarray:
    """(3,) RAS place where the scouts of a volume should cross: the middle of the head in it.

    The middle of the image is up to 30 mm off the brain's middle where the head lies low in it, and
    the centre of all that is not air up to 45 mm where the neck is long. So the body is found by a
    threshold, only its uppermost ``HEAD_HEIGHT_MM`` count, and of these the unweighted mean is taken
    (weighting by intensity would pull it towards fat and surface coils). On whole heads with necks this
    came within about 1 cm of the middle of the AC-PC line. Other anatomy is hardly longer, and keeps its middle.
    """
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    steps = np.maximum(1, np.round(4.0 / spacing)).astype(int)
    coarse = volume.array[:: steps[0], :: steps[1], :: steps[2]]
    low, high = np.percentile(coarse, (1, 99))
    body = np.argwhere(coarse > low + BODY_THRESHOLD * (high - low)) * steps
    if not len(body):
        return volume.center_mm
    points = body @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    top = np.percentile(points[:, 2], 99.5)
    return points[points[:, 2] > top - HEAD_HEIGHT_MM].mean(axis=0)


def stack_from_volume(volume: Volume, source: str) -> ScoutStack:
    """The slices of an image of few thick slices, as one stack; the slice axis is the shortest one.

    ``source`` is the file, for messages.

    Raises:
        InputError: where the in-plane axes are not perpendicular.
    """
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    through = min(range(3), key=lambda axis: (volume.array.shape[axis], -spacing[axis]))
    across, down = (axis for axis in range(3) if axis != through)
    column_axis, row_axis = square_axes(
        volume.affine[:3, across] / spacing[across], volume.affine[:3, down] / spacing[down], source
    )
    slices = [
        ScoutSlice(
            pixels=np.ascontiguousarray(volume.array.take(index, axis=through).T),
            origin_mm=volume.affine[:3, 3] + index * volume.affine[:3, through],
            column_axis=column_axis,
            row_axis=row_axis,
            spacing_mm=(float(spacing[down]), float(spacing[across])),
            source=f"{source} slice {index + 1}",
        )
        for index in range(volume.array.shape[through])
    ]
    normal = slices[0].normal
    ordered = sorted(slices, key=lambda s: float(s.origin_mm @ normal))
    return ScoutStack(plane_of(normal), tuple(ordered), None, volume.name)


def cut_if_volume(stack: ScoutStack) -> list[ScoutStack]:
    """Three stacks cut out of ``stack`` where it is a 3D acquisition, else the stack itself."""
    volume = _volume_from_stack(stack)
    if volume is None:
        return [stack]
    return [replace(cut, frame_of_reference=stack.frame_of_reference) for cut in cut_volume(volume)]


def _volume_from_stack(stack: ScoutStack) -> Volume | None:
    """The stack as a volume, array index (row, column, slice); None unless even, dense and near-isotropic."""
    first, last = stack.slices[0], stack.slices[-1]
    count = len(stack.slices)
    if count <= MAX_SCOUT_SLICES or any(
        s.pixels.shape != first.pixels.shape or s.spacing_mm != first.spacing_mm for s in stack.slices
    ):
        return None
    step = (last.origin_mm - first.origin_mm) / (count - 1)
    even = first.origin_mm + np.arange(count)[:, None] * step
    gap = float(np.linalg.norm(step))
    if np.abs(np.array([s.origin_mm for s in stack.slices]) - even).max() > 0.05 * gap:
        return None
    if not is_volume((*first.pixels.shape, count), (*first.spacing_mm, gap)):
        return None
    affine = np.eye(4)
    affine[:3, 0] = first.row_axis * first.spacing_mm[0]
    affine[:3, 1] = first.column_axis * first.spacing_mm[1]
    affine[:3, 2] = step
    affine[:3, 3] = first.origin_mm
    return Volume(np.stack([s.pixels for s in stack.slices], axis=-1), affine, stack.name)
