"""Cut thick slices out of a 3D volume, the way a scanner would acquire scouts of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..geometry.coordinates import PLANE_NORMAL_AXIS, PLANES
from .stack import IN_PLANE_AXES, ScoutSlice, ScoutStack, plane_of
from .validation import require_position, require_spacing, square_axes


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image: ``array`` (i, j, k) and ``affine`` (4, 4) from (i, j, k) to RAS mm."""

    array: np.ndarray
    affine: np.ndarray
    name: str = ""

    @property
    def center_mm(self) -> np.ndarray:
        """(3,) RAS position of the middle of the volume."""
        return self.affine[:3, :3] @ ((np.array(self.array.shape) - 1) / 2) + self.affine[:3, 3]

    def sample(self, points_mm: np.ndarray) -> np.ndarray:
        """Trilinear values (...,) at RAS points (..., 3); 0 outside the volume."""
        from scipy.ndimage import map_coordinates

        inverse = np.linalg.inv(self.affine)
        index = np.asarray(points_mm) @ inverse[:3, :3].T + inverse[:3, 3]
        return map_coordinates(
            self.array, np.moveaxis(index, -1, 0), order=1, mode="constant", cval=0.0, output=np.float32
        )


@dataclass(frozen=True)
class ScoutGeometry:
    """How a three-plane scout is acquired.

    Attributes:
        slices: slices per plane.
        slice_spacing_mm: distance between the centres of neighbouring slices.
        thickness_mm: slice thickness.
        pixel_mm: in-plane pixel size (square).
        matrix: pixels per side (square).
    """

    slices: int = 5
    slice_spacing_mm: float = 12.0
    thickness_mm: float = 6.0
    pixel_mm: float = 1.0
    matrix: int = 256


def cut_slice(
    volume: Volume,
    center_mm: np.ndarray,
    column_axis: np.ndarray,
    row_axis: np.ndarray,
    geometry: ScoutGeometry,
    profile_samples: int = 5,
) -> ScoutSlice:
    """One slice of ``volume`` around ``center_mm`` (3,) RAS, averaged over its thickness.

    The slice profile is a box of ``geometry.thickness_mm``, sampled ``profile_samples`` times.
    """
    n, pixel = geometry.matrix, geometry.pixel_mm
    origin = center_mm - (n - 1) / 2 * pixel * (column_axis + row_axis)
    steps = np.arange(n) * pixel
    plane = origin + steps[:, None, None] * row_axis + steps[None, :, None] * column_axis
    normal = np.cross(column_axis, row_axis)
    depths = ((np.arange(profile_samples) + 0.5) / profile_samples - 0.5) * geometry.thickness_mm
    pixels = np.mean([volume.sample(plane + depth * normal) for depth in depths], axis=0)
    return ScoutSlice(
        pixels.astype(np.float32), origin, column_axis, row_axis, (pixel, pixel), geometry.thickness_mm, volume.name
    )


def cut_three_planes(
    volume: Volume,
    geometry: ScoutGeometry,
    center_mm: np.ndarray | None = None,
    axes: np.ndarray | None = None,
    planes: Sequence[str] = PLANES,
) -> list[ScoutStack]:
    """Scouts of ``volume`` in three planes through ``center_mm``.

    Args:
        center_mm: (3,) RAS, where the stacks cross; the volume's middle when None.
        axes: (3, 3), rows are the right, anterior and superior directions of the scouts in the
            volume's world; the world's own when None.
        planes: which planes to cut.
    """
    center = volume.center_mm if center_mm is None else np.asarray(center_mm, dtype=float)
    axes = np.eye(3) if axes is None else np.asarray(axes, dtype=float)
    stacks = []
    for plane in planes:
        column, row = IN_PLANE_AXES[plane]
        normal = axes[PLANE_NORMAL_AXIS[plane]]
        offsets = (np.arange(geometry.slices) - (geometry.slices - 1) / 2) * geometry.slice_spacing_mm
        slices = tuple(cut_slice(volume, center + o * normal, axes[column], axes[row], geometry) for o in offsets)
        stacks.append(ScoutStack(plane, slices, None, volume.name))
    return stacks


#: Slices of a stack of scouts, at most; a denser image may be a volume.
MAX_SCOUT_SLICES = 30


#: Longest over shortest voxel edge of a volume that can be resliced in all three directions.
MAX_VOLUME_ANISOTROPY = 2.0


#: A stack of one plane that shows the anatomy as a volume: so many slices at least, so close, over so long a way.
#: An axial FLAIR of 20-60 slices of 3-6 mm covers a head; five scouts do not.
MIN_THICK_SLICES, MAX_THICK_STEP_MM, MIN_THICK_REACH_MM = 16, 8.0, 60.0


#: How scouts are cut out of a volume: more and closer slices than most scanners take, since they cost nothing here.
VOLUME_SCOUTS = ScoutGeometry(slices=9, slice_spacing_mm=10.0, thickness_mm=5.0, pixel_mm=1.0, matrix=256)


