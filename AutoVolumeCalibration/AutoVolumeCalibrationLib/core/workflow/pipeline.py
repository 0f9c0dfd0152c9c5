"""The whole job, in the order of the flow: scouts -> landmarks -> frame -> box -> prescription."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ..anatomy.protocol import BoxRule, Protocol, box_rule
from ..detection.model_info import ModelInfo
from ..errors import InputError, UsageError
from ..planning.box import plan_box
from ..planning.checks import ERROR, Evidence, run_checks, scout_checks
from ..planning.frame import fit_frame
from ..planning.prescription import prescribe
from ..scouts.stack import ScoutStack, require_usable
from .calibration import Calibration
from .localization import locate

if TYPE_CHECKING:
    from ..detection.landmark_model import LandmarkModel


def calibrate(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    model: LandmarkModel,
    *,
    box: str | None = None,
    corrections: Iterable[Landmark] = (),
    threshold: float | None = None,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Calibration:
    """Find the landmarks on the scouts and plan the box.

    Args:
        box: name of one of the protocol's boxes, its first when None.
        corrections: landmarks that a person placed; they replace the predicted ones and tell how the head lies, so
            that the model sees it upright. A sequential model is shown them and predicts none of them itself.
        threshold: peak height, 0..1, below which a landmark is not found; the model's own when None.
        progress: called with the fraction of the slices done, 0..1.
        cancelled: asked between batches of slices; True raises Cancelled.

    Raises:
        InputError: the scouts cannot be planned on, or too few landmarks are found.
        ProtocolError: the protocol has no such box.
        UsageError: the threshold is not between 0 and 1.
    """
    require_usable(stacks)
    rule = box_rule(protocol, box)
    if threshold is not None:
        model = _with_threshold(model, threshold)
    corrections = tuple(corrections)
    guidance = [mark for mark in corrections if mark.status == CORRECTED and mark.name in model.names]
    told = tuple(mark.name for mark in guidance)
    shown = told if model.guided else ()
    started = time.perf_counter()
    located = locate(stacks, protocol, model, progress, cancelled, guidance=guidance)
    detected = time.perf_counter()
    predicted = in_protocol_order((mark for mark in located.landmarks if mark.name not in shown), protocol)
    disagreeing = [name for name in located.disagreeing if name not in shown]
    shared = model.uncertainty.pose_covariance
    info = ModelInfo(model.name, model.sha256, model.device, shared, threshold, told, model.coverage)
    try:
        result = _plan(stacks, protocol, rule, predicted, corrections, disagreeing, info)
    except InputError as error:
        raise _not_recognised(stacks, protocol, predicted) from error
    finished = time.perf_counter()
    timings = {"detect": detected - started, "fit": finished - detected, "total": finished - started}
    return replace(result, timings_s=timings)


def refit(calibration: Calibration, corrections: Iterable[Landmark], *, box: str | None = None) -> Calibration:
    """Plan anew from the predictions and a person's corrections, without the network; takes milliseconds.

    ``corrections`` are all that hold now: a landmark not among them goes back to its prediction.
    """
    return plan_from_landmarks(
        calibration.stacks,
        calibration.protocol,
        corrections,
        predicted=calibration.predicted,
        model=calibration.model,
        box=box or calibration.box.name,
        timings_s=calibration.timings_s,
        disagreeing=calibration.disagreeing,
    )


def repredict(
    calibration: Calibration,
    corrections: Iterable[Landmark],
    model: LandmarkModel,
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Calibration:
    """Look again, the points that a person placed telling how the head lies, and plan from what is found.

    ``corrections`` are all that hold now, as in ``refit``; they stay where they are. The model's predictions replace
    the earlier ones. A sequential model predicts none of the landmarks it is shown: of these the earlier predictions
    stay, for a correction to be taken back to.

    Args:
        model: any; a placed landmark that it does not know tells how the head lies only once the others are found.
        progress, cancelled: as in ``calibrate``.

    Raises:
        InputError: too few landmarks are found.
    """
    result = calibrate(
        calibration.stacks,
        calibration.protocol,
        model,
        box=calibration.box.name,
        corrections=corrections,
        threshold=calibration.model.threshold if calibration.model else None,
        progress=progress,
        cancelled=cancelled,
    )
    if not model.guided:
        return result
    # Without confidence nobody saw it: a typical head's place is none to go back to once a model has looked.
    kept = {m.name: m for m in calibration.predicted if m.name in result.model.guidance and m.confidence > 0}
    return replace(result, predicted=tuple(kept.get(mark.name, mark) for mark in result.predicted))


def plan_from_landmarks(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    corrections: Iterable[Landmark],
    *,
    predicted: Iterable[Landmark] = (),
    model: ModelInfo | None = None,
    box: str | None = None,
    timings_s: Mapping[str, float] | None = None,
    disagreeing: Sequence[str] = (),
) -> Calibration:
    """Plan from landmarks that are there already: no network, no torch.

    Args:
        corrections: placed by a person, or marked missing by one; they replace predicted ones.
        predicted: what ``model`` found earlier.
        timings_s: of the earlier steps.
        disagreeing: names of predicted landmarks on which the planes disagreed.
    """
    require_usable(stacks)
    started = time.perf_counter()
    ordered = in_protocol_order(predicted, protocol)
    result = _plan(stacks, protocol, box_rule(protocol, box), ordered, corrections, disagreeing, model)
    elapsed = time.perf_counter() - started
    return replace(result, timings_s={**(timings_s or {}), "fit": elapsed, "total": elapsed})


def in_protocol_order(landmarks: Iterable[Landmark], protocol: Protocol) -> tuple[Landmark, ...]:
    """One landmark for every name of the protocol, missing where there is none; names it does not know are left out."""
    known = {mark.name: mark for mark in landmarks}
    return tuple(known.get(name, Landmark(name)) for name in protocol.constellation.names)


def with_corrections(predicted: Iterable[Landmark], corrections: Iterable[Landmark]) -> tuple[Landmark, ...]:
    """The predicted landmarks with those replaced that a person placed or marked missing."""
    placed = {mark.name: mark for mark in corrections if mark.status != PREDICTED}
    return tuple(placed.get(mark.name, mark) for mark in predicted)


def _with_threshold(model: LandmarkModel, threshold: float) -> LandmarkModel:
    if not 0 < threshold < 1:
        raise UsageError(f"a detection threshold of {threshold:g} finds all or nothing", remedy="Give one in 0..1.")
    return replace(model, threshold=threshold)


def _not_recognised(stacks: Sequence[ScoutStack], protocol: Protocol, predicted: Sequence[Landmark]) -> InputError:
    """Too few landmarks to plan: what that means for someone who gave scouts, with what the images themselves show."""
    found = sum(mark.status != MISSING for mark in predicted)
    reasons = [check.message for check in scout_checks(stacks) if check.level == ERROR]
    return InputError(
        f"no {protocol.anatomy or 'anatomy'} recognised in the scouts, {found} of {len(predicted)} landmarks found",
        remedy=" ".join(reasons) or "Check the region and the images, or place landmarks by hand (--landmarks).",
    )


def _plan(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    rule: BoxRule,
    predicted: tuple[Landmark, ...],
    corrections: Iterable[Landmark],
    disagreeing: Sequence[str],
    model: ModelInfo | None,
) -> Calibration:
    landmarks = with_corrections(predicted, corrections)
    frame = fit_frame(landmarks, protocol, model.pose_covariance if model else None)
    box = plan_box(frame, protocol, rule)
    seen = {mark.name for mark in landmarks if mark.status == PREDICTED}
    in_doubt = [name for name in disagreeing if name in seen]
    checks = run_checks(Evidence(stacks, landmarks, in_doubt, frame, box, protocol, rule))
    return Calibration(
        stacks=tuple(stacks),
        protocol=protocol,
        landmarks=landmarks,
        predicted=predicted,
        frame=frame,
        box=box,
        prescription=prescribe(box, rule),
        checks=checks,
        model=model,
        disagreeing=tuple(disagreeing),
    )
