"""The way back from scanner terms to boxes: for the properties that the tests check."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.prescription import Prescription
from AutoVolumeCalibrationLib.core.planning.scanner_conventions import siemens_phase_and_read


def box_from_prescription(prescription: Prescription) -> OrientedBox:
    """The box that the prescribed slices fill, from centre, normal, in-plane rotation and sizes.

    A half turn leaves a slab in place, so of the axes' four signs those nearest to the patient's are given.
    """
    p = prescription
    slice_index, phase_index = BOX_AXES.index(p.slice_axis), BOX_AXES.index(p.phase_axis)
    read_index = BOX_AXES.index(p.read_axis)
    phase, read = siemens_phase_and_read(np.array(p.normal), p.in_plane_deg)
    axes, size = np.empty((3, 3)), np.empty(3)
    axes[slice_index], axes[phase_index], axes[read_index] = swap_ras_lps(np.array([p.normal, phase, read]))
    size[slice_index] = p.slices * p.slice_thickness_mm + (p.slices - 1) * p.gap_mm
    size[phase_index], size[read_index] = p.fov_phase_mm, p.fov_read_mm
    signed = (axes * np.array(signs)[:, None] for signs in product((1, -1), repeat=3))
    nearest = max((a for a in signed if np.linalg.det(a) > 0), key=np.trace)
    return OrientedBox(p.box, swap_ras_lps(np.array(p.center_mm)), nearest, size)


def philips_axes(angulation_deg: tuple[float, float, float]) -> np.ndarray:
    """(3, 3), rows left, posterior, superior in LPS, turned by angulations (AP, FH, RL): RL after AP after FH."""
    ap, fh, rl = angulation_deg
    return Rotation.from_euler("XYZ", [rl, ap, fh], degrees=True).as_matrix().T
