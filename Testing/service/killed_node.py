"""A node that is killed while a store of mixed series is sent to it, and what is left to be true afterwards."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pydicom

from child_processes import started
from command_line import MAIN_FILE
from service.mixed_series import LOCALIZER, PHANTOM, Series
from service.peers import QUIET, STORESCU, dcmtk, free_port, listens, outcomes, wait_until

#: Of each plan.
FORMS = {"Comprehensive 3D SR Storage", "Secondary Capture Image Storage"}

SERVICE, WORKER = "service", "worker"


@dataclass(frozen=True)
class Kill:
    """What is killed, once so many series were taken and so many studies have an outcome."""

    what: str
    sent: int = 0
    outcomes: int = 0


@dataclass(eq=False)
class KilledNode:
    """``autovolume serve`` with a spool in ``folder``, started again whenever it was killed.

    Attributes:
        archive_port: of the peer that gets the results.
        quiet_s: see the configuration.
        sent: series that it acknowledged.
        killed: the kills that happened, with the time on the clock of ``time.time``.
    """

    folder: Path
    archive_port: int
    quiet_s: float = 3.0
    port: int = field(default_factory=free_port)
    sent: int = 0
    killed: list[tuple[float, str]] = field(default_factory=list)
    _processes: ExitStack = field(default_factory=ExitStack)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs; at the end nothing of it does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        with self._processes:
            self._start()
            yield

    def send(self, series: Series) -> None:
        """Send a series; again, as scanners do, while the node is not there or goes away."""
        while dcmtk(STORESCU, self.port, *series.files):
            time.sleep(0.5)
        self.sent += 1

    @contextmanager
    def killed_at(self, kills: Sequence[Kill]) -> Iterator[None]:
        """Kill in another thread, in this order; all of it has happened at the end."""
        thread = threading.Thread(target=self._kill_all, args=(kills,), daemon=True)
        thread.start()
        yield
        thread.join()

    def processes(self) -> list[psutil.Process]:
        """Of the service, the first one itself."""
        with suppress(psutil.NoSuchProcess):
            service = psutil.Process(self.process.pid)
            return [service, *service.children(recursive=True)]
        return []

    def memory_mb(self) -> float:
        """Resident memory of all its processes."""
        total = 0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 2**20

    def is_done(self, studies: int) -> bool:
        """Whether so many studies have their outcome and nothing waits to be sent."""
        waiting = list((self.spool / "outbox" / "archive").glob("*.dcm"))
        return len(outcomes(self.spool)) >= studies and not waiting

    def _write_configuration(self) -> None:
        text = f"""
        [node]
        port = {self.port}
        spool = "spool"
        quiet_s = {self.quiet_s}
        [[peer]]
        title = "SCANNER"
        [plan]
        device = "cpu"
        protocol = "BrainAcPc"
        [[destination]]
        name = "archive"
        title = "ARCHIVE"
        host = "127.0.0.1"
        port = {self.archive_port}
        forms = ["dicom-sr", "dicom-sc"]
        """
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    def _start(self) -> None:
        command = [sys.executable, str(MAIN_FILE), "serve", str(self.folder / "config.toml")]
        wait_until(lambda: not listens(self.port), 60)
        self.process = self._processes.enter_context(started(command, **QUIET))
        wait_until(lambda: listens(self.port), 180)

    def _kill_all(self, kills: Sequence[Kill]) -> None:
        for kill in kills:
            while self.sent < kill.sent or len(outcomes(self.spool)) < kill.outcomes:
                time.sleep(0.3)
            self.killed.append((time.time(), kill.what))
            if kill.what == SERVICE:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait(timeout=60)
                self._start()
            else:
                self._largest_child().kill()

    def _largest_child(self) -> psutil.Process:
        """The worker, which has the model loaded."""
        found: list[tuple[int, psutil.Process]] = []
        while not found:
            for process in self.processes()[1:]:
                with suppress(psutil.NoSuchProcess):
                    found.append((process.memory_info().rss, process))
        return max(found, key=lambda entry: entry[0])[1]


@dataclass(frozen=True)
class Received:
    """What the archive got: UIDs of the objects of each study, as often as they came, by class."""

    by_study: dict[str, Counter[tuple[str, str]]]

    @property
    def again(self) -> int:
        """Objects that came more than once."""
        return sum(count > 1 for objects in self.by_study.values() for count in objects.values())


def received(archive: Path) -> Received:
    """The content of an archive that writes each object it gets into a file of its own."""
    from AutoVolumeCalibrationLib.core.scouts.series import uid_digest

    found: dict[str, Counter[tuple[str, str]]] = {}
    for path in archive.iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        objects = found.setdefault(uid_digest(header.StudyInstanceUID), Counter())
        objects[header.SOPClassUID.name, str(header.SOPInstanceUID)] += 1
    return Received(found)


def assert_nothing_lost(series: Sequence[Series], spool: Path, archive: Path) -> Received:
    """Every image is kept, every study listed, each localizer planned and sent as one object of each form."""
    kinds: dict[str, set[str]] = {}
    for one in series:
        kinds.setdefault(one.study, set()).add(one.kind)
    strays = kinds.pop("", set())
    images = sum(len(one.files) for one in series if one.study)
    assert len(list((spool / "images").rglob("[!.]*.dcm"))) == images
    assert len(list((spool / "unreadable").glob("[!.]*"))) == sum(len(one.files) for one in series if not one.study)
    assert bool(strays) == (spool / "unreadable").exists()

    rows = {row["study"]: row for row in outcomes(spool)}
    assert set(rows) == set(kinds)
    got = received(archive)
    for study, row in rows.items():
        assert row["message"]
        objects = got.by_study.get(study, Counter())
        if LOCALIZER in kinds[study]:
            assert row["exit_code"] == "0", row
        elif PHANTOM not in kinds[study]:
            assert row["exit_code"] == "3", row
        expected = FORMS if row["exit_code"] == "0" else set()
        assert sorted(name for name, _uid in objects) == sorted(expected), (row, objects)
    return got
