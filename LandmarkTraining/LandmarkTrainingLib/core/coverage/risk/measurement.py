"""Measure the risk of a model's plans: plan the studies, fit, and report; resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

from ...reference_heads.heads import list_heads
from ...simulator.label_maps import load_simulated_anatomy, numbers_of_maps, require_landmarks
from ...simulator.people_of_maps import PEOPLE_FILE
from .cases import RiskCase, planned_cases
from .fit import FittedRisk, fit_risk
from .report import risk_report
from .studies import StudySource

#: Files in the output folder.
LOG, REPORT = "plans.jsonl", "risk.md"


#: With fewer people nothing can be said of people that the risk was not fitted on.
FEWEST_PEOPLE = 2


def study_source(labels: Path, volumes: Path | None, protocol: Protocol, rule: BoxRule) -> StudySource:
    """All label maps of a folder, and the heads of split `train`; never a head of split `validation`.

    Raises:
        InputError: a file is missing or damaged, or all label maps are of one person or of another anatomy.
        UsageError: volumes, which are of heads, are named with label maps of another anatomy.
    """
    maps = numbers_of_maps(labels)
    loaded = load_simulated_anatomy(labels, list(maps), protocol.constellation.names)
    require_landmarks(loaded, labels, protocol.name)
    if volumes and loaded.scene is not None:
        raise UsageError("real volumes are of heads, the label maps are not", remedy="Leave --volumes out.")
    require_people(loaded.people, labels)
    heads = list_heads(volumes, "train") if volumes else []
    return StudySource(loaded, loaded.people, heads, protocol, rule)


def require_people(people: Sequence[str], labels: Path) -> None:
    """Refuse label maps of one person: what a model says of others is found by leaving people out in turn.

    Raises:
        InputError: naming the folder.
    """
    if len(set(people)) < FEWEST_PEOPLE:
        raise InputError(
            "all label maps are of one person, so nothing can be measured about others",
            source=str(labels),
            remedy=f"Add label maps of other people, or say whose they are in {PEOPLE_FILE}.",
        )


def measure_risk(
    model: LandmarkModel,
    source: StudySource,
    folder: Path,
    studies: int,
    say: Callable[[RiskCase], None] = lambda case: None,
) -> tuple[FittedRisk, str]:
    """The fitted risk and its report, which ``folder`` keeps beside the plans.

    Raises:
        InputError: the folder holds plans of another model or other studies, or too few plans are wrong.
    """
    cases = planned_cases(source, model, studies, folder / LOG, say)
    fitted = fit_risk(cases, model.limits)
    text = risk_report(fitted, cases)
    write_text(folder / REPORT, text)
    return fitted, text
