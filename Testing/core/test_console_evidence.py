"""Signs and letters of the console cards against what scanners wrote into public headers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps, unit
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.console.ge import slice_centers_mm
from AutoVolumeCalibrationLib.core.planning.console.sides import side, sides
from AutoVolumeCalibrationLib.core.planning.prescription import box_from_dicom_geometry, prescribe
from AutoVolumeCalibrationLib.core.planning.scanner_conventions import (
    philips_angulation_deg,
    siemens_in_plane_deg,
    siemens_normal,
    siemens_oblique_text,
    siemens_phase_and_read,
)
from scanner_terms import philips_axes

#: Element (0051,100E) or the protocol's text, with the slice normal (L, P, H) of the same series.
SIEMENS_PRINTED = [
    ("Tra>Cor(-3.2)", (0.0, 0.0558, 0.9984)),
    ("Tra>Cor(-10.3)", (0.0, 0.1788, 0.9839)),
    ("Tra>Cor(-6.2)", (0.0, 0.108, 0.9942)),
    ("Tra>Cor(-0.3)", (0.0, 0.005235963828, 0.9999862922)),
    ("Cor>Tra(8.8)", (0.0, 0.9882, -0.153)),
    ("T > S 6.3 > C -3.8", (-0.1087323357, 0.06708937544, 0.9918045649)),
    ("T > C -23.9 > S 4.5", (-0.07818081918, 0.4036100151, 0.9115847274)),
]

#: The same with the row and column of ImageOrientationPatient.
SIEMENS_PRINTED_IMAGES = [
    ("Sag>Tra(3.1)>Cor(1.7)", (0.0295660729, 0.9995628281, 0.0), (-0.0531693339, 0.0015727052, -0.9985842721)),
    ("Sag>Cor(-41.0)", (-0.6562269603, 0.754563567, 0.0), (0.0, 0.0, -1.0)),
]

#: PAR headers of a Philips Achieva: angulation (AP, FH, RL) in degrees, slice orientation, and the midpoints
#: (AP, FH, RL) in mm of two slices as the scanner wrote them.
PHILIPS_SLICES = [
    ((-13.265, 0.0, 0.0), "superior", (2.51, -0.81, -8.69), (2.51, 6.98, -10.53)),
    ((0.0, 0.0, 15.0), "anterior", (-42.16, -16.66, 0.0), (-38.97, -15.80, 0.0)),
    ((15.0, 0.0, 0.0), "right", (0.0, -16.66, 62.16), (0.0, -15.80, 58.97)),
    ((0.0, 15.0, 0.0), "right", (16.66, 0.0, 62.16), (15.80, 0.0, 58.97)),
    ((0.109, -18.122, 13.705), "superior", (34.69, -43.87, 16.27), (33.86, -40.47, 16.28)),
    ((5.0, 15.0, 30.0), "superior", (16.86, -34.03, -7.40), (6.40, -15.91, -5.57)),
]

_ROW = {"right": 0, "anterior": 1, "superior": 2}


def short(text: str) -> str:
    """A printed text in the short form: "Tra>Cor(-3.2)" becomes "T > C -3.2"."""
    if "(" not in text:
        return text
    base, *tilts = text.replace(")", "").split(">")
    return " > ".join([base[0], *(f"{tilt.split('(')[0][0]} {tilt.split('(')[1]}" for tilt in tilts)])


@pytest.mark.parametrize(("text", "normal"), SIEMENS_PRINTED)
def test_the_orientation_reads_as_siemens_printed_it(text, normal):
    assert siemens_oblique_text(unit(np.array(normal))) == short(text)


@pytest.mark.parametrize(("text", "row", "column"), SIEMENS_PRINTED_IMAGES)
def test_the_orientation_of_an_image_reads_as_siemens_printed_it(text, row, column):
    assert siemens_oblique_text(siemens_normal(unit(np.cross(row, column)))) == short(text)


def test_an_in_plane_rotation_of_a_quarter_turn_is_that_of_a_siemens_spectroscopy_header():
    # VOINormal, VOIRotationInPlane 1.570796, RowVector and ColumnVector of an RDA header: read and phase.
    normal = unit(np.array([0.017423, -0.057566, 0.998190]))
    phase, read = siemens_phase_and_read(normal, 90.0)
    assert read == pytest.approx((0.0, 0.998342, 0.057575), abs=1e-4)
    assert phase == pytest.approx((0.999849, 0.001003, -0.017394), abs=1e-4)
    assert siemens_in_plane_deg(normal, phase) == pytest.approx(90)


def test_a_siemens_position_has_the_letter_of_the_side_first():
    # (0051,100D) and SliceLocation of the same sagittal images.
    assert "SP " + side(93.145752848251, "L") == "SP L93.1"
    assert "SP " + side(-0.1, "L") == "SP R0.1"


@pytest.mark.parametrize(("angulation", "slice_axis", "first", "second"), PHILIPS_SLICES)
def test_the_angulation_places_the_slices_where_philips_did(angulation, slice_axis, first, second):
    ap, fh, rl = np.array(second) - np.array(first)
    normal = unit(np.array([rl, ap, fh]))
    axes = philips_axes(angulation)
    assert abs(normal @ axes[_ROW[slice_axis]]) == pytest.approx(1, abs=1e-4)
    assert philips_angulation_deg(axes) == pytest.approx(angulation, abs=1e-6)


def ge_box() -> OrientedBox:
    """The slice of a public header of an oblique GE series: IOP, IPP, 256 x 256 pixels of 1.0156 mm, 6 mm thick."""
    position = (-122.569, -74.361, -30.5999)
    orientation = (0.999656, 0.0136111, -0.0224004, -0.00833165, 0.975172, 0.221293)
    fov = (256 * 1.0156, 256 * 1.0156)
    return box_from_dicom_geometry(
        orientation, position, position, fov, 6.0, pixel_mm=(1.0156, 1.0156), slice_axis="superior", name="box"
    )


def test_a_ge_location_is_the_coordinate_of_the_slice_centre():
    # (0027,1040) and (0027,1041) of that header: I, -4.845304.
    rule = replace(box_rule(load_protocol("BrainAcPc")), slice_thickness_mm=6.0, gap_mm=1.0)
    prescription = prescribe(ge_box(), rule)
    assert prescription.slices == 1
    first, _ = slice_centers_mm(prescription)
    assert first[2] == pytest.approx(-4.845304, abs=1e-3)
    assert sides(swap_ras_lps(first), "RAS")[2] == "I4.8"
