"""Small scouts and image files with them, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES, PLANES, ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes


def tiny_stacks(slices: int = 3, matrix: int = 16) -> list[ScoutStack]:
    """Three stacks of ``slices`` slices of noise around a bright ball, ``matrix`` pixels of 10 mm square."""
    grid = np.stack(np.meshgrid(*[np.arange(24) - 11.5] * 3, indexing="ij"))
    ball = 600.0 * (np.linalg.norm(grid, axis=0) < 8) + np.random.default_rng(1).uniform(0, 40, (24, 24, 24))
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = -115.0
    geometry = ScoutGeometry(slices=slices, slice_spacing_mm=15.0, thickness_mm=6.0, pixel_mm=10.0, matrix=matrix)
    return cut_three_planes(Volume(ball.astype(np.float32), affine), geometry)


def write_nrrd(path: Path, fields: tuple[str, ...], sizes: str = "4 4 2", data: bytes | None = None) -> Path:
    """A raw NRRD of shorts with these geometry fields; the values count up from 0 unless ``data`` is given."""
    lines = ("NRRD0004", "type: short", "dimension: 3", f"sizes: {sizes}", "endian: little", "encoding: raw", *fields)
    if data is None:
        data = np.arange(np.prod([int(n) for n in sizes.split()])).astype("<i2").tobytes()
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + data)
    return path


def write_image(stack: ScoutStack, path: Path, **options: object) -> Path:
    """A stack in standard orientation as an image file that SimpleITK writes, array order (slice, row, column)."""
    import SimpleITK as sitk

    column, row = IN_PLANE_AXES[stack.plane]
    first = stack.slices[0]
    image = sitk.GetImageFromArray(np.stack([s.pixels for s in stack.slices]).round().astype(np.int16))
    gap = float(np.diff(stack.positions_mm).mean()) if len(stack.slices) > 1 else 5.0
    directions_ras = np.eye(3)[[column, row, PLANES.index(stack.plane)]].T
    image.SetSpacing((first.spacing_mm[1], first.spacing_mm[0], gap))
    image.SetDirection((np.diag([-1.0, -1.0, 1.0]) @ directions_ras).ravel().tolist())
    image.SetOrigin((first.origin_mm * [-1.0, -1.0, 1.0]).tolist())
    sitk.WriteImage(image, str(path), **options)
    return path
