"""Oblique, off-centre plans for the exports: every sign and every order of axes shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.prescription import Prescription, prescribe
from calibrations import RULE

#: (slice axis, phase axis) of every way to lay slices through a box.
SLABS = [(s, p) for s in BOX_AXES for p in BOX_AXES if s != p]

#: Rotations about right, anterior, superior (deg) and centre (RAS mm).
TILTS_DEG, CENTER_MM = (-18.0, 7.0, 12.0), np.array([12.0, -20.0, 31.0])

SLICES, THICKNESS_MM, GAP_MM = 16, 3.0, 0.5


def oblique_plan(slice_axis: str = "superior", phase_axis: str = "right") -> tuple[OrientedBox, Prescription]:
    """A box of three different edges that whole slices fill, and its prescription."""
    rule = replace(RULE, slice_axis=slice_axis, phase_axis=phase_axis, slice_thickness_mm=THICKNESS_MM, gap_mm=GAP_MM)
    size = np.array([160.0, 210.0, 180.0])
    size[BOX_AXES.index(slice_axis)] = SLICES * THICKNESS_MM + (SLICES - 1) * GAP_MM
    axes = Rotation.from_euler("XYZ", TILTS_DEG, degrees=True).as_matrix().T
    box = OrientedBox("Oblique", CENTER_MM, axes, size)
    return box, prescribe(box, rule)


def assert_same_box(found: OrientedBox, box: OrientedBox, atol: float = 1e-3) -> None:
    """Same place, orientation and size, in mm (axes: at the ends of a metre)."""
    np.testing.assert_allclose(found.center_mm, box.center_mm, atol=atol)
    np.testing.assert_allclose(found.axes, box.axes, atol=atol / 1000)
    np.testing.assert_allclose(found.size_mm, box.size_mm, atol=atol)
