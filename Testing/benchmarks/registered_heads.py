"""How one head lies to another image of the same head: all of both volumes, registered rigidly by SimpleITK."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from LandmarkTrainingLib.core.reference_heads.heads import Head

#: Right, anterior and superior of the head's own frame, from and to, in mm: the brain and the skull about it.
_LOW_MM, _HIGH_MM, _STEP_MM = np.array([-80.0, -110.0, -55.0]), np.array([80.0, 85.0, 90.0]), 2.0

#: Fewer steps than these are enough; a step below the smallest ends the search.
_STEPS, _FIRST_STEP, _SMALLEST_STEP = 300, 1.0, 1e-4


def between_heads(first: Head, second: Head) -> np.ndarray:
    """(4, 4): from RAS points of the first head to where the same tissue lies in RAS of the second.

    The landmarks' frames of both are the start.
    """
    fixed, moving = _in_frame(first), _in_frame(second)
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsCorrelation()
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(_FIRST_STEP, _SMALLEST_STEP, _STEPS)
    registration.SetOptimizerScalesFromPhysicalShift()
    middle = fixed.TransformContinuousIndexToPhysicalPoint([size / 2 for size in fixed.GetSize()])
    start = sitk.Euler3DTransform()
    start.SetCenter(middle)
    registration.SetInitialTransform(start)
    found = registration.Execute(fixed, moving)
    step = np.eye(4)
    step[:3, 3] = found.TransformPoint((0.0, 0.0, 0.0))
    for axis in range(3):
        step[:3, axis] = np.array(found.TransformPoint(tuple(np.eye(3)[axis]))) - step[:3, 3]
    return _from_frame(second) @ step @ np.linalg.inv(_from_frame(first))


def _in_frame(head: Head) -> sitk.Image:
    """The head along the axes of its own frame; physical points of the image are positions in the frame, mm."""
    axes = [np.arange(low, high, _STEP_MM) for low, high in zip(_LOW_MM, _HIGH_MM, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    volume = head.volume()
    to_voxel = np.linalg.inv(volume.affine) @ _from_frame(head)
    voxels = np.moveaxis(points @ to_voxel[:3, :3].T + to_voxel[:3, 3], -1, 0)
    values = map_coordinates(volume.array.astype(np.float32), voxels, order=1)
    image = sitk.GetImageFromArray(values.T)  # SimpleITK's first axis is the last of the array
    image.SetSpacing([_STEP_MM] * 3)
    image.SetOrigin(_LOW_MM.tolist())
    return image


def _from_frame(head: Head) -> np.ndarray:
    """(4, 4): from positions in the head's frame to its RAS."""
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = head.axes.T, head.origin_mm
    return transform
