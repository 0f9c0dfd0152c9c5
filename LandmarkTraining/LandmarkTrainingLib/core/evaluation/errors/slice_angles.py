"""How far the planned slices are rotated against the true ones: out of their plane, and within it."""

from __future__ import annotations

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, BoxRule
from AutoVolumeCalibrationLib.core.geometry.coordinates import unit
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about


def slice_angles_deg(found: OrientedBox, true: OrientedBox, rule: BoxRule) -> tuple[float, float]:
    """(angle between the normals of the slices, rotation within the slices), both deg and not negative.

    The rotation within the slices is that of the phase axis, once the found normal is on the true one by the shortest
    way.
    """
    normal, phase = BOX_AXES.index(rule.slice_axis), BOX_AXES.index(rule.phase_axis)
    across = np.cross(found.axes[normal], true.axes[normal])
    sine, cosine = float(np.linalg.norm(across)), float(found.axes[normal] @ true.axes[normal])
    between = float(np.arctan2(sine, cosine))
    turned = found.axes[phase]
    if sine > 1e-12:
        turned = rotation_about(unit(across) * between) @ turned
    within = np.arctan2(np.linalg.norm(np.cross(turned, true.axes[phase])), turned @ true.axes[phase])
    return float(np.rad2deg(between)), float(np.rad2deg(within))
