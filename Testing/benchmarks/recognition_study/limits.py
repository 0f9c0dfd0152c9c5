"""Limits of recognition from measured scores, and what they decide: pure functions of a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from AutoVolumeCalibrationLib.core.detection.model_limits import ModelLimits
from AutoVolumeCalibrationLib.core.workflow.recognition import decide

#: In the name of a kind of studies whose single slices lie beside the middle.
BESIDE = "beside the middle"

#: A limit is never closer than this to a score that must stay below it.
LEAST_GAP = 0.02

#: Where no case says how far two sure models must be apart.
USUAL_LEAD = 0.1


@dataclass(frozen=True)
class Scored:
    """The scores of one study.

    Attributes:
        name, truth, kind, slices: of the case.
        middle: anatomy -> score of its model on the middle slices as acquired.
        best: anatomy -> the highest score in any orientation.
        wrong_plan: anatomy -> level of the plan that was asked for as this one although it is another.
        side: of the plan of the right anatomy, empty where it has none.
    """

    name: str
    truth: str
    kind: str
    slices: int
    middle: Mapping[str, float]
    best: Mapping[str, float]
    wrong_plan: Mapping[str, str]
    side: str = ""


@dataclass(frozen=True)
class ScoreLimit:
    """The limit of one model: foreign scores stay below ``highest_foreign``, own ones begin at ``lowest_own``."""

    limit: float
    highest_foreign: float
    lowest_own: float

    @property
    def separates(self) -> bool:
        return self.highest_foreign < self.lowest_own


def score_limit(log: Sequence[Scored], anatomy: str) -> ScoreLimit:
    """Above which score the model of an anatomy is sure.

    Nothing else may reach it in any orientation; half-way to the lowest own score where there is room, so that a study
    of another scanner has some on either side. Own studies below the limit are taken in doubt or refused, which is the
    safe error. Slices beside the middle do not lower it.

    Raises:
        ValueError: the log holds no study of the anatomy, or none of anything else.
    """
    own = [each.middle[anatomy] for each in log if each.truth == anatomy and BESIDE not in each.kind]
    others = [each for each in log if each.truth != anatomy]
    if not own or not others:
        raise ValueError(f"the log holds no study that is a {anatomy}, or none that is not")
    foreign = [max(each.best[anatomy], each.middle[anatomy]) for each in others]
    highest, lowest = max(foreign), min(own)
    limit = max(highest + LEAST_GAP, (highest + lowest) / 2)
    return ScoreLimit(round(limit, 3), highest, lowest)


def decided(each: Scored, limits: Mapping[str, float], lead: float) -> str:
    """What ``recognition.recognise`` decides from these scores; "neither" and "either" are refusals."""
    stated = {name: ModelLimits(recognition_score=limit, recognition_lead=lead) for name, limit in limits.items()}
    decision = decide((each.middle, each.best), stated)
    if len(decision.anatomies) != 1:
        return "either" if decision.anatomies else "neither"
    return decision.anatomies[0] if decision.sure else f"probably {decision.anatomies[0]}"


def lead_of(log: Sequence[Scored], limits: Mapping[str, float]) -> float:
    """By how much the surest model must lead: more than any wrong model does where several are sure.

    USUAL_LEAD where no study says more.
    """
    wrong = [
        max(score - each.middle.get(each.truth, 0.0) for name, score in each.middle.items() if name != each.truth)
        for each in log
        if sum(score >= limits[name] for name, score in each.middle.items()) > 1
    ]
    return round(max([USUAL_LEAD, *(lead + LEAST_GAP for lead in wrong)]), 3)


def confusion(log: Sequence[Scored], limits: Mapping[str, float], lead: float) -> dict[tuple[str, str], int]:
    """(truth, decision) -> number of studies."""
    table: dict[tuple[str, str], int] = {}
    for each in log:
        key = (each.truth, decided(each, limits, lead))
        table[key] = table.get(key, 0) + 1
    return table
