"""How the patient lies in the scanner: from DICOM's patient axes to the axes of the device."""

from __future__ import annotations

import numpy as np

from ...errors import UsageError

#: What is assumed where nothing states the position: head first, supine.
HEAD_FIRST_SUPINE = "HFS"

#: PatientPosition -> the device directions of the patient's left, posterior and head side. The device axes are those
#: that coincide with L, P, H for a patient who lies head first and supine: x to that patient's left, y down, z into
#: the bore. (DICOM PS3.3 C.7.3.1.1.2; a decubitus letter names the side that lies down.)
_SIDES = {
    "HFS": ("+x", "+y", "+z"),
    "HFP": ("-x", "-y", "+z"),
    "HFDR": ("-y", "+x", "+z"),
    "HFDL": ("+y", "-x", "+z"),
    "FFS": ("-x", "+y", "-z"),
    "FFP": ("+x", "-y", "-z"),
    "FFDR": ("-y", "-x", "-z"),
    "FFDL": ("+y", "+x", "-z"),
}
POSITIONS = tuple(_SIDES)


def device_from_lps(patient_position: str) -> np.ndarray:
    """(3, 3) rotation: device = matrix @ LPS.

    Raises:
        UsageError: DICOM knows no such patient position.
    """
    if patient_position not in _SIDES:
        raise UsageError(
            f"{patient_position!r} is not a patient position", remedy=f"Choose one of: {', '.join(POSITIONS)}."
        )
    matrix = np.zeros((3, 3))
    for column, side in enumerate(_SIDES[patient_position]):
        matrix["xyz".index(side[1]), column] = 1.0 if side[0] == "+" else -1.0
    return matrix
