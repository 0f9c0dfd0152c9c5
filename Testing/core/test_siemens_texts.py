"""Orientations as Siemens scanners printed them, with the slice normals of the same public headers."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.geometry.coordinates import unit
from AutoVolumeCalibrationLib.core.planning.scanner_conventions import siemens_normal, siemens_oblique_text

#: Element (0051,100E), or the text of the protocol, with the normal (L, P, H) of the slices.
PRINTED = [
    ("Tra>Cor(-3.2)", (0.0, 0.0558, 0.9984)),
    ("Tra>Cor(-10.3)", (0.0, 0.1788, 0.9839)),
    ("Tra>Cor(-6.2)", (0.0, 0.108, 0.9942)),
    ("Cor>Tra(8.8)", (0.0, 0.9882, -0.153)),
    ("T > S 6.3 > C -3.8", (-0.1087323357, 0.06708937544, 0.9918045649)),
    ("T > C -23.9 > S 4.5", (-0.07818081918, 0.4036100151, 0.9115847274)),
]

#: The same with ImageOrientationPatient.
PRINTED_WITH_IMAGE_AXES = [
    (
        "Sag>Tra(3.1)>Cor(1.7)",
        (0.02956607291768, 0.99956282810648, 0.0),
        (-0.0531693338709, 0.00157270521355, -0.9985842721243),
    ),
]


def short(text: str) -> str:
    """A printed text in the short form: "Tra>Cor(-3.2)" becomes "T > C -3.2"."""
    if "(" not in text:
        return text
    base, *tilts = text.replace(")", "").split(">")
    return " > ".join([base[0], *(f"{tilt.split('(')[0][0]} {tilt.split('(')[1]}" for tilt in tilts)])


@pytest.mark.parametrize(("text", "normal"), PRINTED)
def test_the_orientation_reads_as_the_scanner_printed_it(text, normal):
    assert siemens_oblique_text(unit(np.array(normal))) == short(text)


@pytest.mark.parametrize(("text", "row", "column"), PRINTED_WITH_IMAGE_AXES)
def test_the_orientation_of_an_image_reads_as_the_scanner_printed_it(text, row, column):
    assert siemens_oblique_text(siemens_normal(unit(np.cross(row, column)))) == short(text)
