"""The plan as an ISMRM raw data file (MRD): XML header and one acquisition header per slice, without samples."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..extras import needing
from ..scan_geometry import ScanGeometry
from .patient_position import HEAD_FIRST_SUPINE

#: The header asks for a matrix and a frequency, which a plan does not choose: pixels of about this size, 3 T.
PIXEL_MM, PROTON_HZ = 1.0, 127_740_000

_GROUP = "dataset"


def write_mrd(geometry: ScanGeometry, path: Path, patient_position: str = HEAD_FIRST_SUPINE) -> None:
    """Write the headers: ``encodedSpace`` holds the field of view of a slice, ``position`` the middle of each one.

    Positions and directions are LPS mm, as MRD has them.
    """
    with needing("ismrmrd"):
        import ismrmrd

    with ismrmrd.Dataset(str(path), _GROUP, create_if_needed=True) as dataset:
        dataset.write_xml_header(_xml(geometry, patient_position))
        for number, center in enumerate(geometry.slice_centers_mm()):
            acquisition = ismrmrd.Acquisition.from_array(np.zeros((1, 1), dtype=np.complex64))
            acquisition.idx.slice = number
            for field, vector in zip(("read_dir", "phase_dir", "slice_dir"), geometry.directions, strict=True):
                setattr(acquisition, field, _floats(vector))
            acquisition.position = _floats(center)
            dataset.append_acquisition(acquisition)


def read_mrd(path: Path) -> ScanGeometry:
    """The geometry of a file with one acquisition per slice, as ``write_mrd`` writes it.

    Raises:
        InputError: the file cannot be read or has another content.
    """
    with needing("ismrmrd"):
        import ismrmrd

    remedy = "Give an MRD file that this program exported."
    try:
        with ismrmrd.Dataset(str(path), _GROUP, create_if_needed=False) as dataset:
            header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
            acquisitions = [dataset.read_acquisition(n) for n in range(dataset.number_of_acquisitions())]
    except (OSError, LookupError, ValueError) as error:
        raise InputError("cannot be read as MRD", source=str(path), remedy=remedy) from error
    if not acquisitions:
        raise InputError("holds no slice", source=str(path), remedy=remedy)
    fov = header.encoding[0].encodedSpace.fieldOfView_mm
    centers = np.array([list(acquisition.position) for acquisition in acquisitions])
    first = acquisitions[0]
    directions = np.array([list(first.read_dir), list(first.phase_dir), list(first.slice_dir)])
    reach = float(np.linalg.norm(centers[-1] - centers[0]))
    gap = reach / (len(centers) - 1) - fov.z if len(centers) > 1 else 0.0
    size = np.array([fov.x, fov.y, reach + fov.z])
    return ScanGeometry(centers.mean(axis=0), directions, size, len(centers), float(fov.z), gap)


def _xml(geometry: ScanGeometry, patient_position: str) -> str:
    """The XML header; ``encodedSpace`` is that of one slice, its z the slice thickness."""
    import ismrmrd

    xsd = ismrmrd.xsd
    fov_x, fov_y = (float(value) for value in geometry.fov_mm[:2])

    def space() -> Any:
        return xsd.encodingSpaceType(
            matrixSize=xsd.matrixSizeType(x=max(1, round(fov_x / PIXEL_MM)), y=max(1, round(fov_y / PIXEL_MM)), z=1),
            fieldOfView_mm=xsd.fieldOfViewMm(x=fov_x, y=fov_y, z=geometry.thickness_mm),
        )

    limits = xsd.encodingLimitsType(slice=xsd.limitType(minimum=0, maximum=geometry.slices - 1, center=0))
    encoding = xsd.encodingType(
        encodedSpace=space(),
        reconSpace=space(),
        encodingLimits=limits,
        trajectory=xsd.trajectoryType.CARTESIAN,
    )
    header = xsd.ismrmrdHeader(
        measurementInformation=xsd.measurementInformationType(
            patientPosition=xsd.patientPositionType(patient_position)
        ),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=PROTON_HZ),
        encoding=[encoding],
    )
    text: str = xsd.ToXML(header)
    return text


def _floats(vector: np.ndarray) -> Any:
    return (ctypes.c_float * 3)(*(float(value) for value in vector))
