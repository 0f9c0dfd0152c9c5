"""Measure the risk of a model's plans: plan the studies, fit, and report; resumed where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

from ...reference_heads.heads import list_heads
from ...simulator.label_heads import find_heads, load_label_heads
from .cases import RiskCase, planned_cases
from .fit import FittedRisk, fit_risk
from .report import risk_report
from .studies import StudySource, label_names

#: Files in the output folder.
LOG, REPORT = "plans.jsonl", "risk.md"


def study_source(labels: Path, volumes: Path | None, protocol: Protocol, rule: BoxRule) -> StudySource:
    """All label maps of a folder, and the heads of split `train`; never a head of split `validation`.

    Raises:
        InputError: a file is missing or damaged.
    """
    numbers = find_heads(labels)
    heads = list_heads(volumes, "train") if volumes else []
    loaded = load_label_heads(labels, numbers, protocol.constellation.names)
    return StudySource(loaded, label_names(numbers), heads, protocol, rule)


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
