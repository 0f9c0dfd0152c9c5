"""A structured report back into a plan folder, which ``refit``, ``export`` and ``reopen`` take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..anatomy.protocol import Protocol
from ..anatomy.protocol_file import list_protocols, load_protocol
from ..errors import InputError, ProtocolError
from ..files.atomic_write import atomic_path
from ..files.json_files import json_text
from ..files.output_folder import require_place
from ..scouts.reader import read_study
from ..storage.markups import landmarks_to_markups, scan_box_to_markups
from ..storage.results import (
    BOX_FILE,
    CALIBRATION_FILE,
    LANDMARKS_FILE,
    PLAN_FILES,
    SavedCalibration,
    protocol_digest,
    protocol_reference,
    saved_from_dict,
)
from ..workflow.saved_plan import require_same_scouts
from .dicom.report_import import read_structured_report


def import_plan(
    report: Path | str,
    folder: Path | str,
    *,
    protocol: Path | str | None = None,
    scouts: Sequence[Path | str] = (),
    overwrite: bool = False,
) -> SavedCalibration:
    """Write the plan of a structured report into ``folder``: calibration.json, landmarks and box, exactly as planned.

    The picture is not in the report: ``autovolume refit`` draws it.

    Args:
        report: DICOM file that ``export_plan`` wrote.
        protocol: the file of the plan's protocol where that is not a shipped one.
        scouts: of the plan. They are compared with what the plan says about them, and the plan then names them.
        overwrite: replace the results in ``folder``.

    Raises:
        InputError: the file is not such a report, was changed, or the scouts are others.
        ProtocolError: the protocol is unknown here or is not that of the plan.
        UsageError: the folder holds results already, or cannot be written.
    """
    record = read_structured_report(Path(report))
    saved = saved_from_dict(record, str(report))
    known = _protocol(saved, protocol, str(report))
    if scouts:
        require_same_scouts(saved.scouts, read_study(scouts, force=True).stacks, str(scouts[0]))
    content: dict[str, Any] = {
        **record,
        "sources": [str(Path(path).absolute()) for path in scouts],
        "protocol_file": str(Path(protocol).absolute())
        if protocol and protocol_reference(known) != known.name
        else None,
    }
    _write(content, saved, known, Path(folder), overwrite)
    return saved_from_dict(content, str(report))


def _protocol(saved: SavedCalibration, given: Path | str | None, source: str) -> Protocol:
    """The protocol of the plan, compared by its digest."""
    name = saved.protocol
    if not given and name not in {protocol.name for protocol in list_protocols()}:
        raise ProtocolError(
            f"protocol {name} of this plan is not a shipped one", source=source, remedy="Give its file with --protocol."
        )
    protocol = load_protocol(given or name)
    if saved.protocol_sha256 and protocol_digest(protocol) != saved.protocol_sha256:
        raise ProtocolError(
            f"the plan was made with another version of protocol {name}",
            source=source,
            remedy="Give that file with --protocol.",
        )
    return protocol


def _write(content: dict[str, Any], saved: SavedCalibration, protocol: Protocol, folder: Path, overwrite: bool) -> None:
    names = {landmark.name for landmark in protocol.constellation.landmarks}
    strange = [landmark.name for landmark in saved.landmarks if landmark.name not in names]
    if strange:
        raise InputError(
            f"landmark {strange[0]} is not one of protocol {protocol.name}",
            source=str(folder),
            remedy="Give the file of the plan's protocol with --protocol.",
        )
    texts = {
        # Entered first, so renamed last, as in ``write_results``.
        CALIBRATION_FILE: json_text(content),
        LANDMARKS_FILE: json_text(landmarks_to_markups(saved.landmarks, protocol.constellation)),
        BOX_FILE: json_text(scan_box_to_markups(saved.box)),
    }
    require_place(folder, overwrite, PLAN_FILES)
    if overwrite:
        for name in set(PLAN_FILES) - set(texts):
            (folder / name).unlink(missing_ok=True)  # pictures of another plan
    with ExitStack() as files:
        for name, text in texts.items():
            files.enter_context(atomic_path(folder / name)).write_bytes(text.encode("utf-8"))
