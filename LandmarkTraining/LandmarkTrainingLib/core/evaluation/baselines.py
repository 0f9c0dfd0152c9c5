"""Baselines for a model: a typical head without detection, and registration of a template to the scouts.

Both return landmarks like a model, so that the same code computes frame and box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from AutoVolumeCalibrationLib.core.workflow.manual_planning import scouts_center_mm

from ..reference_heads.brain_extremes import acpc_axes
from ..reference_heads.poses import HEAD_CENTER_MM, STRAIGHT, head_to_scanner, move_named, move_points, posed_volume

if TYPE_CHECKING:
    import SimpleITK

    from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol

    #: A linear transform about a centre: one of each kind in SCHEDULE.
    CenteredTransform = SimpleITK.Euler3DTransform | SimpleITK.Similarity3DTransform | SimpleITK.AffineTransform

#: Standard deviation of a point placed without looking at the image, mm per axis.
UNSEEN_SD_MM = 20.0

#: Typical error of a point carried over by affine registration, mm per axis.
REGISTERED_SD_MM = 4.0

#: Grid that the slices are pooled on, mm.
POOLED_SPACING_MM = 2.0

#: Brighter than this share of the 99th percentile: not air.
FOREGROUND = 0.15

#: A head on the scouts fills at least this many of the pooled voxels.
FEWEST_VOXELS = 1000

#: Heads are brought together this far below the crown, about the middle of the brain, mm.
HALF_HEIGHT_MM = 60.0

#: Scouts count for registration down to this far below the crown: templates end at the skull base, scouts do not.
REGISTERED_HEIGHT_MM = 120.0

#: Multi-resolution schedule: transform class, blur of scouts and template in mm. Affine comes last, because its
#: twelve parameters are hardly determined before the head lies about right.
SCHEDULE = (("Euler3DTransform", 6.0), ("Similarity3DTransform", 4.0), ("AffineTransform", 2.0))

#: Share of the pooled slice voxels that the metric looks at.
SAMPLING = 0.2


@dataclass(frozen=True, eq=False)
class Template:
    """A head with known landmarks: its image and name -> (3,) RAS points in the image's world."""

    volume: Volume
    points: Mapping[str, np.ndarray]


def mean_constellation(stacks: Sequence[ScoutStack], protocol: Protocol) -> list[Landmark]:
    """The protocol's reference constellation, straight, with the anatomy's middle where the scouts cross."""
    origin = scouts_center_mm(stacks) - _middle_mm(protocol)
    planes = tuple(dict.fromkeys(stack.plane for stack in stacks))
    covariance = np.eye(3) * UNSEEN_SD_MM**2
    return [
        Landmark(point.name, origin + np.asarray(point.reference_mm), covariance, 1.0, PREDICTED, planes)
        for point in protocol.constellation.landmarks
    ]


def _middle_mm(protocol: Protocol) -> np.ndarray:
    """(3,) mm: the middle of the brain, and of another anatomy that of the box round its landmarks."""
    if {"AC", "PC"} <= set(protocol.constellation.names):
        return np.array(HEAD_CENTER_MM)
    reference = protocol.constellation.reference_mm
    middle: np.ndarray = (reference.min(axis=0) + reference.max(axis=0)) / 2
    return middle


