"""Hand objects to a destination, a DICOM node or a folder; it may refuse one and take the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.files.atomic_write import atomic_path
from ...core.files.dicom_parsing import parse_dicom
from .configuration import Destination, Tls
from .tls import client_context

#: Success, and success with a remark (DICOM PS3.4 B.2.3).
_TAKEN = frozenset({0x0000, 0xB000, 0xB006, 0xB007})

_TIMEOUT_S = 30


def deliver(
    objects: Sequence[Path], destination: Destination, title: str, tls: Tls | None = None
) -> Iterator[tuple[Path, str]]:
    """Hand over DICOM files one after the other.

    Args:
        title: AE title of this node. tls: its files, for a destination that wants TLS.

    Yields:
        A file, and why it was refused; empty where the destination has it.

    Raises:
        OSError: the destination cannot be reached, or went away.
        UsageError: its folder cannot be written, or the TLS files do not do.
    """
    return _to_folder(objects, destination.folder) if destination.folder else _to_node(objects, destination, title, tls)


def _to_folder(objects: Sequence[Path], folder: Path) -> Iterator[tuple[Path, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    for path in objects:
        with atomic_path(folder / path.name) as temporary:
            shutil.copyfile(path, temporary)
        yield path, ""


def _to_node(objects: Sequence[Path], target: Destination, title: str, tls: Tls | None) -> Iterator[tuple[Path, str]]:
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    entity = AE(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = _TIMEOUT_S
    for sop_class in sorted({_sop_class(path) for path in objects} - {""}):
        entity.add_requested_context(sop_class)
    # So that a node which takes none of these kinds of objects says so, instead of refusing the connection.
    entity.add_requested_context(Verification)
    arguments = (client_context(tls), target.host) if target.tls and tls else None
    association = entity.associate(target.host, target.port, ae_title=target.title, tls_args=arguments)
    if not association.is_established:
        raise ConnectionError("it does not accept a connection")
    try:
        taken = {str(context.abstract_syntax) for context in association.accepted_contexts}
        for path in objects:
            yield path, _store(association, path, taken)
    finally:
        association.release()


def _store(association: Any, path: Path, taken: set[str]) -> str:
    """Send one object; why it was refused."""
    try:
        dataset = parse_dicom(path)
    except InputError as error:
        return error.what
    if dataset.get("SOPClassUID") not in taken:
        return f"it takes no {_kind(dataset)}"
    try:
        status = association.send_c_store(dataset)
    except (AttributeError, ValueError) as error:  # the transfer syntax, or a value that cannot be written
        return str(error)
    except RuntimeError as error:
        raise ConnectionError("it ended the connection") from error
    if not status:
        raise ConnectionError("it does not answer")
    return "" if status.Status in _TAKEN else f"status {status.Status:04X}"


def _kind(dataset: Any) -> str:
    """The name of the object's class, for a message."""
    uid = dataset.get("SOPClassUID", "")
    return str(getattr(uid, "name", uid)) or "object without a class"


def _sop_class(path: Path) -> str:
    try:
        return str(parse_dicom(path, stop_before_pixels=True).get("SOPClassUID", ""))
    except InputError:
        return ""  # said of the object when its turn comes
