"""What the training window's tests run instead of data sets, models and ``autovolume``."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import UsageError

SCRIPT = Path(__file__).with_name("fake_training.py")


@dataclass(frozen=True)
class Size:
    """As ``DatasetSize``."""

    studies: int
    subjects: int
    problem: str = ""


@dataclass(frozen=True)
class Table:
    """As ``Comparison``."""

    rows: tuple[tuple[str, str, str], ...]
    better: bool
    verdict: str


class FakeEngine:
    """Takes the place of ``CoreEngine``.

    Attributes:
        sizes: folder -> its size; others hold 6 studies of 6 people.
        findings: what a check finds; an exception is raised.
        gate: while it is cleared a check goes on.
        slow: trainings go on until they are stopped.
        better: the new model is.
        commands: the arguments of all commands.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, Size] = {}
        self.findings: list | Exception = []
        self.gate = threading.Event()
        self.gate.set()
        self.checked: list[tuple[str, str]] = []
        self.slow, self.better = False, True
        self.commands: list[list[str]] = []
        self.names = ["brain-scout"]

    def size(self, folder: Path) -> Size:
        return self.sizes.get(str(folder), Size(6, 6))

    def check(self, folder: Path, protocol: str) -> list:
        self.gate.wait()
        self.checked.append((str(folder), protocol))
        if isinstance(self.findings, Exception):
            raise self.findings
        return self.findings

    def command(self, arguments) -> list[str]:
        self.commands.append(list(arguments))
        slow = ["--slow"] if self.slow else []
        return [sys.executable, str(SCRIPT), *arguments, *slow]

    def models(self) -> list[str]:
        return list(self.names)

    def current_model(self) -> str:
        return self.names[-1]

    def comparison(self, folder: Path) -> Table:
        assert (folder / "comparison.json").exists()
        verdict = (
            "In-plane error 1.40 mm instead of 2.10 mm." if self.better else "In-plane error 2.30 mm, not 2.10 mm."
        )
        return Table((("landmarks, mm", "2.10 (1.90 - 2.40)", "1.40 (1.20 - 1.70)"),), self.better, verdict)

    def promote(self, bundle: Path, comparison_folder: Path) -> str:
        if not bundle.is_dir():
            raise UsageError("is no bundle", source=str(bundle))
        self.names.append(f"tuned-{len(self.names)}")
        return self.names[-1]

    def previous_model(self) -> str:
        return self.names[-2] if len(self.names) > 1 else ""

    def roll_back(self) -> str:
        return self.names.pop()
