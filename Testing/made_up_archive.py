"""A made-up archive: exams with a localizer and a series that a technologist planned on it, in the forms of vendors.

The technologist has a habit and a scatter about it; some exams are planned otherwise. Patients have names and dates, so
that tests can look for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, BoxRule, FaceRule, Protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack
from dicom_localizers import write_localizer

if TYPE_CHECKING:
    from pydicom import Dataset

#: Ways of planning otherwise: another tilt, another region, phase and read exchanged.
OTHERWISE = ("tilt", "region", "phase")
OTHER_TILT_DEG, OTHER_REGION_MM = -14.0, 70.0

#: How exams are stored: what the localizer is called, enhanced or not, and whether images are padded to squares.
FORMS = {
    "Siemens": ("localizer", False, False),
    "GE": ("3-Plane Loc", False, True),
    "Philips": ("Survey", True, False),
    "Siemens XA": ("AAHead_Scout", True, False),
}

#: Pixels along the longer side of a planned image: its content does not matter.
MATRIX = 32

PATIENT, BIRTH, DATE = "Quillfeather^Ottoline", "19610704", "20190823"


@dataclass(frozen=True)
class Technologist:
    """A habit, and the standard deviations of every angle, face and field of view's middle about it."""

    tilt_deg: tuple[float, float, float] = (9.0, 0.0, 0.0)
    inferior_mm: float = 4.0
    superior_mm: float = 10.0
    fov_mm: tuple[float, float] = (200.0, 230.0)
    off_middle_mm: tuple[float, float] = (0.0, 4.0)
    thickness_mm: float = 4.0
    gap_mm: float = 0.4
    phase_axis: str = "right"
    sd_deg: float = 1.5
    sd_mm: float = 2.0

    def box(
        self, frame: AnatomicalFrame, protocol: Protocol, rng: np.random.Generator | None = None, otherwise: str = ""
    ) -> OrientedBox:
        """The box for a head: as intended, or with the scatter of one exam where ``rng`` is given."""
        rule = self._rule(protocol.boxes[0], rng, otherwise)
        box = plan_box(frame, protocol, rule)
        return replace(box, center_mm=box.center_mm - OTHER_REGION_MM * box.axes[2]) if otherwise == "region" else box

    def _rule(self, rule: BoxRule, rng: np.random.Generator | None, otherwise: str) -> BoxRule:
        draw = rng.normal(size=7) if rng else np.zeros(7)
        tilt = np.array(self.tilt_deg) + draw[:3] * self.sd_deg
        if otherwise == "tilt":
            tilt[0] = OTHER_TILT_DEG
        fov = self.fov_mm[::-1] if otherwise == "phase" else self.fov_mm
        middle = np.array(self.off_middle_mm) + draw[3:5] * self.sd_mm
        margins = (self.inferior_mm + draw[5] * self.sd_mm, self.superior_mm + draw[6] * self.sd_mm)
        faces = {}
        for number, face in enumerate(FACES):
            marks = rule.faces[face].landmarks
            if number < 4:
                both = (*rule.faces[FACES[number & 2]].landmarks, *rule.faces[FACES[number | 1]].landmarks)
                length = fov[number // 2] / 2 + (middle[number // 2] if number % 2 else -middle[number // 2])
                faces[face] = FaceRule(marks, 0.0, anchor=both, length_mm=length)
            else:
                faces[face] = FaceRule(marks, margins[number - 4])
        about_right, about_anterior, about_superior = map(float, tilt)
        return replace(
            rule,
            faces=faces,
            tilt_deg=(about_right, about_anterior, about_superior),
            slice_thickness_mm=self.thickness_mm,
            gap_mm=self.gap_mm,
            round_up_to_slices=True,
        )

    def phase_of(self, otherwise: str = "") -> str:
        """Axis of phase encoding."""
        return {"right": "anterior", "anterior": "right"}[self.phase_axis] if otherwise == "phase" else self.phase_axis


def write_exam(
    folder: Path,
    number: int,
    scouts: Sequence[ScoutStack],
    box: OrientedBox,
    technologist: Technologist,
    *,
    otherwise: str = "",
) -> Path:
    """A localizer and the axial series of ``box``, in the form of one vendor after the other; returns the folder."""
    vendor = list(FORMS)[number % len(FORMS)]
    title, enhanced, padded = FORMS[vendor]
    study = f"made-up {number}"
    phase = technologist.phase_of(otherwise)
    stack, share = _series(box, technologist, phase, padded)
    localizer = _edit(number, vendor, 1, title)
    write_localizer(scouts, folder / "localizer", study=study, multiframe=enhanced, edit=localizer)
    along = "ROW" if phase == "right" else "COLUMN" if enhanced else "COL"
    planned = _edit(number, vendor, 2, "t2_tse_tra", along, share * 100, enhanced)
    write_localizer([stack], folder / "t2", study=study, multiframe=enhanced, edit=planned)
    return folder


def _series(box: OrientedBox, technologist: Technologist, phase_axis: str, padded: bool) -> tuple[ScoutStack, float]:
    """Axial slices that fill the box, and the share of the read field of view that is encoded in phase."""
    pitch = technologist.thickness_mm + technologist.gap_mm
    count = round((box.size_mm[2] + technologist.gap_mm) / pitch)
    phase, read = box.size_mm[BOX_AXES.index(phase_axis)], box.size_mm[1 - BOX_AXES.index(phase_axis)]
    share = min(1.0, float(phase / read))
    across, down = (max(phase, read),) * 2 if padded else box.size_mm[:2]
    pixel = max(across, down) / MATRIX
    columns, rows = round(across / pixel), round(down / pixel)
    spacing = (float(down / rows), float(across / columns))
    right, anterior, superior = box.axes
    corner = box.center_mm + right * (across - spacing[1]) / 2 + anterior * (down - spacing[0]) / 2
    pixels = np.random.default_rng(count).uniform(50, 200, (rows, columns)).astype(np.float32)
    places = [corner + superior * (k - (count - 1) / 2) * pitch for k in range(count)]
    slices = [ScoutSlice(pixels, place, -right, -anterior, spacing, technologist.thickness_mm) for place in places]
    return ScoutStack("axial", tuple(slices)), share


def _edit(
    number: int, vendor: str, series: int, title: str, along: str = "", percent: float = 100.0, enhanced: bool = False
) -> Callable[[Dataset, int], None]:
    """What a scanner and a registration desk add to the header."""

    def edit(dataset: Dataset, _index: int) -> None:
        from pydicom import Dataset as Item

        dataset.SeriesInstanceUID = f"{dataset.StudyInstanceUID[:50]}.{series}"
        dataset.SeriesNumber, dataset.SeriesDescription, dataset.Manufacturer = series, title, vendor
        dataset.PatientName, dataset.PatientID = f"{PATIENT}^{number}", f"QF{number:05d}"
        dataset.PatientBirthDate, dataset.StudyDate, dataset.SeriesDate = BIRTH, DATE, DATE
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
        if along:
            holder = Item() if enhanced else dataset
            holder.InPlanePhaseEncodingDirection, holder.PercentPhaseFieldOfView = along, f"{percent:.4f}"
            if enhanced:
                dataset.SharedFunctionalGroupsSequence[0].MRFOVGeometrySequence = [holder]

    return edit
