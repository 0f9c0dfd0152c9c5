"""Which anatomy do the scouts show: every model looks at the middle slices, and the surest one is believed.

A model scores the peaks of its landmarks that agree with its typical anatomy (``localization``). A score is sure above
the model's own ``recognition_score``, and must lead by its ``recognition_lead`` (``detection.model_limits``); both are
measured by ``Testing/benchmarks/recognition.py``. Single slices far beside the middle of a head show few landmarks, and
no model is sure of them: one that leads is then taken too, and the plan says that it is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ..anatomy.protocol import Protocol
from ..errors import InputError
from ..scouts.stack import ScoutStack, require_usable
from .calibration import Calibration
from .checked_plan import with_other_anatomy
from .localization import StudyLocalizer

if TYPE_CHECKING:
    from ..detection.landmark_model import LandmarkModel
    from ..detection.model_limits import ModelLimits

#: A model that is not sure must reach this part of its ``recognition_score`` to be taken in doubt. Of 12 heads and
#: knees that no model was sure of 11 reach it, of 47 other bodies 9; with 0.7 it is 10 and 4 (the same benchmark).
DOUBTFUL_SHARE = 0.6

#: Anatomy -> score of its model, 0..1.
Scores = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class AnatomyCandidate:
    """An anatomy that the scouts may show: a protocol of it, and the model that finds its landmarks."""

    protocol: Protocol
    model: LandmarkModel

    @property
    def anatomy(self) -> str:
        """Its name, as a message has it."""
        return self.protocol.anatomy or self.protocol.name


@dataclass(frozen=True)
class Decision:
    """``anatomies``: the recognised one; none where nothing is recognised, or two that look alike.

    ``sure``: False where no model is sure and the leading one is taken.
    """

    anatomies: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True, eq=False)
class Recognised:
    """What the scouts show, surely or as the leading candidate only."""

    candidate: AnatomyCandidate
    sure: bool


def recognise(
    stacks: Sequence[ScoutStack],
    candidates: Sequence[AnatomyCandidate],
    cancelled: Callable[[], bool] | None = None,
) -> Recognised:
    """The candidate whose anatomy the scouts show; a single one without a look at them.

    Only where no model is sure of the slices as acquired are turned patients considered, which takes far longer.

    Args:
        candidates: at least one, of different anatomies.
        cancelled: asked between batches of slices; True raises Cancelled.

    Raises:
        InputError: the scouts cannot be planned on, no model is sure and none leads, or two are sure.
    """
    if len(candidates) == 1:
        return Recognised(candidates[0], sure=True)
    require_usable(stacks)
    named = {each.anatomy: each for each in candidates}
    localizers = {name: StudyLocalizer(stacks, each.protocol, each.model, cancelled) for name, each in named.items()}
    looks = (
        {name: score_of(localizer) for name, localizer in localizers.items()}
        for score_of in (StudyLocalizer.middle_score, StudyLocalizer.best_score)
    )
    decision = decide(looks, {name: each.model.limits for name, each in named.items()})
    if not decision.anatomies:
        raise InputError(
            f"{_neither(list(named))} recognised in the scouts",
            remedy="Check the region and the images, or name the protocol.",
        )
    first, *others = decision.anatomies
    if others:
        raise InputError(f"the scouts may show a {first} or a {others[0]}", remedy="Name the protocol.")
    return Recognised(named[first], decision.sure)


def decide(looks: Iterable[Scores], limits: Mapping[str, ModelLimits]) -> Decision:
    """What the scores say.

    Args:
        looks: the scores of the slices as acquired, and then of any orientation; the second is asked for only where
            the first decides nothing.
        limits: anatomy -> those of its model.
    """
    looks = iter(looks)
    acquired = next(looks)
    for scores in chain([acquired], looks):
        sure = _sure(scores, limits)
        if sure:
            leading = _leading(sure, limits)
            return Decision((leading,) if leading else tuple(_ranked(sure)[:2]))
    leading = _leading(acquired, limits)
    doubtful = leading and acquired[leading] >= DOUBTFUL_SHARE * limits[leading].recognition_score
    return Decision((leading,), sure=False) if doubtful else Decision()


def check_anatomy(
    calibration: Calibration,
    model: LandmarkModel,
    others: Sequence[AnatomyCandidate],
    cancelled: Callable[[], bool] | None = None,
) -> Calibration:
    """The plan, with an error where the model of another anatomy is surer of the scouts than ``model`` is.

    The plan keeps that knowledge: corrections do not make it green.

    Args:
        model: the one that the plan was made with; others: of other anatomies, those of the plan's own are left out.
    """
    c = calibration
    others = [each for each in others if each.protocol.anatomy != c.protocol.anatomy]
    if not others:
        return c
    scores = {
        each.anatomy: StudyLocalizer(c.stacks, each.protocol, each.model, cancelled).middle_score() for each in others
    }
    sure = _sure(scores, {each.anatomy: each.model.limits for each in others})
    if not sure:
        return c
    own = StudyLocalizer(c.stacks, c.protocol, model, cancelled).middle_score()
    found = _ranked(sure)[0]
    return with_other_anatomy(c, found) if sure[found] > own else c


def _sure(scores: Scores, limits: Mapping[str, ModelLimits]) -> Scores:
    return {name: score for name, score in scores.items() if score >= limits[name].recognition_score}


def _ranked(scores: Scores) -> list[str]:
    """The surest first."""
    return sorted(scores, key=lambda name: -scores[name])


def _leading(scores: Scores, limits: Mapping[str, ModelLimits]) -> str:
    """The surest; empty where another one is nearly as sure."""
    first, *others = _ranked(scores)
    near = others and scores[first] - scores[others[0]] < limits[first].recognition_lead
    return "" if near else first


def _neither(anatomies: Sequence[str]) -> str:
    """``neither brain nor knee``, ``none of brain, knee, spine``."""
    return f"neither {' nor '.join(anatomies)}" if len(anatomies) == 2 else f"none of {', '.join(anatomies)}"
