"""A scan box in the terms of a scanner and of DICOM.

Conventions: everything in a ``Prescription`` is LPS mm. Images are displayed as usual: rows run to the
patient's left (sagittal: posterior), columns run posterior (sagittal, coronal: down). Slices are
counted along rows x columns. No matrix is chosen here, so the ImagePositionPatient given is the
*corner of the field of view* in the middle of the slice's thickness; a pixel centre lies half a
pixel further along rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations, product
from typing import Any

import numpy as np

from ..anatomy.protocol import BOX_AXES, BoxRule, third_axis
from ..geometry.coordinates import swap_ras_lps, unit
from ..geometry.oriented_box import OrientedBox
from .scanner_conventions import (
    ORIENTATIONS,
    base_orientation,
    philips_angulation_deg,
    side_text,
    siemens_in_plane_deg,
    siemens_normal,
    siemens_oblique_text,
    siemens_phase_and_read,
)

Vector = tuple[float, float, float]

#: Of every position and direction in a prescription; the rest of a result is RAS.
COORDINATE_SYSTEM = "LPS"

#: Signed box axes (index, sign) along which rows, columns and slices run, by slice axis.
_IMAGE_AXES = {
    "right": ((1, -1), (2, -1), (0, 1)),
    "anterior": ((0, -1), (2, -1), (1, -1)),
    "superior": ((0, -1), (1, -1), (2, 1)),
}

_SIDES_LPS = (("R", "L"), ("A", "P"), ("F", "H"))


@dataclass(frozen=True)
class Prescription:
    """What is typed at the scanner. LPS mm and degrees throughout; plain numbers, so it compares and prints.

    Attributes:
        box: name of the box.
        center_mm: middle of the slab.
        normal: unit slice normal, positive along its base orientation.
        base_orientation: "sagittal", "coronal" or "transverse", by the largest component of the normal.
        orientation_text: double-oblique form such as "T > C -12.3 > S 4.5", with the signs of Siemens.
        in_plane_deg: Siemens in-plane rotation.
        philips_offcentre_mm, philips_angulation_deg: (AP, FH, RL), positive towards P, H, L.
        fov_read_mm, fov_phase_mm: field of view.
        phase_direction: such as "A >> P".
        slices, slice_thickness_mm, gap_mm: the slab.
        slice_axis, phase_axis: box axes, "right", "anterior" or "superior".
        image_orientation_patient: row then column direction.
        first_position_mm, last_position_mm: corner of the field of view in the first and last slice.
    """

    box: str
    center_mm: Vector
    normal: Vector
    base_orientation: str
    orientation_text: str
    in_plane_deg: float
    philips_offcentre_mm: Vector
    philips_angulation_deg: Vector
    fov_read_mm: float
    fov_phase_mm: float
    phase_direction: str
    slices: int
    slice_thickness_mm: float
    gap_mm: float
    slice_axis: str
    phase_axis: str
    image_orientation_patient: tuple[float, float, float, float, float, float]
    first_position_mm: Vector
    last_position_mm: Vector

    @property
    def read_axis(self) -> str:
        """The box axis of frequency encoding, the third one."""
        return third_axis(self.slice_axis, self.phase_axis)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON knows them; ``prescription_from_dict`` is the inverse."""
        fields = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        # Of the whole result this part alone is not in RAS.
        return {"coordinate_system": COORDINATE_SYSTEM, **fields}

    def to_text(self) -> str:
        """What a technologist types, one quantity a line."""
        ap, fh, rl = self.philips_angulation_deg
        off_ap, off_fh, off_rl = self.philips_offcentre_mm
        # No console takes more than 100 % phase; the cards widen read.
        longer = " (phase is longer: widen read, see the console card)" if self.fov_phase_mm > self.fov_read_mm else ""
        return "\n".join(
            [
                f"Box             {self.box}",
                f"Centre          {side_text(np.array(self.center_mm))} mm",
                f"Orientation     {self.orientation_text} deg (Siemens; {self.base_orientation})",
                f"In-plane        {self.in_plane_deg:.1f} deg (Siemens), phase {self.phase_direction}",
                f"FOV read/phase  {self.fov_read_mm:.1f} x {self.fov_phase_mm:.1f} mm{longer}",
                f"Slices          {self.slices} x {self.slice_thickness_mm:g} mm, gap {self.gap_mm:g} mm",
                f"Normal (L P H)  {_numbers(self.normal, 4)}",
                f"Philips         off-centre AP {off_ap:.1f} FH {off_fh:.1f} RL {off_rl:.1f} mm, "
                f"angulation AP {ap:.1f} FH {fh:.1f} RL {rl:.1f} deg",
                f"DICOM IOP       {_numbers(self.image_orientation_patient, 5)}",
                f"DICOM IPP       first {_numbers(self.first_position_mm, 2)}, "
                f"last {_numbers(self.last_position_mm, 2)} (corner of the field of view)",
            ]
        )


