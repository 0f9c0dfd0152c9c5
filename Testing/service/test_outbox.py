"""Sending results: what a destination refuses keeps nothing else waiting, and what was sent is not sent again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from AutoVolumeCalibrationLib.service.node import outbox as outboxes
from AutoVolumeCalibrationLib.service.node.configuration import Destination
from AutoVolumeCalibrationLib.service.node.outbox import FIRST_WAIT_S, Outbox
from command_line import MIDDLE_SLICES
from service.peers import free_port

pytest.importorskip("pynetdicom", reason="needs pynetdicom (the extra service)")

MR, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"


@contextmanager
def archive_of(sop_class: str, port: int, statuses: dict[str, int] | None = None) -> Iterator[list[str]]:
    """A node that takes one class of objects; statuses of some UIDs. Yields the UIDs that it was sent."""
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import Verification

    got: list[str] = []

    def store(event) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return (statuses or {}).get(got[-1], 0x0000)

    entity = AE("ARCHIVE")
    entity.add_supported_context(sop_class)
    entity.add_supported_context(Verification)  # as every node does
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield got
    finally:
        server.shutdown()


def capture(folder: Path, uid: str) -> Path:
    """An image as another class of object."""
    image = pydicom.dcmread(MIDDLE_SLICES[0])
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid
    image.save_as(folder / f"{uid}.dcm")
    return folder / f"{uid}.dcm"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def box(tmp_path: Path, port: int, monkeypatch) -> Outbox:
    """With three objects: one of another class between two that the archive takes."""
    monkeypatch.setattr(outboxes.time, "monotonic", lambda: 1000.0)
    monkeypatch.setattr("pynetdicom._config.UNRESTRICTED_STORAGE_SERVICE", False)  # a node in this process set it
    made = Outbox(tmp_path / "spool", Destination("archive", "ARCHIVE", "127.0.0.1", port), "AUTOVOLUME")
    made.put(capture(tmp_path, "1.2.1"), "1.2.1")
    made.put(MIDDLE_SLICES[0], "1.2.2")
    made.put(capture(tmp_path, "1.2.3"), "1.2.3")
    return made


def names(box: Outbox) -> list[str]:
    return [path.stem for path in box.waiting()]


def test_an_object_of_a_kind_that_is_not_taken_waits_alone(box, port):
    with archive_of(SECONDARY_CAPTURE, port) as got:
        assert box.send() == 2
        assert got == ["1.2.1", "1.2.3"]
        assert names(box) == ["1.2.2"]
        assert box.send() == 0
        box.put(MIDDLE_SLICES[1], "1.2.4")  # only the kind that is not taken is left
        assert box.send() == 0
        assert box._unreachable.is_over()


def test_an_object_that_is_refused_waits_alone_and_is_tried_again(box, port, monkeypatch):
    statuses = {"1.2.1": 0xA700}
    with archive_of(SECONDARY_CAPTURE, port, statuses) as got:
        assert box.send() == 1
        assert sorted(names(box)) == ["1.2.1", "1.2.2"]
        statuses.clear()
        monkeypatch.setattr(outboxes.time, "monotonic", lambda: 1000.0 + FIRST_WAIT_S)
        assert box.send() == 1
        assert got == ["1.2.1", "1.2.3", "1.2.1"]
    assert names(box) == ["1.2.2"]


def test_a_destination_that_goes_away_keeps_the_rest(box, port):
    with archive_of(SECONDARY_CAPTURE, port):
        pass
    assert box.send() == 0
    assert not box._unreachable.is_over()
    assert len(names(box)) == 3


def test_what_was_noted_as_sent_before_a_kill_is_not_sent_again(box, port, tmp_path):
    sent = tmp_path / "spool" / "sent" / "archive"
    sent.mkdir(parents=True)
    (sent / "1.2.1.dcm").touch()  # killed between the note and the removal
    with archive_of(SECONDARY_CAPTURE, port) as got:
        assert box.send() == 1
    assert got == ["1.2.3"]


def test_a_damaged_object_is_named_and_keeps_nothing_waiting(box, port, tmp_path, caplog):
    (tmp_path / "spool" / "outbox" / "archive" / "1.2.1.dcm").write_bytes(b"nothing")
    with archive_of(SECONDARY_CAPTURE, port) as got:
        assert box.send() == 1
    assert got == ["1.2.3"]
    assert "archive refused an object" in caplog.text
