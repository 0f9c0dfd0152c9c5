"""Which anatomy do the scouts show: every model looks at the middle slices, and the surest one is believed.

A model scores the peaks of its landmarks that agree with its typical anatomy (``localization``). A score is sure above
the model's own ``recognition_score``, and must lead by its ``recognition_lead`` (``detection.model_limits``); both are
measured by ``Testing/benchmarks/recognition.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..anatomy.protocol import Protocol
from ..errors import InputError
from ..scouts.stack import ScoutStack, require_usable
from .calibration import Calibration
from .localization import StudyLocalizer
from .pipeline import with_other_anatomy

if TYPE_CHECKING:
    from ..detection.landmark_model import LandmarkModel


@dataclass(frozen=True, eq=False)
class AnatomyCandidate:
    """An anatomy that the scouts may show: a protocol of it, and the model that finds its landmarks."""

    protocol: Protocol
    model: LandmarkModel

    @property
    def anatomy(self) -> str:
        """Its name, as a message has it."""
        return self.protocol.anatomy or self.protocol.name


def recognise(
    stacks: Sequence[ScoutStack],
    candidates: Sequence[AnatomyCandidate],
    cancelled: Callable[[], bool] | None = None,
) -> AnatomyCandidate:
    """The candidate whose anatomy the scouts show; a single one without a look at them.

    Only where no model is sure of the slices as acquired are turned patients considered, which takes far longer.

    Args:
        candidates: at least one, of different anatomies.
        cancelled: asked between batches of slices; True raises Cancelled.

    Raises:
        InputError: the scouts cannot be planned on, no model is sure, or two are.
    """
    if len(candidates) == 1:
        return candidates[0]
    require_usable(stacks)
    localizers = [StudyLocalizer(stacks, each.protocol, each.model, cancelled) for each in candidates]
    for score_of in (StudyLocalizer.middle_score, StudyLocalizer.best_score):
        scores = {each: score_of(own) for each, own in zip(candidates, localizers, strict=True)}
        sure = _sure(scores)
        if sure:
            return _leading(sure)
    raise InputError(
        f"{_neither([each.anatomy for each in candidates])} recognised in the scouts",
        remedy="Check the region and the images, or name the protocol.",
    )


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
    scores = {each: StudyLocalizer(c.stacks, each.protocol, each.model, cancelled).middle_score() for each in others}
    sure = _sure(scores)
    if not sure:
        return c
    own = StudyLocalizer(c.stacks, c.protocol, model, cancelled).middle_score()
    found = max(sure, key=lambda each: sure[each])
    return with_other_anatomy(c, found.anatomy) if sure[found] > own else c


def _sure(scores: Mapping[AnatomyCandidate, float]) -> dict[AnatomyCandidate, float]:
    return {each: score for each, score in scores.items() if score >= each.model.limits.recognition_score}


def _leading(sure: Mapping[AnatomyCandidate, float]) -> AnatomyCandidate:
    """The surest candidate; InputError where another one is nearly as sure."""
    first, *others = sorted(sure, key=lambda each: -sure[each])
    if others and sure[first] - sure[others[0]] < first.model.limits.recognition_lead:
        raise InputError(f"the scouts may show a {first.anatomy} or a {others[0].anatomy}", remedy="Name the protocol.")
    return first


def _neither(anatomies: Sequence[str]) -> str:
    """``neither brain nor knee``, ``none of brain, knee, spine``."""
    return f"neither {' nor '.join(anatomies)}" if len(anatomies) == 2 else f"none of {', '.join(anatomies)}"