def register_template(stacks: Sequence[ScoutStack], template: Template, seed: int = 0) -> list[Landmark]:
    """The template's landmarks, carried over to the scouts by affine registration.

    The slices of all planes are pooled as thin sheets of one sparse volume, and the template is registered to
    them jointly: Mattes mutual information (contrasts may differ), first rigid, then similarity, then affine,
    from coarse to fine. It starts with the template's head straight, its crown and sides on the scouts' head;
    slices far below the crown do not count, because templates end at the skull base.

    Args:
        seed: of the metric's random sampling.

    Returns:
        One landmark for each of the template's points.

    Raises:
        InputError: the scouts hold too little for a registration.
    """
    start = head_to_scanner(STRAIGHT, template.points["AC"], acpc_axes(template.points))
    pooled, filled, low_mm = _pool_slices(stacks, blur_mm=POOLED_SPACING_MM)
    in_head = low_mm + np.argwhere(filled & (pooled > FOREGROUND)) * POOLED_SPACING_MM
    if len(in_head) < FEWEST_VOXELS:
        raise InputError("the scouts show no head that a template could be registered to")
    in_template = _foreground_mm(posed_volume(template.volume, start))
    start[:3, 3] += _upper_head_center(in_head) - _upper_head_center(in_template)
    moving = posed_volume(template.volume, start)
    affine = np.linalg.inv(_scouts_to_template(stacks, moving, in_head, seed)) @ start
    planes = tuple(dict.fromkeys(stack.plane for stack in stacks))
    covariance = np.eye(3) * REGISTERED_SD_MM**2
    moved = move_named(affine, template.points)
    return [Landmark(name, point, covariance, 1.0, PREDICTED, planes) for name, point in moved.items()]


def _foreground_mm(volume: Volume, step: int = 3) -> np.ndarray:
    """(n, 3) RAS positions of every ``step``-th voxel that is brighter than air."""
    thinned = volume.array[::step, ::step, ::step]
    index = np.argwhere(thinned > FOREGROUND * np.percentile(thinned, 99)) * step
    return move_points(volume.affine, index)


def _upper_head_center(points_mm: np.ndarray) -> np.ndarray:
    """(3,) RAS: the middle of the head's sides, front and back, HALF_HEIGHT_MM below its crown."""
    crown = np.percentile(points_mm[:, 2], 99.5)
    upper = points_mm[points_mm[:, 2] > crown - 2 * HALF_HEIGHT_MM]
    low, high = np.percentile(upper[:, :2], [2, 98], axis=0)
    return np.array([*(low + high) / 2, crown - HALF_HEIGHT_MM])


def _scouts_to_template(
    stacks: Sequence[ScoutStack], template: Volume, in_head_mm: np.ndarray, seed: int
) -> np.ndarray:
    """(4, 4) affine from RAS points of the scouts to RAS points of the pre-aligned template."""
    import SimpleITK

    center = swap_ras_lps(_upper_head_center(in_head_mm))
    floor_mm = np.percentile(in_head_mm[:, 2], 99.5) - REGISTERED_HEIGHT_MM
    moving = _to_image(template)
    transform: CenteredTransform = SimpleITK.Euler3DTransform()
    transform.SetCenter(center.tolist())
    for kind, blur_mm in SCHEDULE:
        pooled, filled, low_mm = _pool_slices(stacks, blur_mm)
        filled[:, :, : max(0, int((floor_mm - low_mm[2]) / POOLED_SPACING_MM))] = False
        fixed, mask = (_to_image(Volume(array, _grid_affine(low_mm))) for array in (pooled, filled.astype(np.uint8)))
        transform = _next_transform(kind, transform)
        _register(fixed, mask, SimpleITK.SmoothingRecursiveGaussian(moving, blur_mm), transform, seed)
    return _to_ras_affine(transform)


def _register(
    fixed: SimpleITK.Image, mask: SimpleITK.Image, moving: SimpleITK.Image, transform: SimpleITK.Transform, seed: int
) -> None:
    """Improve ``transform`` (fixed to moving points) in place, at one resolution."""
    import SimpleITK

    registration = SimpleITK.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(32)
    registration.SetMetricFixedMask(mask)
    registration.SetMetricSamplingStrategy(registration.RANDOM)
    registration.SetMetricSamplingPercentage(SAMPLING, seed=seed + 1)  # seed 0 would mean the clock
    registration.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.01, numberOfIterations=150, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-6
    )
    registration.SetOptimizerScalesFromPhysicalShift()
    registration.SetInterpolator(SimpleITK.sitkLinear)
    registration.SetInitialTransform(transform, inPlace=True)
    try:
        registration.Execute(fixed, moving)
    except RuntimeError as error:
        raise InputError(f"the template cannot be registered to the scouts ({error})") from error


