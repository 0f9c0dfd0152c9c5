"""How scanners state the pose of slices. All vectors are DICOM patient axes: L, P, S (= H) positive.

Sources: Siemens slice classification and phase vector as re-implemented in spec2nii (MRM
2022;88:2358); Philips angulations as read by nibabel's PAR/REC reader.
"""

from __future__ import annotations

import math

import numpy as np

from ..geometry.rotations import tilts_of_rotation

#: Siemens' letters for slices whose normal is nearest to L, P, S.
SIEMENS_LETTERS = ("S", "C", "T")
ORIENTATIONS = ("sagittal", "coronal", "transverse")

#: Components of the normal that differ by less than this count as equal.
TIE = 1e-6

#: Tilts that would be typed as 0.0 are left out.
_SHOWN_DEG = 0.05


def base_orientation(normal: np.ndarray) -> int:
    """0 sagittal, 1 coronal, 2 transverse: the largest component of ``normal`` (3,), ties to the later one."""
    size = np.abs(normal)
    return max(axis for axis in range(3) if size[axis] >= size.max() - TIE)


def siemens_normal(axis: np.ndarray) -> np.ndarray:
    """``axis`` (3,) or its opposite, whichever has a positive component along its base orientation."""
    return axis if axis[base_orientation(axis)] >= 0 else -axis


def siemens_phase_and_read(normal: np.ndarray, in_plane_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Phase and read directions (3,) of slices with that normal and in-plane rotation.

    Unrotated the phase vector is (0, t, -c), (c, -s, 0) or (-c, s, 0) for a transverse, coronal or
    sagittal normal (s, c, t); read = normal x phase; phase' = cos phase - sin read.
    """
    s, c, t = normal
    phase = {2: np.array([0.0, t, -c]), 1: np.array([c, -s, 0.0]), 0: np.array([-c, s, 0.0])}[base_orientation(normal)]
    phase = phase / np.linalg.norm(phase)
    angle = math.radians(in_plane_deg)
    phase = math.cos(angle) * phase - math.sin(angle) * np.cross(normal, phase)
    return phase, np.cross(normal, phase)


def siemens_in_plane_deg(normal: np.ndarray, phase: np.ndarray) -> float:
    """In-plane rotation in (-45, 135] whose phase direction is parallel or opposite to ``phase`` (3,).

    The range keeps small deviations from the usual 0 and 90 deg free of jumps.
    """
    plain, read = siemens_phase_and_read(normal, 0.0)
    angle = math.degrees(math.atan2(-float(phase @ read), float(phase @ plain)))
    return 135.0 - (135.0 - angle) % 180.0


def siemens_oblique_text(normal: np.ndarray) -> str:
    """Double-oblique orientation such as ``T > C -12.3 > S 4.5``.

    The base letter, then the tilt towards the second largest component, then the tilt of the
    result towards the third: normal = cos b (cos a base - sin a second) - sin b third. A positive
    tilt rotates the normal away from L, P or H: so do the texts of element (0051,100E) in public headers with their
    normals (transverse, coronal and sagittal; test_console_evidence.py).

    Args:
        normal: (3,) unit, positive along its base orientation.
    """
    base = base_orientation(normal)
    second, third = sorted((axis for axis in range(3) if axis != base), key=lambda axis: -abs(normal[axis]))
    a = math.degrees(math.atan2(-normal[second], normal[base]))
    b = math.degrees(math.asin(float(np.clip(-normal[third], -1, 1))))
    text = SIEMENS_LETTERS[base]
    for letter, angle in ((SIEMENS_LETTERS[second], a), (SIEMENS_LETTERS[third], b)):
        if abs(angle) >= _SHOWN_DEG:
            text += f" > {letter} {angle:.1f}"
    return text


def philips_angulation_deg(axes: np.ndarray) -> tuple[float, float, float]:
    """Angulations (AP, FH, RL) of a box with the axes (3, 3), rows left, posterior, superior in LPS.

    The box is the unrotated one rotated by R_L(rl) R_P(ap) R_S(fh), right-handed: so do the slices of public PAR
    headers lie (test_console_evidence.py).
    """
    rl, ap, fh = np.rad2deg(tilts_of_rotation(np.asarray(axes).T))
    return float(ap), float(fh), float(rl)


def side_text(point: np.ndarray) -> str:
    """A point (3,) as typed at a console: ``L 1.2, P 3.4, H 5.6`` (mm)."""
    sides = (("L", "R"), ("P", "A"), ("H", "F"))
    return ", ".join(
        f"{names[bool(value < -0.05)]} {abs(value):.1f}" for names, value in zip(sides, point, strict=True)
    )
