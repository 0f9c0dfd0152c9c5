"""The rounds that were measured, in a file: a run that is stopped goes on after its last whole round."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import read_json

from .measured import Run

_REMEDY = "Give another --output, or the settings that it was begun with."


@dataclass(frozen=True)
class Round:
    """Some studies, planned in each way.

    Attributes:
        runs: way -> what it took.
        load: average number of programs that wanted a processor in the last minute, this benchmark's included.
        begun: number of the start of the benchmark that measured it; with each start the workers are new.
    """

    runs: Mapping[str, Run]
    load: float
    begun: int


@dataclass
class State:
    """All rounds of a benchmark.

    Attributes:
        settings: what must be the same for rounds to be compared.
        rounds: in order; begun: how often the benchmark was started.
    """

    path: Path
    settings: Mapping[str, object]
    rounds: list[Round] = field(default_factory=list)
    begun: int = 0

    def add(self, runs: Mapping[str, Run], load: float) -> None:
        self.rounds.append(Round(runs, load, self.begun))
        content = {"settings": self.settings, "begun": self.begun, "rounds": [asdict(one) for one in self.rounds]}
        write_text(self.path, json.dumps(content, indent=1))


def opened(path: Path, settings: Mapping[str, object]) -> State:
    """The state in the file, one start later; a new one where there is none.

    Raises:
        InputError: it was begun with other settings.
    """
    if not path.exists():
        return State(path, settings, begun=1)
    data = read_json(path, InputError, _REMEDY)
    if data["settings"] != settings:
        raise InputError(f"was begun with other settings ({data['settings']})", source=str(path), remedy=_REMEDY)
    return State(path, settings, _rounds(data["rounds"]), data["begun"] + 1)


def _rounds(entries: Sequence[Mapping]) -> list[Round]:
    return [Round({way: Run(**run) for way, run in one["runs"].items()}, one["load"], one["begun"]) for one in entries]
