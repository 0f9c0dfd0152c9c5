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
    evidence: tuple[str, ...] = ()
    may_override: bool = False


class FakeEngine:
    """Takes the place of ``CoreEngine``.

    Attributes:
        sizes: folder -> its size; others hold 6 studies of 6 people.
        findings: what a check finds; an exception is raised.
        gate: while it is cleared a check goes on.
        slow: trainings go on until they are stopped.
        better: the new model is; people: of the comparison, where they are too few to say.
        decisions: for every promotion, whether it was one "anyway".
        commands: the arguments of all commands.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, Size] = {}
        self.findings: list | Exception = []
        self.gate = threading.Event()
        self.gate.set()
        self.checked: list[tuple[str, str]] = []
        self.slow, self.better, self.people = False, True, 8
        self.decisions: list[bool] = []
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

    def base_model(self, protocol: str | None = None) -> str:
        return self.names[-1] if protocol is None else f"nearest to {protocol}"

    def comparison(self, folder: Path) -> Table:
        assert (folder / "comparison.json").exists()
        rows = (("Rotation of the box, deg", "2.10 (1.90 - 2.40)", "1.40 (1.20 - 1.70)"),)
        evidence = (
            "Rotation of the box: 1.40 deg, current model 2.10 deg; -0.70 (90 % interval -0.90 to -0.50), margin 0.2.",
            "Centre of the box: 1.00 mm, current model 1.00 mm; +0.00 (90 % interval -0.10 to +0.10), margin 0.3.",
            "Worst face: 2.00 mm, current model 2.00 mm; +0.00 (90 % interval -0.20 to +0.20), margin 0.5.",
            "Failed plans: 0 of 9, current model 0; share by person +0.00; no more are allowed.",
            f"Measured on 9 studies of {self.people} people with a true box and a plan of both models.",
        )
        if self.people < 6:
            few = f"Not enough people to say: {self.people}, at least 6 are needed."
            return Table(rows, False, few, evidence, may_override=True)
        if self.better:
            return Table(rows, True, "Better in rotation of the box (8 people).", evidence, may_override=True)
        return Table(rows, False, "Worse in rotation of the box: 2.30 deg (8 people).", evidence)

    def consequence(self) -> str:
        return "Every plan is made with it."

    def promote(self, bundle: Path, comparison_folder: Path, *, anyway: bool) -> str:
        self.decisions.append(anyway)
        if not bundle.is_dir():
            raise UsageError("is no bundle", source=str(bundle))
        self.names.append(f"tuned-{len(self.names)}")
        return self.names[-1]

    def previous_model(self, protocol: str | None = None) -> str:
        return self.names[-2] if len(self.names) > 1 else ""

    def roll_back(self, protocol: str | None = None) -> str:
        return self.names.pop()
