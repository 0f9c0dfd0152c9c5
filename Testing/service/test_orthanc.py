"""The node and Orthanc, a real archive: localizers out, reports and pictures back, each once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pydicom
import pytest

from AutoVolumeCalibrationLib.service.node.configuration import Destination
from AutoVolumeCalibrationLib.service.node.outbox import Outbox
from command_line import MIDDLE_SLICES
from service.peers import Orthanc, free_port, needs_orthanc, orthanc, outcomes, service, wait_until

pytest.importorskip("pynetdicom", reason="needs pynetdicom (the extra service)")
pytest.importorskip("highdicom", reason="needs highdicom (the extra dicom)")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    needs_orthanc,
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX"),
]

RESULTS = {"Comprehensive 3D SR Storage": "SR", "Secondary Capture Image Storage": "OT"}

#: Longer than the node waits for further images, plans and sends.
_SETTLED_S = 8


def configured(folder: Path, port: int, peer: Orthanc) -> Path:
    path = folder / "config.toml"
    path.write_text(
        f"""
        [node]
        port = {port}
        spool = "spool"
        quiet_s = 1
        [[peer]]
        title = "ORTHANC"
        host = "127.0.0.1"
        [plan]
        device = "cpu"
        [[destination]]
        name = "orthanc"
        title = "ORTHANC"
        host = "127.0.0.1"
        port = {peer.port}
        forms = ["dicom-sr", "dicom-sc"]
        """,
        encoding="utf-8",
    )
    return path


def received(peer: Orthanc, folder: Path) -> dict[str, Path]:
    """SOP instance UID -> file, of what the node sent."""
    files = {}
    folder.mkdir()
    for number, instance in enumerate(peer.get("/instances")):
        path = folder / f"{number}.dcm"
        path.write_bytes(peer.ask(f"/instances/{instance}/file"))
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if header.SOPClassUID.name in RESULTS:
            assert header.Modality == RESULTS[header.SOPClassUID.name]
            files[header.SOPInstanceUID] = path
    return files


def test_localizers_of_an_archive_come_back_as_report_and_picture_once(tmp_path):
    port, spool = free_port(), tmp_path / "spool"
    with orthanc(tmp_path / "orthanc", port) as peer:
        configuration = configured(tmp_path, port, peer)
        peer.upload(MIDDLE_SLICES)
        (localizer,) = peer.get("/series")
        (study,) = peer.get("/studies")
        expected = len(MIDDLE_SLICES) + len(RESULTS)
        with service(configuration, port):
            peer.send(localizer)
            wait_until(lambda: peer.count() == expected)
            for sent_again in (localizer, study):  # as scanners do, and as archives do that forward what they get
                peer.send(sent_again)
                time.sleep(_SETTLED_S)
                assert peer.count() == expected
        counts = peer.get("/statistics")
        assert (counts["CountStudies"], counts["CountSeries"]) == (1, 1 + len(RESULTS))
        first = received(peer, tmp_path / "first")
        assert len(first) == len(RESULTS)
        assert {row["exit_code"] for row in outcomes(spool)} == {"0"}

        shutil.rmtree(spool)  # a node that remembers nothing makes the same objects, and the archive has them
        with service(configuration, port):
            peer.send(localizer)
            wait_until(lambda: len(list((spool / "sent").rglob("*.dcm"))) == len(RESULTS))
        assert peer.count() == expected
        assert set(received(peer, tmp_path / "second")) == set(first)
        assert_dciodvfy_finds_no_error(first.values())
        assert_sent_again_is_the_same(peer, list(first.items()), tmp_path / "third", expected)


def assert_sent_again_is_the_same(peer: Orthanc, objects: list[tuple[str, Path]], spool: Path, expected: int) -> None:
    """Killed between the answer of the archive and its own note, the node sends an object twice."""
    box = Outbox(spool, Destination("orthanc", "ORTHANC", "127.0.0.1", peer.port), "AUTOVOLUME")
    for uid, path in objects:
        box.put(path, uid)

    def all_sent() -> bool:
        box.send()  # what an overloaded archive does not answer in time is sent again
        return not box.waiting()

    wait_until(all_sent)
    assert peer.count() == expected


def assert_dciodvfy_finds_no_error(files) -> None:
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("needs dciodvfy (the Debian package dicom3tools)")
    for path in files:
        found = subprocess.run([validator, str(path)], capture_output=True, text=True, timeout=60)
        assert "Error" not in found.stderr, found.stderr
