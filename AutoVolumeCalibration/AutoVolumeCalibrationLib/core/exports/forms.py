"""The forms of an export by name, and the one function that writes any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import AutoVolumeError, ExistsError, UsageError
from ..files.atomic_write import atomic_path, write_bytes
from ..workflow.calibration import Calibration
from .dicom.presentation_state import write_presentation_state
from .dicom.scout_headers import patient_position as position_of_scouts
from .dicom.scout_headers import scout_headers
from .dicom.secondary_capture import write_secondary_capture
from .dicom.structured_report import write_structured_report
from .doors.mrd import write_mrd
from .doors.nifti import write_nifti
from .doors.openigtlink import send_plan
from .doors.patient_position import HEAD_FIRST_SUPINE, device_from_lps
from .doors.pulseq_example import gradient_echo_3d
from .doors.pulseq_placement import place_sequence, write_sequence
from .doors.scanhub import write_scanhub
from .plan_source import PlanSource, plan_source


@dataclass(frozen=True)
class Exported:
    """What an export left.

    Attributes:
        target: the file, or the address that the messages went to.
        notes: what the user should know, a sentence each.
    """

    target: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """One form of an export.

    Attributes:
        title: for help texts.
        suffixes: of its files; empty where it goes to an address.
        write: writes a plan to a path, given the patient's position.
        on_device: it states the plan on the axes of the scanner, which depend on that position.
    """

    title: str
    suffixes: tuple[str, ...]
    write: Callable[[PlanSource, Path, str], None]
    on_device: bool = False


def _dicom_sr(plan: PlanSource, path: Path, _position: str) -> None:
    write_structured_report(plan.content, scout_headers(plan.stacks), path, plan.titles())


def _dicom_sc(plan: PlanSource, path: Path, _position: str) -> None:
    headers = scout_headers(plan.stacks)
    with plan.picture() as picture:
        write_secondary_capture(plan.content, headers, picture, path)


def _gsps(plan: PlanSource, path: Path, _position: str) -> None:
    write_presentation_state(plan.content, scout_headers(plan.stacks), plan.stacks, path)


def _pulseq(plan: PlanSource, path: Path, position: str) -> None:
    placed = place_sequence(gradient_echo_3d(plan.geometry), plan.geometry, position)
    with atomic_path(path) as temporary:
        write_sequence(placed, temporary)


def _mrd(plan: PlanSource, path: Path, position: str) -> None:
    with atomic_path(path) as temporary:
        write_mrd(plan.geometry, temporary, position)


def _nifti(plan: PlanSource, path: Path, _position: str) -> None:
    # Written elsewhere first: the library goes by the whole name, which a temporary one beside the file changes.
    with TemporaryDirectory() as folder:
        written = Path(folder) / f"plan{'.nii.gz' if path.name.lower().endswith('.gz') else '.nii'}"
        write_nifti(plan.geometry, written)
        write_bytes(path, written.read_bytes())


def _scanhub(plan: PlanSource, path: Path, position: str) -> None:
    write_scanhub(plan.geometry, path, position)


def _openigtlink(plan: PlanSource, path: Path, _position: str) -> None:
    send_plan(plan.geometry, plan.saved.box, str(path))


FORMS: Mapping[str, Form] = {
    "dicom-sr": Form("DICOM structured report (TID 1500)", (".dcm",), _dicom_sr),
    "dicom-sc": Form("DICOM secondary capture of the overview", (".dcm",), _dicom_sc),
    "gsps": Form("DICOM presentation state, the plan drawn on the scouts", (".dcm",), _gsps),
    "pulseq": Form("Pulseq sequence, a 3D gradient echo of the plan", (".seq",), _pulseq, on_device=True),
    "openigtlink": Form("OpenIGTLink messages to a server, HOST:PORT", (), _openigtlink),
    "mrd": Form("ISMRM raw data headers", (".h5", ".mrd"), _mrd, on_device=True),
    "scanhub": Form("ScanHub acquisition parameters", (".json",), _scanhub, on_device=True),
    "nifti": Form("planned grid as an image", (".nii.gz", ".nii"), _nifti),
}


def export_plan(
    plan: Calibration | Path | str,
    to: str,
    output: Path | str,
    *,
    scouts: Sequence[Path | str] = (),
    patient_position: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a plan in another form.

    Args:
        plan: a calibration, or the folder that it was saved in; what is exported is what was saved.
        to: one of ``FORMS``: dicom-sr, dicom-sc, gsps, pulseq, openigtlink, mrd, scanhub or nifti.
        output: the file; for openigtlink ``HOST:PORT``.
        scouts: where the scouts of a folder are now, if they moved.
        patient_position: DICOM PatientPosition for the forms that state device axes; None: that of the scouts, else
            head first supine, with a note.
        overwrite: replace an existing file.

    Raises:
        UsageError: no such form, the file exists or cannot be written, a package is missing.
        InputError: the plan cannot be read, its scouts are gone or others, or they are not DICOM where the form is.
    """
    if to not in FORMS:
        raise UsageError(f"{to!r} is not a form of export", remedy=f"Choose one of: {', '.join(FORMS)}.")
    form = FORMS[to]
    if form.suffixes:
        _require_file(Path(output), form.suffixes, overwrite)
    source = plan_source(plan, scouts)
    position, notes = _position(source, patient_position) if form.on_device else (HEAD_FIRST_SUPINE, ())
    form.write(source, Path(output), position)
    return Exported(str(output), notes)


def _require_file(path: Path, suffixes: Sequence[str], overwrite: bool) -> None:
    """UsageError unless a file of that name may be written, before the work."""
    if not path.name.lower().endswith(tuple(suffixes)):
        raise UsageError(
            f"the file name does not end with {' or '.join(suffixes)}", source=str(path), remedy="Rename the output."
        )
    if path.exists() and not overwrite:
        raise ExistsError("already exists", source=str(path), remedy="Choose another file or allow overwriting.")


def _position(source: PlanSource, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The patient's position and what to note about it."""
    if wanted is not None:
        device_from_lps(wanted)
        return wanted, ()
    stated = position_of_scouts(source.stacks) if source.has_scouts else ""
    if stated:
        try:
            device_from_lps(stated)
        except AutoVolumeError:
            stated = ""
    if stated:
        return stated, ()
    return HEAD_FIRST_SUPINE, ("The scouts state no patient position: head first supine (HFS) is assumed.",)