def prescribe(box: OrientedBox, rule: BoxRule) -> Prescription:
    """The box with the slices and the phase direction of ``rule``.

    Where the box does not hold whole slices (``round_up_to_slices`` is off, or the user changed
    it), the fewest slices that cover it are prescribed, centred on it.
    """
    slice_index, phase_index = BOX_AXES.index(rule.slice_axis), BOX_AXES.index(rule.phase_axis)
    read_index = 3 - slice_index - phase_index
    axes, center = swap_ras_lps(box.axes), swap_ras_lps(box.center_mm)
    normal = siemens_normal(axes[slice_index])
    in_plane = siemens_in_plane_deg(normal, axes[phase_index])
    slices = rule.slice_count(float(box.size_mm[slice_index]))
    rows, columns, along = (sign * axes[index] for index, sign in _IMAGE_AXES[rule.slice_axis])
    fov = [box.size_mm[index] for index, _ in _IMAGE_AXES[rule.slice_axis][:2]]
    reach = (slices - 1) / 2 * (rule.slice_thickness_mm + rule.gap_mm)
    corner = center - fov[0] / 2 * rows - fov[1] / 2 * columns
    return Prescription(
        box=box.name,
        center_mm=_vector(center),
        normal=_vector(normal),
        base_orientation=ORIENTATIONS[base_orientation(normal)],
        orientation_text=siemens_oblique_text(normal),
        in_plane_deg=in_plane,
        philips_offcentre_mm=_vector(center[[1, 2, 0]]),
        philips_angulation_deg=philips_angulation_deg(axes * [[-1], [-1], [1]]),
        fov_read_mm=float(box.size_mm[read_index]),
        fov_phase_mm=float(box.size_mm[phase_index]),
        phase_direction=_direction_text(siemens_phase_and_read(normal, in_plane)[0]),
        slices=slices,
        slice_thickness_mm=rule.slice_thickness_mm,
        gap_mm=rule.gap_mm,
        slice_axis=rule.slice_axis,
        phase_axis=rule.phase_axis,
        image_orientation_patient=(*_vector(rows), *_vector(columns)),
        first_position_mm=_vector(corner - reach * along),
        last_position_mm=_vector(corner + reach * along),
    )


def prescription_from_dict(data: Mapping[str, Any]) -> Prescription:
    """The prescription that ``to_dict`` wrote."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    fields.pop("coordinate_system", None)  # results of earlier versions do not state it
    return Prescription(**fields)


def box_from_dicom_geometry(
    image_orientation_patient: Sequence[float],
    first_position_mm: Sequence[float],
    last_position_mm: Sequence[float],
    fov_mm: tuple[float, float],
    slice_thickness_mm: float,
    *,
    pixel_mm: tuple[float, float] = (0.0, 0.0),
    slice_axis: str | None = None,
    name: str = "",
) -> OrientedBox:
    """The box that a stack of DICOM slices fills, slice thickness included.

    Args:
        image_orientation_patient: (6,) row then column direction, LPS.
        first_position_mm, last_position_mm: (3,) ImagePositionPatient of the outer slices, LPS.
        fov_mm: field of view (along the rows, along the columns).
        pixel_mm: pixel size (along the rows, along the columns) where the positions are pixel centres,
            as in DICOM; (0, 0) where they are corners of the field of view.
        slice_axis: box axis of the slices; None: the patient axis that fits best.
    """
    rows, columns = np.reshape(np.asarray(image_orientation_patient, dtype=float), (2, 3))
    rows = unit(rows)
    columns = unit(columns - (columns @ rows) * rows)
    normal = np.cross(rows, columns)
    first, last = np.asarray(first_position_mm, dtype=float), np.asarray(last_position_mm, dtype=float)
    corner = (first + last) / 2 - pixel_mm[0] / 2 * rows - pixel_mm[1] / 2 * columns
    center = corner + fov_mm[0] / 2 * rows + fov_mm[1] / 2 * columns
    directions = swap_ras_lps(np.array([rows, columns, normal]))
    size = np.array([fov_mm[0], fov_mm[1], abs(float((last - first) @ normal)) + slice_thickness_mm])
    order = _nearest_order(directions, slice_axis)
    return OrientedBox(name, swap_ras_lps(center), _nearest_signs(directions[order]), size[order])


def _nearest_order(directions: np.ndarray, slice_axis: str | None) -> list[int]:
    """Which of (row, column, slice) direction serves as right, anterior, superior axis of the box."""
    orders = [list(o) for o in permutations(range(3)) if slice_axis is None or o[BOX_AXES.index(slice_axis)] == 2]
    return max(orders, key=lambda order: float(np.abs(np.diag(directions[order])).sum()))


def _nearest_signs(axes: np.ndarray) -> np.ndarray:
    """Rows of ``axes`` (3, 3) with the signs, det +1, that turn them least against the patient's axes."""
    signed = (axes * np.array(signs)[:, None] for signs in product((1, -1), repeat=3))
    return max((a for a in signed if np.linalg.det(a) > 0), key=np.trace)


def _direction_text(direction: np.ndarray) -> str:
    axis = base_orientation(direction)
    names = _SIDES_LPS[axis] if direction[axis] > 0 else _SIDES_LPS[axis][::-1]
    return f"{names[0]} >> {names[1]}"


def _vector(values: np.ndarray) -> Vector:
    """``values`` (3,) as plain numbers, none of them -0.0."""
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z


def _numbers(values: Sequence[float], decimals: int) -> str:
    return " ".join(f"{value:.{decimals}f}" for value in values)
