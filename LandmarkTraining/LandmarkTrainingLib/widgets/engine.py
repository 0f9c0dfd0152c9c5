"""The interface between the window and the core: tests replace it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..core.datasets.findings import Finding


@dataclass(frozen=True)
class DatasetSize:
    """The size of a data set; ``problem`` says why it cannot be read, "" where it can."""

    studies: int
    subjects: int
    problem: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same studies.

    Attributes:
        rows: (measure, current model, new model), in words, best known first.
        better: the new model is better, beyond noise.
        verdict: in a sentence.
        evidence: the numbers that the verdict rests on, with intervals and numbers of people and studies, in sentences.
        may_override: the user may use the new model although it was not shown to be better.
    """

    rows: tuple[tuple[str, str, str], ...]
    better: bool
    verdict: str
    evidence: tuple[str, ...] = ()
    may_override: bool = False


class TrainingEngine(Protocol):
    """Everything but the widgets, the scene and the processes."""

    def size(self, folder: Path) -> DatasetSize:
        """What a data set holds; never raises."""

    def check(self, folder: Path, protocol: str) -> Sequence[Finding]:
        """Check every study of a data set; may take long. InputError where it cannot be read."""

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line of ``autovolume ARGUMENTS``."""

    def models(self) -> list[str]:
        """Names of the models there are."""

    def base_model(self, protocol: str | None = None) -> str:
        """Name of the model that a fine-tuning starts from where none is chosen; "?" where that cannot be read.

        Args:
            protocol: name or file of the protocol whose landmarks are learnt; None: of the default anatomy.
        """

    def comparison(self, folder: Path) -> Comparison:
        """What ``autovolume compare CURRENT NEW`` left in ``folder``. InputError where it is damaged."""

    def consequence(self) -> str:
        """What the user accepts who uses a model that was not shown to be better."""

    def promote(self, bundle: Path, comparison_folder: Path, *, anyway: bool) -> str:
        """Make the bundle the current model; gives its name. An AutoVolumeError where it is not better.

        Args:
            anyway: also where that is left open.
        """

    def previous_model(self, protocol: str | None = None) -> str:
        """Name of the model that ``roll_back`` returns to, "" where there is none.

        Args:
            protocol: name or file of one of the anatomy's protocols; None: the default anatomy.
        """

    def roll_back(self, protocol: str | None = None) -> str:
        """Make the anatomy's previous model the current one again; gives its name."""
