"""Where a plan lies, in the terms that scanners and image formats share: LPS mm, read, phase and slice directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry.oriented_box import OrientedBox
from ..planning.prescription import Prescription, box_from_dicom_geometry


@dataclass(frozen=True, eq=False)
class ScanGeometry:
    """A slab in space, LPS mm (DICOM patient axes).

    Attributes:
        center_mm: (3,) middle of the slab.
        directions: (3, 3), rows read, phase, slice; unit vectors, right-handed. Read and phase run along the rows and
            columns of the prescription's images; phase runs against the rows where it lies along them.
        fov_mm: (3,) along read, phase and slice; the last from the outer face of the first slice to that of the last.
        slices, thickness_mm, gap_mm: of the slab.
    """

    center_mm: np.ndarray
    directions: np.ndarray
    fov_mm: np.ndarray
    slices: int
    thickness_mm: float
    gap_mm: float

    @property
    def spacing_mm(self) -> float:
        """From the centre of a slice to that of the next."""
        return self.thickness_mm + self.gap_mm

    def slice_centers_mm(self) -> np.ndarray:
        """(slices, 3) LPS middle of each slice, along the slice direction."""
        steps = np.arange(self.slices) - (self.slices - 1) / 2
        return self.center_mm + steps[:, None] * self.spacing_mm * self.directions[2]


def scan_geometry(prescription: Prescription) -> ScanGeometry:
    """The slab that a prescription describes."""
    rows, columns = np.reshape(prescription.image_orientation_patient, (2, 3))
    along = np.cross(rows, columns)
    # Of the box axes, the prescription's rows run along the first that is not the slice axis.
    first_in_plane = "anterior" if prescription.slice_axis == "right" else "right"
    read, phase = (rows, columns) if prescription.read_axis == first_in_plane else (columns, -rows)
    slab = prescription.slices * prescription.slice_thickness_mm + (prescription.slices - 1) * prescription.gap_mm
    return ScanGeometry(
        np.array(prescription.center_mm),
        np.array([read, phase, along]),
        np.array([prescription.fov_read_mm, prescription.fov_phase_mm, slab]),
        prescription.slices,
        prescription.slice_thickness_mm,
        prescription.gap_mm,
    )


def box_of_slab(geometry: ScanGeometry, name: str, slice_axis: str | None = None) -> OrientedBox:
    """The box that a slab fills, RAS: the inverse of ``scan_geometry`` where the box holds whole slices.

    Args:
        slice_axis: box axis of the slices; None: the patient axis that fits best.
    """
    read, phase, along = geometry.directions
    corner = geometry.center_mm - geometry.fov_mm[0] / 2 * read - geometry.fov_mm[1] / 2 * phase
    reach = (geometry.slices - 1) / 2 * geometry.spacing_mm * along
    return box_from_dicom_geometry(
        np.concatenate([read, phase]).tolist(),
        (corner - reach).tolist(),
        (corner + reach).tolist(),
        (float(geometry.fov_mm[0]), float(geometry.fov_mm[1])),
        geometry.thickness_mm,
        slice_axis=slice_axis,
        name=name,
    )