def _next_transform(kind: str, previous: CenteredTransform) -> CenteredTransform:
    """A transform of the kind that starts where the previous, simpler one ended."""
    import SimpleITK

    transform = SimpleITK.AffineTransform(3) if kind == "AffineTransform" else getattr(SimpleITK, kind)()
    transform.SetCenter(previous.GetCenter())
    transform.SetMatrix(previous.GetMatrix())
    transform.SetTranslation(previous.GetTranslation())
    return transform


def _to_ras_affine(transform: SimpleITK.Transform) -> np.ndarray:
    """(4, 4) RAS matrix of a centred linear transform of LPS points."""
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    images = np.array([swap_ras_lps(transform.TransformPoint(swap_ras_lps(corner).tolist())) for corner in corners])
    affine = np.eye(4)
    affine[:3, 3] = images[0]
    affine[:3, :3] = (images[1:] - images[0]).T
    return affine


def _pool_slices(stacks: Sequence[ScoutStack], blur_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All slices as thin sheets of one volume (i, j, k), the mask of filled voxels, and the RAS position of voxel 0.

    The slices are blurred in their own plane, because blurring the sparse volume would mix in the empty voxels.
    Every stack is brought to the same brightness (its 99th percentile is 1).
    """
    corners = np.concatenate([_corners_mm(s) for stack in stacks for s in stack.slices])
    low = corners.min(axis=0)
    shape = np.ceil((corners.max(axis=0) - low) / POOLED_SPACING_MM).astype(int) + 1
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    for stack in stacks:
        brightness = np.percentile(np.concatenate([s.pixels.ravel() for s in stack.slices]), 99) or 1.0
        for scout_slice in stack.slices:
            _add_slice(total, count, low, scout_slice, blur_mm, brightness)
    filled = count > 0
    total[filled] /= count[filled]
    return total, filled, low


def _grid_affine(low_mm: np.ndarray) -> np.ndarray:
    affine = np.diag([POOLED_SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = low_mm
    return affine


def _add_slice(
    total: np.ndarray, count: np.ndarray, low_mm: np.ndarray, scout_slice: ScoutSlice, blur_mm: float, brightness: float
) -> None:
    """Add one slice to the voxels (i, j, k) whose centres lie nearest to its plane."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    normal = scout_slice.normal
    axes = [low_mm[axis] + np.arange(total.shape[axis]) * POOLED_SPACING_MM for axis in range(3)]
    distance = (
        axes[0][:, None, None] * normal[0] + axes[1][:, None] * normal[1] + axes[2] * normal[2]
    ) - scout_slice.origin_mm @ normal
    index = np.argwhere(np.abs(distance) <= POOLED_SPACING_MM / 2 * np.abs(normal).max())
    row_column = scout_slice.to_pixel(low_mm + index * POOLED_SPACING_MM).T
    blurred = gaussian_filter(scout_slice.pixels, blur_mm / np.array(scout_slice.spacing_mm)) / brightness
    inside = (
        (row_column >= 0).all(axis=0)
        & (row_column[0] <= scout_slice.pixels.shape[0] - 1)
        & (row_column[1] <= scout_slice.pixels.shape[1] - 1)
    )
    i, j, k = index[inside].T
    total[i, j, k] += map_coordinates(blurred, row_column[:, inside], order=1)
    count[i, j, k] += 1


def _corners_mm(scout_slice: ScoutSlice) -> np.ndarray:
    """(4, 3) RAS corners of a slice."""
    rows, columns = scout_slice.pixels.shape
    return scout_slice.to_world(np.array([[0, 0], [rows - 1, 0], [0, columns - 1], [rows - 1, columns - 1]]))


def _to_image(volume: Volume) -> SimpleITK.Image:
    """The volume as a SimpleITK image (LPS); its axes must be perpendicular."""
    import SimpleITK

    voxel_type = np.uint8 if volume.array.dtype == np.uint8 else np.float32
    image = SimpleITK.GetImageFromArray(volume.array.transpose(2, 1, 0).astype(voxel_type))
    columns = swap_ras_lps(volume.affine[:3, :3].T).T
    spacing = np.linalg.norm(columns, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((columns / spacing).ravel().tolist())
    image.SetOrigin(swap_ras_lps(volume.affine[:3, 3]).tolist())
    return image