#: From the vertex to just below the cerebellum: anything lower is ignored in the search for the middle of the head.
HEAD_HEIGHT_MM = 150.0


#: Share of the intensity range (1st to 99th percentile) above which a voxel counts as body.
BODY_THRESHOLD = 0.15


def is_volume(shape: Sequence[int], spacing_mm: Sequence[float]) -> bool:
    """Whether a 3D image of this size and voxel (3 each) can be cut in all directions."""
    return min(shape) > MAX_SCOUT_SLICES and max(spacing_mm) < MAX_VOLUME_ANISOTROPY * min(spacing_mm)


def cut_volume(volume: Volume) -> list[ScoutStack]:
    """Three stacks of scouts through the middle of the head in ``volume``, which they name."""
    stacks = cut_three_planes(volume, VOLUME_SCOUTS, scout_center_mm(volume))
    return [replace(stack, volume=_fingerprint(volume)) for stack in stacks]


def _fingerprint(volume: Volume) -> str:
    """Differs between volumes, even of one name: sizes, position and a sample of the values."""
    sample = np.ascontiguousarray(volume.array[::8, ::8, ::8], dtype="<f4")
    digest = hashlib.sha256(f"{volume.array.shape} {np.round(volume.affine, 3).tolist()}".encode() + sample.tobytes())
    return digest.hexdigest()[:16]


def scout_center_mm(volume: Volume) -> np.ndarray:
    """(3,) RAS position where the scouts of a volume should cross: the middle of the head in it.

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
        InputError: where the in-plane axes are not perpendicular, or the image is larger than any, as where the
            directions of its header are not unit vectors.
    """
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    require_spacing(spacing, source)
    require_position(volume.affine[:3, :3] @ np.array(volume.array.shape) + volume.affine[:3, 3], source)
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
    return _cut_like(stack) if is_dense_volume(stack) else [stack]


def cut_thick_volume(stack: ScoutStack) -> list[ScoutStack]:
    """Three stacks cut out of ``stack`` where ``is_thick_volume``, else the stack itself.

    What lies between two slices is interpolated; the stacks carry a remark about that.
    """
    if not is_thick_volume(stack):
        return [stack]
    remark = (
        f"Planned on {len(stack.slices)} {stack.plane} slices every {_step_mm(stack):.1f} mm alone: "
        f"what lies between them is interpolated. Check the points across the {stack.plane} plane."
    )
    return [replace(cut, remark=remark) for cut in _cut_like(stack)]


def is_dense_volume(stack: ScoutStack) -> bool:
    """Whether the slices are a 3D acquisition with nearly cubic voxels."""
    first, count = stack.slices[0], len(stack.slices)
    if count <= MAX_SCOUT_SLICES or not _is_regular(stack):
        return False
    return is_volume((*first.pixels.shape, count), (*first.spacing_mm, _step_mm(stack)))


def is_thick_volume(stack: ScoutStack) -> bool:
    """Whether the slices of one plane, although thick, cover the anatomy so densely that they show it as a volume."""
    count, step_mm = len(stack.slices), _step_mm(stack)
    enough = count >= MIN_THICK_SLICES and step_mm <= MAX_THICK_STEP_MM and (count - 1) * step_mm >= MIN_THICK_REACH_MM
    return enough and _is_regular(stack)


def _cut_like(stack: ScoutStack) -> list[ScoutStack]:
    cuts = cut_volume(_volume_from_stack(stack))
    return [replace(cut, frame_of_reference=stack.frame_of_reference, series=stack.series) for cut in cuts]


def _step_mm(stack: ScoutStack) -> float:
    """Mean distance between neighbouring slices; 0 for a single one."""
    reach = stack.slices[-1].origin_mm - stack.slices[0].origin_mm
    return float(np.linalg.norm(reach)) / max(1, len(stack.slices) - 1)


def _is_regular(stack: ScoutStack) -> bool:
    """Whether the slices have one size and lie evenly, as the planes of one array."""
    first, count = stack.slices[0], len(stack.slices)
    if any(s.pixels.shape != first.pixels.shape or s.spacing_mm != first.spacing_mm for s in stack.slices):
        return False
    step = (stack.slices[-1].origin_mm - first.origin_mm) / max(1, count - 1)
    even = first.origin_mm + np.arange(count)[:, None] * step
    away = np.abs(np.array([s.origin_mm for s in stack.slices]) - even).max()
    return bool(away <= 0.05 * np.linalg.norm(step))


def _volume_from_stack(stack: ScoutStack) -> Volume:
    """A regular stack as a volume, array index (row, column, slice)."""
    first, count = stack.slices[0], len(stack.slices)
    affine = np.eye(4)
    affine[:3, 0] = first.row_axis * first.spacing_mm[0]
    affine[:3, 1] = first.column_axis * first.spacing_mm[1]
    affine[:3, 2] = (stack.slices[-1].origin_mm - first.origin_mm) / (count - 1)
    affine[:3, 3] = first.origin_mm
    return Volume(np.stack([s.pixels for s in stack.slices], axis=-1), affine, stack.name)
