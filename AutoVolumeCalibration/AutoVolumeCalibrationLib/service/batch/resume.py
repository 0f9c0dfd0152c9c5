"""Earlier results of a batch: those that the same request on the same scouts would give are not planned again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import InputError, UsageError
from ..engine.outcome import Outcome
from ..engine.records import Records
from ..planning import PlanRequest
from .manifest import Study

if TYPE_CHECKING:
    from ...core.anatomy.protocol import Protocol
    from ...core.storage.results import SavedCalibration


@dataclass(frozen=True, eq=False)
class Choice:
    """What a study may be planned by: protocol, box by name, and SHA-256 of the model's weights."""

    protocol: Protocol
    box: str
    weights: str

    @property
    def identity(self) -> list[str | None]:
        """Protocol with its digest, box and weights: what changes a plan."""
        from ...core.storage.results import protocol_digest, protocol_reference

        return [protocol_reference(self.protocol), protocol_digest(self.protocol), self.box, self.weights]


@dataclass(frozen=True, eq=False)
class Request:
    """A request with what its names stand for.

    Attributes:
        request: as it was given, with the weights that its plans may come from.
        choices: that of the named protocol, or one for each installed anatomy.
        key: digest of all that changes a plan. Device and backend do not: they give the same within rounding.
    """

    request: PlanRequest
    choices: tuple[Choice, ...]
    key: str


def resolved(request: PlanRequest) -> Request:
    """The request with its files read, and with the weights that its plans must come from.

    Raises:
        AutoVolumeError: there is no such protocol, box or model.
    """
    from ...core.models.anatomies import default_protocols, find_protocol, known_protocol, model_for
    from ...core.storage.results import protocol_reference

    protocol = find_protocol(request.protocol) if request.protocol else known_protocol(request.model)
    if protocol:
        model = request.model or model_for(protocol)
        choices = [_choice(protocol, request.box, model)]
        request = replace(request, protocol=protocol_reference(protocol), model=model)
    else:
        if request.box:
            raise UsageError("a box belongs to a protocol", remedy="Give --protocol, too.")
        choices = [_choice(each, None, model) for each, model in default_protocols()]
    identity = [each for choice in choices for each in choice.identity]
    exact = replace(request, weights=tuple(choice.weights for choice in choices))
    return Request(exact, tuple(choices), _digest([*identity, list(request.series), request.force]))


def _choice(protocol: Protocol, box: str | None, model: str | None) -> Choice:
    from ...core.anatomy.protocol import box_rule
    from ...core.models.bundle import read_metadata
    from ...core.models.store import model_folder

    weights = read_metadata(model_folder(model))["weights"]["sha256"]
    return Choice(protocol, box_rule(protocol, box).name, weights)


def study_key(request_key: str, scouts: Sequence[str]) -> str:
    """Digest of the request and of the files that the paths lead to, by name, size and time of change.

    The content of the files is not read: ten thousand studies are compared in seconds.
    """
    return _digest([request_key, [[path, sorted(_states(Path(path)))] for path in map(os.path.abspath, scouts)]])


def proof_of(folder: Path) -> str:
    """Names the plan in a result folder; another plan there has another name. Empty where there is none."""
    from ...core.storage.results import CALIBRATION_FILE

    try:
        status = (folder / CALIBRATION_FILE).stat()
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


@dataclass(frozen=True, eq=False)
class EarlierResults:
    """Finds the outcomes of studies that need not be planned again.

    Attributes:
        request: of the batch at hand.
        output: its folder.
        records: of the batches that ran there.
        outcome_of: the outcome of a plan that was read again, given the study's name and the plan.
    """

    request: Request
    output: Path
    records: Records
    outcome_of: Callable[[str, SavedCalibration], Outcome]

    def find(self, study: Study) -> Outcome | None:
        """The outcome of a plan that is there and that the request would give; else None.

        The record says so without reading anything. Where it does not, because files were copied or a version before
        0.3 planned, the plan and the images are compared.
        """
        folder = self.output / study.name
        proof = proof_of(folder)
        if not proof:
            return None
        record = self.records.read(study.name)
        if record.outcome and record.outcome.proof == proof and record.key == study_key(self.request.key, study.scouts):
            return record.outcome
        return self._compared(study, folder)

    def _compared(self, study: Study, folder: Path) -> Outcome | None:
        from ...core.storage.results import read_results

        with suppress(InputError):  # damaged results do not count, scouts that are gone fail again
            saved = read_results(folder)
            if self._is_of(saved, study):
                return self.outcome_of(study.name, saved)
        return None

    def _is_of(self, saved: SavedCalibration, study: Study) -> bool:
        from ...core.scouts.identity import difference
        from ...core.scouts.reader import read_scouts

        sources = [str(Path(path).absolute()) for path in study.scouts]
        same_request = list(saved.sources) == sources and any(_is_by(saved, each) for each in self.request.choices)
        if not same_request or not saved.scouts:
            return same_request
        series = self.request.request.series or None
        return difference(saved.scouts, read_scouts(study.scouts, force=True, series=series)) is None


def _is_by(saved: SavedCalibration, choice: Choice) -> bool:
    reference, digest, box, weights = choice.identity
    return (
        saved.protocol == reference
        and saved.protocol_sha256 in (None, digest)
        and saved.box.name == box
        and (saved.model is not None and saved.model.sha256 == weights)
    )


def _states(path: Path) -> Iterator[tuple[str, int, int]]:
    """Relative path, size and time of change in ns of every file below ``path``; links are followed."""
    if path.is_file():
        status = path.stat()
        yield "", status.st_size, status.st_mtime_ns
        return
    visited: set[str] = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link to a folder above it
            folders.clear()
            continue
        visited.add(real)
        for name in names:
            with suppress(OSError):  # a link that leads nowhere
                status = os.stat(os.path.join(folder, name))
                yield os.path.relpath(os.path.join(folder, name), path), status.st_size, status.st_mtime_ns


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()
