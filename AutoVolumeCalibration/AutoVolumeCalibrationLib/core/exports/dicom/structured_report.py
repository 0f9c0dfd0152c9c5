"""The plan as a DICOM structured report: Comprehensive 3D SR, TID 1500, with SCOORD3D.

Landmarks are points with their standard deviations, the box is six polygons with those of its faces, the prescription
is numbers and text. The whole plan stands in the report once more as JSON (``plan_record``), from which
``report_import`` restores it exactly: SCOORD3D holds 32-bit numbers, and no covariances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import __version__
from ...files.atomic_write import atomic_path
from ...geometry.coordinates import swap_ras_lps
from ...geometry.oriented_box import FACES, face_corners_mm
from ...storage.results import SavedCalibration
from ..extras import needing
from .plan_record import plan_record, record_digest, saved_plan
from .scout_headers import copy_study, time_of_scouts
from .sr_codes import SCHEME, concept, face_concept, laterality_concept, named, site_concept
from .uids import uid_of

if TYPE_CHECKING:
    from highdicom.sr import Comprehensive3DSR
    from pydicom import Dataset

MANUFACTURER, DEVICE = "AutoVolumeCalibration", "AutoVolumeCalibration"
SERIES_NUMBER, SERIES_DESCRIPTION = 9901, "Scan plan (research only)"


def write_structured_report(
    content: Mapping[str, Any], headers: Sequence[Dataset], path: Path, titles: Mapping[str, str]
) -> None:
    """Write the report of a plan; UsageError where the file cannot be written or highdicom is missing.

    Args:
        content: of calibration.json.
        headers: of the scouts.
        titles: landmark name -> its title.
    """
    report = structured_report(content, headers, titles)
    with atomic_path(path) as temporary:
        report.save_as(temporary, enforce_file_format=True)


def structured_report(
    content: Mapping[str, Any], headers: Sequence[Dataset], titles: Mapping[str, str]
) -> Comprehensive3DSR:
    """The report; arguments as ``write_structured_report`` has them."""
    with needing("highdicom"):
        from highdicom import sr

    record = plan_record(content)
    saved, identity = saved_plan(record, "plan"), record_digest(record)
    study, frame = str(headers[0].StudyInstanceUID), str(headers[0].FrameOfReferenceUID)
    parts = _ReportParts(identity, frame)
    groups = [
        *[parts.landmark(one, titles.get(one.name, "")) for one in saved.landmarks if one.position_mm is not None],
        *parts.faces(saved),
        parts.prescription(saved, _sites(content)),
    ]
    report = sr.MeasurementReport(
        observation_context=_observer(),
        procedure_reported=sr.CodedConcept("113091000", "SCT", "Magnetic resonance imaging"),
        imaging_measurements=groups,
    )
    report[0].ContentSequence.append(_plan_container(saved, record))
    document = sr.Comprehensive3DSR(
        evidence=list(headers),
        content=report,
        series_instance_uid=uid_of("dicom-sr series", study),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("dicom-sr", study, identity, *(str(header.SOPInstanceUID) for header in headers)),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description=SERIES_DESCRIPTION,
        software_versions=__version__,
        manufacturer_model_name=DEVICE,
    )
    copy_study(headers[0], document)
    document.CodingSchemeIdentificationSequence = [_scheme()]
    _fix_time(document, *time_of_scouts(headers))
    return document


class _ReportParts:
    """Measurement groups of one report.

    Args:
        identity: of the plan, for the tracking UIDs.
        frame: UID of the frame of reference.
    """

    def __init__(self, identity: str, frame: str) -> None:
        self._identity, self._frame = identity, frame

    def landmark(self, landmark: Any, title: str) -> Any:
        """A point with its standard deviation, confidence and origin."""
        from highdicom import sr
        from pydicom.sr.codedict import codes

        measurements = [_number("CONFIDENCE", landmark.confidence, codes.UCUM.NoUnits)]
        if landmark.sd_mm is not None:
            measurements.insert(0, _number("POSITION_SD", landmark.sd_mm, codes.UCUM.Millimeter))
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking("landmark", landmark.name),
            referenced_region=self._region("POINT", landmark.position_mm[None]),
            finding_type=named("Landmark", landmark.name, title),
            measurements=measurements,
            qualitative_evaluations=[
                sr.QualitativeEvaluation(concept("LANDMARK_STATUS"), concept(landmark.status.upper()))
            ],
        )

    def faces(self, saved: SavedCalibration) -> list[Any]:
        """The six faces of the box as closed polygons, each with the standard deviation of its place."""
        from highdicom import sr
        from pydicom.sr.codedict import codes

        groups = []
        for face in FACES:
            corners = face_corners_mm(saved.box, face)
            known = saved.box.face_sd_mm.get(face)
            groups.append(
                sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                    tracking_identifier=self._tracking("face", face),
                    referenced_region=self._region("POLYGON", np.vstack([corners, corners[:1]])),
                    finding_category=concept("BOX_FACE"),
                    finding_type=face_concept(face),
                    measurements=[_number("POSITION_SD", known, codes.UCUM.Millimeter)] if known is not None else None,
                )
            )
        return groups

    def prescription(self, saved: SavedCalibration, sites: Sequence[Any]) -> Any:
        """What is typed at the scanner, as numbers; ``sites``: which limb, if it is one."""
        from highdicom import sr
        from pydicom.sr.codedict import codes

        mm, none = codes.UCUM.Millimeter, codes.UCUM.NoUnits
        plan = saved.prescription
        left, posterior, head = plan.center_mm
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking("prescription", plan.box),
            finding_type=concept("PRESCRIPTION"),
            finding_sites=sites or None,
            measurements=[
                _number("CENTER_L", left, mm),
                _number("CENTER_P", posterior, mm),
                _number("CENTER_H", head, mm),
                _number("FOV_READ", plan.fov_read_mm, mm),
                _number("FOV_PHASE", plan.fov_phase_mm, mm),
                _number("SLICES", plan.slices, none),
                _number("THICKNESS", plan.slice_thickness_mm, mm),
                _number("GAP", plan.gap_mm, mm),
            ],
        )

    def _tracking(self, kind: str, name: str) -> Any:
        from highdicom import sr

        return sr.TrackingIdentifier(uid=uid_of("tracking", self._identity, kind, name), identifier=f"{kind} {name}")

    def _region(self, kind: str, points_mm: np.ndarray) -> Any:
        """A region in space from RAS points (n, 3)."""
        from highdicom import sr

        return sr.ImageRegion3D(
            graphic_type=sr.GraphicTypeValues3D(kind),
            graphic_data=swap_ras_lps(points_mm),
            frame_of_reference_uid=self._frame,
        )


def _sites(content: Mapping[str, Any]) -> list[Any]:
    """The limb with its laterality as the finding site; none for an anatomy without sides."""
    from highdicom import sr

    side = content["frame"].get("side")
    if not side:
        return []
    return [sr.FindingSite(site_concept(content.get("anatomy", "")), laterality=laterality_concept(side))]


def _number(name: str, value: float, unit: Any) -> Any:
    from highdicom import sr

    return sr.Measurement(name=concept(name), value=value if isinstance(value, int) else float(value), unit=unit)


def _plan_container(saved: SavedCalibration, record: Mapping[str, Any]) -> Any:
    """Texts for readers, and the record for ``report_import``."""
    import json

    from highdicom import sr

    model = saved.model
    texts = [("PLAN_TEXT", saved.prescription.to_text())]
    texts += [("CHECK", f"{check.level}: {check.name}: {check.message}") for check in saved.checks]
    missing = [landmark.name for landmark in saved.landmarks if landmark.position_mm is None]
    if missing:
        texts.append(("MISSING", ", ".join(missing)))
    if model is not None:
        texts.append(("MODEL", f"{model.name}, SHA-256 {model.sha256}"))
    texts.append(("PROTOCOL", f"{record['protocol']}, SHA-256 {saved.protocol_sha256 or 'not known'}"))
    texts.append(("RECORD", json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))))
    container = sr.ContainerContentItem(name=concept("PLAN"), relationship_type=sr.RelationshipTypeValues.CONTAINS)
    container.ContentSequence = sr.ContentSequence(
        [
            sr.TextContentItem(name=concept(name), value=text, relationship_type=sr.RelationshipTypeValues.CONTAINS)
            for name, text in texts
        ]
    )
    return container


def _observer() -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of("device", DEVICE, __version__), name=DEVICE, manufacturer_name=MANUFACTURER, model_name=DEVICE
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _scheme() -> Dataset:
    from pydicom import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = SCHEME, "AutoVolumeCalibration"
    scheme.CodingSchemeResponsibleOrganization = "AutoVolumeCalibration contributors"
    return scheme


def _fix_time(document: Dataset, date: str, time: str) -> None:
    """Date what highdicom dates with the clock: the same plan gives the same object."""
    document.ContentDate = document.InstanceCreationDate = date
    document.ContentTime = document.InstanceCreationTime = time
    for equipment in document.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = f"{date}{time}"
