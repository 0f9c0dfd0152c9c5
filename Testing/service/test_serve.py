"""``serve`` and ``watch`` as real processes, with dcmtk's ``storescu`` and ``storescp`` as peers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener, urlopen

import pydicom
import pytest

from child_processes import started
from command_line import MAIN_FILE, MIDDLE_SLICES, RESULT_FILES
from service.certificates import certificate, needs_openssl
from service.peers import archive, free_port, listens, needs_dcmtk, outcomes, send, service, wait_until

pytest.importorskip("pynetdicom", reason="needs pynetdicom (the extra service)")
pytest.importorskip("highdicom", reason="needs highdicom (the extra dicom)")
psutil = pytest.importorskip("psutil")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    needs_dcmtk,
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX"),
]


def press_plan_again(port: int, study: str) -> None:
    """As a browser does it: read the page of the study, send its last form."""
    client, address = build_opener(HTTPCookieProcessor()), f"http://127.0.0.1:{port}/studies/{study}"
    with client.open(address, timeout=10) as answer:
        csrf = re.findall(r'name="csrf" value="([^"]*)"', answer.read().decode())[-1]
    with client.open(f"{address}/again", urlencode({"csrf": csrf}).encode(), timeout=10) as answer:
        assert answer.status == 200


@needs_openssl
def test_a_localizer_is_planned_and_sent_once_whatever_is_killed(tmp_path):
    """With TLS on both sides."""
    node, peer = certificate(tmp_path, "node"), certificate(tmp_path, "peer")
    flags = peer.flags(node.file)
    port, archive_port, spool = free_port(), free_port(), tmp_path / "spool"
    configuration = tmp_path / "config.toml"
    configuration.write_text(
        f"""
        [node]
        port = {port}
        spool = "spool"
        quiet_s = 2
        [[peer]]
        title = "SCANNER"
        [plan]
        device = "cpu"
        [[destination]]
        name = "archive"
        title = "ARCHIVE"
        host = "127.0.0.1"
        port = {archive_port}
        forms = ["dicom-sc", "dicom-sr"]
        tls = true
        [tls]
        certificate = "node.pem"
        key = "node.key"
        authority = "peer.pem"
        """,
        encoding="utf-8",
    )
    with service(configuration, port) as process:
        send(port, *flags, *MIDDLE_SLICES)
        process.send_signal(signal.SIGKILL)  # acknowledged, not planned
        process.wait(timeout=10)
        wait_until(lambda: not listens(port), 30)
    with service(configuration, port) as process:
        wait_until(lambda: list((spool / "outbox" / "archive").glob("*.dcm")))  # planned; nobody takes it yet
        wait_until(lambda: outcomes(spool))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        wait_until(lambda: not listens(port), 30)
    (row,) = outcomes(spool)
    assert row["exit_code"] == "0"
    assert not {"Colin", "colin"} & set(row["study"].split())
    with archive(tmp_path / "archive", archive_port, *flags):
        with service(configuration, port) as process:
            wait_until(lambda: len(list((spool / "sent").rglob("*.dcm"))) == 2)
            send(port, *flags, *MIDDLE_SLICES)  # once more, as some scanners do
            time.sleep(6)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        received = [pydicom.dcmread(path) for path in (tmp_path / "archive").iterdir()]
    assert sorted(one.SOPClassUID.name for one in received) == [
        "Comprehensive 3D SR Storage",
        "Secondary Capture Image Storage",
    ]
    (plan,) = (spool / "plans").iterdir()
    assert {path.name for path in plan.iterdir()} == RESULT_FILES | {"dicom"}


def test_what_cannot_be_planned_is_kept_and_listed(tmp_path):
    port, spool = free_port(), tmp_path / "spool"
    configuration = tmp_path / "config.toml"
    configuration.write_text(f'[node]\nport = {port}\nspool = "spool"\nquiet_s = 1\n', encoding="utf-8")
    health_port = free_port()
    page_port = free_port()
    more = f"health_port = {health_port}\n[page]\nport = {page_port}\n"
    configuration.write_text(configuration.read_text() + more, encoding="utf-8")
    with service(configuration, port) as process:
        send(port, MIDDLE_SLICES[0])
        wait_until(lambda: outcomes(spool))
        with urlopen(f"http://127.0.0.1:{health_port}/health", timeout=10) as answer:
            facts = json.load(answer)
        assert (facts["studies_planned"], facts["studies_not_planned"]) == (0, 1)
        (record,) = (spool / "records").rglob("*.json")
        before = record.read_text(encoding="utf-8")
        press_plan_again(page_port, outcomes(spool)[0]["study"])
        wait_until(lambda: record.exists() and record.read_text(encoding="utf-8") != before)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    (row,) = outcomes(spool)
    assert row["exit_code"] == "3"
    assert "plane" in row["message"]
    assert len(list((spool / "images").rglob("*.dcm"))) == 1


def test_folders_that_appear_are_planned(tmp_path):
    watched, output = tmp_path / "watched", tmp_path / "out"
    watched.mkdir()
    command = [sys.executable, str(MAIN_FILE), "watch", str(watched), "--output", str(output), "--quiet", "1"]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        (watched / "a").mkdir()
        for path in MIDDLE_SLICES:
            shutil.copy(path, watched / "a")
        line = process.stdout.readline()
        assert line.startswith("a: ")
        assert {path.name for path in (output / "a").iterdir()} == RESULT_FILES
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
