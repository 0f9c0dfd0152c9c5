"""What the plans of the studies show and how far off they are, and the file that keeps it: JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, InputError
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import OK
from AutoVolumeCalibrationLib.core.planning.checks.plan_checks import is_covered_by_risk
from AutoVolumeCalibrationLib.core.planning.risk.features import FEATURES, plan_features
from AutoVolumeCalibrationLib.core.planning.risk.model import WRONG_CENTER_MM, WRONG_ROTATION_DEG
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate

from ...evaluation.metrics import box_errors
from .studies import NON_HEAD, RiskStudy, StudySource

FORMAT = "AutoVolumeCalibration/risk/1"

#: The rule for single slices, which the risk replaces.
REPLACED_CHECK = "slices"


@dataclass(frozen=True)
class RiskCase:
    """One study planned with a model.

    Attributes:
        number, kind, person, slices: of ``studies.RiskStudy``.
        failure: why there is no plan; then all below is empty.
        features: what the plan shows, ``planning.risk.features``.
        rotation_deg, center_mm: errors of the box, None where no box is right.
        findings: name -> level of the other checks that found something, those that the risk replaces left out.
    """

    number: int
    kind: str
    person: str
    slices: int
    failure: str | None = None
    features: Mapping[str, float] = field(default_factory=dict)
    rotation_deg: float | None = None
    center_mm: float | None = None
    findings: Mapping[str, str] = field(default_factory=dict)

    @property
    def planned(self) -> bool:
        return self.failure is None

    @property
    def wrong(self) -> bool:
        """Whether there is a plan that must not be used; every plan of a non-head is wrong."""
        if not self.planned:
            return False
        if self.rotation_deg is None or self.center_mm is None:
            return self.kind == NON_HEAD
        return self.rotation_deg > WRONG_ROTATION_DEG or self.center_mm > WRONG_CENTER_MM


def planned_cases(
    source: StudySource,
    model: LandmarkModel,
    studies: int,
    log: Path,
    say: Callable[[RiskCase], None] = lambda case: None,
) -> list[RiskCase]:
    """The first ``studies`` studies of the source, planned; those that the log holds are not planned again.

    Raises:
        InputError: the log is damaged, or of another model, other quantities or other studies.
    """
    known = {case.number: case for case in _open(log, _conditions(source, model))}
    # As the model finds them: without a risk that its bundle may state already.
    bare = replace(model, risk=None)
    for number in range(studies):
        if number not in known:
            case = plan_study(source.study(number), source, bare)
            with open(log, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(case)) + "\n")
            known[number] = case
            say(case)
    return [known[number] for number in range(studies)]


def plan_study(study: RiskStudy, source: StudySource, model: LandmarkModel) -> RiskCase:
    """Plan one study and compare the plan with the truth."""
    who = (study.number, study.kind, study.person, study.slices)
    try:
        plan = calibrate(study.stacks, source.protocol, model, box=source.rule.name)
    except AutoVolumeError as error:  # a refusal is a result
        return RiskCase(*who, failure=str(error))
    found = [c for c in plan.checks if c.level != OK and c.name != REPLACED_CHECK and not is_covered_by_risk(c)]
    findings = {check.name: check.level for check in found}
    rotation_deg, center_mm = _errors(plan, study, source)
    return RiskCase(*who, None, features_of(plan), rotation_deg, center_mm, findings)


def features_of(plan: Calibration) -> dict[str, float]:
    """What the plan shows."""
    covariance = plan.model.pose_covariance if plan.model else None
    return plan_features(plan.landmarks, plan.frame, plan.stacks, plan.birge_ratios, plan.protocol, covariance)


def _errors(plan: Calibration, study: RiskStudy, source: StudySource) -> tuple[float | None, float | None]:
    if study.truth is None:
        return None, None
    # The rule's own margins, as the true box has them: margins for the uncertainty would count as errors.
    errors = box_errors(plan_box(plan.frame, source.protocol, source.rule), study.truth)
    return errors.rotation_deg, errors.center_mm


def values_of(cases: Sequence[RiskCase], names: Sequence[str] = FEATURES) -> np.ndarray:
    """(n, f) quantities of planned cases."""
    return np.array([[case.features[name] for name in names] for case in cases]).reshape(len(cases), len(names))


def _conditions(source: StudySource, model: LandmarkModel) -> dict[str, Any]:
    """What the cases depend on besides their number, as the first line of a log."""
    return {
        "format": FORMAT,
        "model": model.sha256,
        "features": list(FEATURES),
        "protocol": source.protocol.name,
        "box": source.rule.name,
        "labels": list(source.label_names),
        "heads": [head.id for head in source.heads],
        "seed": source.seed,
    }


def _open(path: Path, conditions: Mapping[str, Any]) -> list[RiskCase]:
    """The cases of a log; a new log gets its first line."""
    if not path.exists() or not path.stat().st_size:
        path.write_text(json.dumps(conditions) + "\n", encoding="utf-8")
        return []
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):  # the last run was stopped while it wrote a line
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    try:
        first, *cases = list(_lines(text))
        if first != conditions:
            raise InputError(
                "holds plans of another model or other studies",
                source=str(path),
                remedy="Name another output folder.",
            )
        return [RiskCase(**case) for case in cases]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"is not a log of planned studies ({error})", source=str(path), remedy="Name another output folder."
        ) from error


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        yield json.loads(line)
