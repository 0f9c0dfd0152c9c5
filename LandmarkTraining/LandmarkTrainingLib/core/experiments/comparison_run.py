"""Measure several bundles on the same cases and compare them: on a data set, or on real heads in random poses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, box_rule
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.output_folder import require_place
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_ANATOMY, default_models, model_folder
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy, study_folder, study_names

from ..datasets.frozen_set import dataset_fingerprint, heads_fingerprint, learnt_subjects
from ..datasets.reading import read_provenance, subject_of
from ..evaluation.case_log import CaseResult
from ..evaluation.dataset_measurement import measure_on_dataset
from ..evaluation.evaluation import Conditions, evaluate
from ..evaluation.methods import Method, constellation_method, model_method, model_name
from ..reference_heads.heads import Head
from .model_comparison import ComparedModel, Comparison, ComparisonData, compare_models

#: Stands for the default model of the anatomy.
CURRENT = "current"

#: Planning without a model: the typical anatomy where the scouts cross. Stands for the current model of an anatomy that
#: has none, with these "weights".
TYPICAL, NO_WEIGHTS = "typical anatomy, no model", "0" * 64

#: File in the output folder that keeps the cases, so that an interrupted comparison can be resumed.
LOG_FILE = "cases.jsonl"


@dataclass(frozen=True)
class Contestants:
    """Loaded models, the current one first, with their planning methods and training subjects."""

    models: tuple[ComparedModel, ...]
    methods: Mapping[str, Method]
    learnt_subjects: frozenset[str]


def planned_in(folder: Path) -> tuple[str | None, str | None]:
    """Names of the protocol and of its box that the studies of a data set were planned with; None where none says.

    Raises:
        InputError: the data set is damaged.
        UsageError: its studies were planned with several protocols or boxes.
    """
    provenances = [read_provenance(study_folder(folder, name)) for name in study_names(folder)]
    protocols = {str(each["protocol"]) for each in provenances if each.get("protocol")}
    boxes = {str(each["box"]["name"]) for each in provenances if isinstance(each.get("box"), dict)}
    for found, flag in ((protocols, "--protocol"), (boxes, "--box")):
        if len(found) > 1:
            raise UsageError(
                f"its studies were planned with {', '.join(sorted(found))}",
                source=str(folder),
                remedy=f"Name one of them with {flag}.",
            )
    return next(iter(protocols), None), next(iter(boxes), None)


def load_contestants(
    names: Sequence[str], protocol: Protocol, device: str = "auto", box: str | None = None
) -> Contestants:
    """Load the bundles to compare.

    Args:
        names: model names or folders, the current one first; CURRENT stands for the default model of the protocol's
            anatomy, and for TYPICAL where it has none.
        box: name of one of the protocol's boxes, its first when None.

    Raises:
        ModelError: a bundle does not exist, or is damaged.
        UsageError: two of them have the same weights.
    """
    named = {name: _folder_of(name, protocol) for name in names}
    without = [name for name, folder in named.items() if folder is None]
    folders = {name: folder for name, folder in named.items() if folder is not None}
    loaded: dict[str, LandmarkModel] = {name: load_model(folder, device) for name, folder in folders.items()}
    found = {
        name: ComparedModel(model_name(model), name, model.sha256, known_landmarks(model, protocol))
        for name, model in loaded.items()
    }
    # What an anatomy without a model is planned with today.
    typical = ComparedModel(TYPICAL, CURRENT, NO_WEIGHTS, protocol.constellation.names)
    models = tuple(typical if name in without else found[name] for name in names)
    if len({model.sha256 for model in models}) < len(names):
        raise UsageError("two of the models are the same", remedy="Name each model once.")
    methods: dict[str, Method] = {TYPICAL: constellation_method(protocol, box)} if without else {}
    methods |= {model_name(model): model_method(model, protocol, box) for model in loaded.values()}
    learnt = frozenset().union(*map(learnt_subjects, folders.values()))
    return Contestants(models, methods, learnt)


def _folder_of(name: str, protocol: Protocol) -> Path | None:
    """The bundle of that name or folder; of CURRENT the default of the protocol's anatomy, None where it has none."""
    return default_folder(protocol.anatomy) if name == CURRENT else model_folder(name)


def default_folder(anatomy: str) -> Path | None:
    """The bundle of an anatomy's default model, None where it has none; ModelError: it is missing.

    A protocol that names no anatomy is the default one's.
    """
    if anatomy in ("", DEFAULT_ANATOMY):
        return model_folder()
    name = default_models().get(anatomy)
    return model_folder(name) if name else None


def known_landmarks(model: LandmarkModel, protocol: Protocol) -> tuple[str, ...]:
    """Names of the protocol's landmarks that a model finds, in the protocol's order."""
    return tuple(name for name in protocol.constellation.names if name in model.names)


def compare_on_dataset(
    contestants: Contestants,
    protocol: Protocol,
    folder: Path,
    output: Path,
    *,
    box: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare models on the studies of a data set whose subjects none of them learnt from.

    Args:
        output: keeps the cases, so that an interrupted comparison can be resumed there.
        box: the one that the contestants plan.
        progress: called with (studies done, studies).

    Raises:
        InputError: the data set or a study is damaged.
        UsageError: the models learnt from all of its subjects.
    """
    subjects = {name: _subject(folder, name) for name in study_names(folder)}
    fingerprint = dataset_fingerprint(folder)
    chosen = [name for name, subject in subjects.items() if subject not in contestants.learnt_subjects]
    if not chosen:
        raise UsageError(
            "the models learnt from every subject in it", source=str(folder), remedy="Compare on other cases."
        )
    require_place(output, overwrite=True)
    log = output / LOG_FILE
    cases = measure_on_dataset(contestants.methods, protocol, folder, chosen, box=box, log=log, progress=progress)
    left_out = tuple(name for name in subjects if name not in chosen)
    data = ComparisonData("dataset", str(folder.resolve()), fingerprint, subjects, left_out)
    return compare_models(contestants.models, cases, data, protocol.name, box_rule(protocol, box).name)


def compare_on_heads(
    contestants: Contestants,
    protocol: Protocol,
    data: Path,
    heads: Sequence[Head],
    output: Path,
    *,
    poses_per_head: int,
    geometries: Mapping[str, ScoutGeometry],
    conditions: Conditions,
) -> Comparison:
    """Compare models on real heads in random poses (``core.evaluation.evaluation``); ``output`` keeps the cases.

    Raises:
        InputError: a head cannot be read, or the output folder keeps cases of other conditions.
    """
    require_place(output, overwrite=True)
    cases: list[CaseResult] = evaluate(
        contestants.methods,
        protocol,
        heads,
        poses_per_head=poses_per_head,
        geometries=geometries,
        conditions=conditions,
        log=output / LOG_FILE,
    )
    subjects = {head.id: head.subject for head in heads}
    described = ComparisonData("heads", str(data.resolve()), heads_fingerprint(data, heads), subjects)
    return compare_models(contestants.models, cases, described, protocol.name, box_rule(protocol, conditions.box).name)


def _subject(folder: Path, name: str) -> str:
    """The subject of a study, without reading its scouts."""
    return subject_of(LabelledStudy(name, (), (), read_provenance(study_folder(folder, name))))
