"""Peers of the node, which tests start themselves: the service, dcmtk, Orthanc. All of them end with the test."""

from __future__ import annotations

import csv
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from child_processes import started
from command_line import MAIN_FILE

STORESCU, STORESCP, ECHOSCU = map(shutil.which, ("storescu", "storescp", "echoscu"))
ORTHANC = shutil.which("Orthanc")

needs_dcmtk = pytest.mark.skipif(
    not (STORESCU and STORESCP and ECHOSCU), reason="needs storescu, storescp and echoscu (the Debian package dcmtk)"
)
needs_orthanc = pytest.mark.skipif(not ORTHANC, reason="needs Orthanc (the Debian package orthanc)")

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until(true: Callable[[], object], seconds: float = 120.0, every_s: float = 0.1) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(every_s)


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def dcmtk(tool: str, port: int, *arguments: object, title: str = "SCANNER", called: str = "AUTOVOLUME") -> int:
    """The exit code of ``storescu`` or ``echoscu`` at a node of this machine."""
    command = [tool, "-aet", title, "-aec", called, "127.0.0.1", str(port), *map(str, arguments)]
    return subprocess.run(command, timeout=60, capture_output=True).returncode


def send(port: int, *arguments: object) -> None:
    """Send files, all of which the node must take; flags of ``storescu`` may come before them."""
    assert dcmtk(STORESCU, port, *arguments) == 0


@contextmanager
def archive(folder: Path, port: int, *options: str) -> Iterator[None]:
    """A peer that receives: each object that comes is a new file, also where it is one that came before."""
    folder.mkdir(exist_ok=True)
    with started([STORESCP, "--unique-filenames", "-od", str(folder), *options, str(port)], **QUIET):
        wait_until(lambda: listens(port), 20)
        yield


@contextmanager
def service(configuration: Path, port: int) -> Iterator[subprocess.Popen]:
    """``autovolume serve``, once it listens."""
    with started([sys.executable, str(MAIN_FILE), "serve", str(configuration)], **QUIET) as process:
        wait_until(lambda: listens(port))
        yield process


def outcomes(spool: Path) -> list[dict[str, str]]:
    """The rows of ``studies.csv``."""
    with suppress(FileNotFoundError), open(spool / "studies.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
    return []


@dataclass(frozen=True)
class Orthanc:
    """An Orthanc that runs.

    Attributes:
        port: of its DICOM node, whose title is ORTHANC. http_port: of its REST interface.
    """

    port: int
    http_port: int

    def get(self, path: str) -> Any:
        """What ``path`` answers, from JSON."""
        return json.loads(self.ask(path))

    def ask(self, path: str, data: bytes | None = None) -> bytes:
        """GET ``path``, or POST data to it."""
        with urlopen(Request(f"http://127.0.0.1:{self.http_port}{path}", data), timeout=60) as answer:
            return answer.read()

    def upload(self, files: Sequence[Path]) -> None:
        """Put DICOM files into it, as users do in its web page."""
        for path in files:
            self.ask("/instances", path.read_bytes())

    def send(self, *resources: str) -> None:
        """Let it send patients, studies, series or instances to the node."""
        order = {"Resources": list(resources), "Synchronous": True}
        self.ask("/modalities/node/store", json.dumps(order).encode())

    def count(self) -> int:
        """How many instances it has."""
        return int(self.get("/statistics")["CountInstances"])


@contextmanager
def orthanc(folder: Path, node_port: int) -> Iterator[Orthanc]:
    """Orthanc with an empty storage in ``folder``; it knows the node at ``node_port`` as ``node``."""
    found = Orthanc(free_port(), free_port())
    folder.mkdir()
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": found.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": found.port,
        "DicomAet": "ORTHANC",
        "DicomModalities": {"node": ["AUTOVOLUME", "127.0.0.1", node_port]},
        "DicomScuTimeout": 30,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    with started([ORTHANC, str(file)], **QUIET):
        wait_until(lambda: listens(found.http_port) and listens(found.port), 60)
        yield found
