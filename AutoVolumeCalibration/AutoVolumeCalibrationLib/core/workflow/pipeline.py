"""Plan a scan volume: scouts -> landmarks -> frame -> box -> prescription."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ..anatomy.protocol import BoxRule, Protocol, box_rule
from ..detection.model_info import ModelInfo
from ..detection.model_limits import ModelLimits
from ..errors import InputError, ModelError, UsageError
from ..motion.motion import FOUND, Motion
from ..motion.search import find_motion
from ..planning.box import plan_box
from ..planning.checks.check import ERROR
from ..planning.checks.limb_checks import body_part_check
from ..planning.checks.scout_checks import scout_checks
from ..planning.frame import FEWEST_LANDMARKS, fit_frame
from ..planning.prescription import prescribe
from ..scouts.stack import ScoutStack, header_side, require_usable
from .calibration import Calibration
from .checked_plan import checked, coverage_under, with_automatic, with_follow_up, with_other_anatomy
from .localization import locate
from .located_after_motion import located_after_motion

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
        corrections: the user's landmarks. They replace the predicted ones, and the head's orientation follows them,
            so that the model gets upright slices. A guided model takes them as input and does not predict them.
        threshold: peak value, 0..1, below which a landmark counts as not found; the model's own when None.
        progress: called with the fraction of the slices done, 0..1.
        cancelled: asked between batches of slices; True raises Cancelled.

    Raises:
        InputError: the scouts cannot be planned on, or too few landmarks are found.
        ProtocolError: the protocol has no such box.
        ModelError: the model finds none of the protocol's landmarks.
        UsageError: the threshold is not between 0 and 1.
    """
    require_usable(stacks)
    rule = box_rule(protocol, box)
    require_common_landmarks(model, protocol)
    if threshold is not None:
        model = _with_threshold(model, threshold)
    corrections = tuple(corrections)
    guidance = [c for c in corrections if c.status == CORRECTED and c.name in model.names]
    guidance_names = tuple(landmark.name for landmark in guidance)
    not_predicted = guidance_names if model.guided else ()
    started = time.perf_counter()
    located = locate(stacks, protocol, model, progress, cancelled, guidance=guidance)
    motion = find_motion(stacks)
    if motion.state == FOUND:
        located = located_after_motion(located, motion, model)
    detected = time.perf_counter()
    found = (landmark for landmark in located.landmarks if landmark.name not in not_predicted)
    predicted = in_protocol_order(found, protocol)
    disagreeing = [name for name in located.disagreeing if name not in not_predicted]
    ratios = {name: ratio for name, ratio in located.birge_ratios.items() if name not in not_predicted}
    shared = model.uncertainty.pose_covariance
    info = ModelInfo(
        model.name,
        model.sha256,
        model.device,
        shared,
        threshold,
        guidance_names,
        model.coverage,
        model.backend,
        model.limits,
        model.risk,
    )
    try:
        result = _plan(stacks, protocol, rule, predicted, corrections, disagreeing, ratios, info, motion)
    except InputError as error:
        raise _not_planned(stacks, protocol, predicted, error, model.limits) from error
    finished = time.perf_counter()
    timings = {"detect": detected - started, "fit": finished - detected, "total": finished - started}
    return replace(result, timings_s=timings)


def refit(calibration: Calibration, corrections: Iterable[Landmark], *, box: str | None = None) -> Calibration:
    """Plan anew from the predictions and the user's corrections, without the network; takes milliseconds.

    ``corrections`` are all that hold now: a landmark not among them returns to its prediction.
    """
    planned = plan_from_landmarks(
        calibration.stacks,
        calibration.protocol,
        corrections,
        predicted=calibration.predicted,
        model=calibration.model,
        box=box or calibration.box.name,
        timings_s=calibration.timings_s,
        disagreeing=calibration.disagreeing,
        motion=calibration.motion,
        birge_ratios=calibration.birge_ratios,
    )
    return with_follow_up(planned, calibration.follow_up)


def repredict(
    calibration: Calibration,
    corrections: Iterable[Landmark],
    model: LandmarkModel,
    *,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Calibration:
    """Rerun detection, guided by the user's landmarks, and plan from the result.

    ``corrections`` are all that hold now, as in ``refit``; they stay where they are. The model's predictions replace
    the earlier ones. A guided model does not predict the landmarks that guide it: for these the earlier predictions
    stay, so that a correction can be reset to them.

    Args:
        model: any; a correction of a landmark that the model does not know takes part in the fit only.
        progress: as in ``calibrate``.
        cancelled: as in ``calibrate``.

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
    if calibration.model:
        result = with_other_anatomy(result, calibration.model.other_anatomy)
        result = with_automatic(result, calibration.model.automatic, calibration.model.unsure_anatomy)
    result = with_follow_up(result, calibration.follow_up)
    if not model.guided:
        return result
    # No confidence: a position of the typical head, which nothing returns to once a model has run.
    guidance = result.model.guidance if result.model else ()
    kept = {p.name: p for p in calibration.predicted if p.name in guidance and p.confidence > 0}
    return replace(result, predicted=tuple(kept.get(landmark.name, landmark) for landmark in result.predicted))


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
    motion: Motion | None = None,
    birge_ratios: Mapping[str, float] | None = None,
) -> Calibration:
    """Plan from existing landmarks, without a network; needs no torch.

    Args:
        corrections: placed by the user, or set to missing; they replace predicted ones.
        predicted: landmarks that ``model`` found earlier.
        timings_s: of the earlier steps.
        disagreeing: names of predicted landmarks on which the planes disagreed; ``birge_ratios``: by how much.
        motion: of the head between the stacks, as it was found with ``predicted``.
    """
    require_usable(stacks)
    started = time.perf_counter()
    ordered = in_protocol_order(predicted, protocol)
    rule, ratios = box_rule(protocol, box), birge_ratios or {}
    result = _plan(stacks, protocol, rule, ordered, corrections, disagreeing, ratios, model, motion)
    elapsed = time.perf_counter() - started
    return replace(result, timings_s={**(timings_s or {}), "fit": elapsed, "total": elapsed})


def in_protocol_order(landmarks: Iterable[Landmark], protocol: Protocol) -> tuple[Landmark, ...]:
    """One landmark for every name of the protocol, missing where there is none; other names are left out."""
    known = {landmark.name: landmark for landmark in landmarks}
    return tuple(known.get(name, Landmark(name)) for name in protocol.constellation.names)


def with_corrections(predicted: Iterable[Landmark], corrections: Iterable[Landmark]) -> tuple[Landmark, ...]:
    """The predicted landmarks, except for those that the user placed or set to missing."""
    changed = {landmark.name: landmark for landmark in corrections if landmark.status != PREDICTED}
    return tuple(changed.get(landmark.name, landmark) for landmark in predicted)


def require_common_landmarks(model: LandmarkModel, protocol: Protocol) -> None:
    """Raise ModelError where the model is one of another anatomy."""
    if not set(model.names).intersection(protocol.constellation.names):
        raise ModelError(
            f"finds none of the landmarks of protocol {protocol.name}",
            source=model.name,
            remedy=f"Choose a model of the {protocol.anatomy or 'anatomy'}, or another protocol.",
        )


def _with_threshold(model: LandmarkModel, threshold: float) -> LandmarkModel:
    if not 0 < threshold < 1:
        raise UsageError(
            f"the detection threshold must be between 0 and 1 (got {threshold:g})",
            remedy="Choose another threshold, or none to use the model's own.",
        )
    return replace(model, threshold=threshold)


def _not_planned(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    predicted: Sequence[Landmark],
    cause: InputError,
    limits: ModelLimits,
) -> InputError:
    """Why the landmarks found do not give a plan, as the user needs to know it; faults of the scouts are the remedy."""
    found = sum(landmark.status != MISSING for landmark in predicted)
    counted = f"{found} of {len(predicted)} landmarks found"
    faults = [check for check in scout_checks(stacks) if check.level == ERROR]
    # A knee planned as a head: nobody helps it by placing more landmarks.
    other_part = body_part_check(stacks, protocol)
    reasons = " ".join(check.message for check in (*faults, other_part) if check)
    # So few landmarks are found in images of another region too: what their arrangement lacks is not the cause then.
    if found >= FEWEST_LANDMARKS and found >= limits.found_share[1] * len(predicted):
        return InputError(f"{counted}, but {cause.what}", remedy=reasons or cause.remedy)
    return InputError(
        f"no {protocol.anatomy or 'anatomy'} recognised in the scouts, {counted}",
        remedy=reasons or "Check the region, the images and the protocol, or place landmarks by hand.",
    )


def _plan(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    rule: BoxRule,
    predicted: tuple[Landmark, ...],
    corrections: Iterable[Landmark],
    disagreeing: Sequence[str],
    birge_ratios: Mapping[str, float],
    model: ModelInfo | None,
    motion: Motion | None,
) -> Calibration:
    landmarks = with_corrections(predicted, corrections)
    frame = fit_frame(landmarks, protocol, model.pose_covariance if model else None, header_side(stacks))
    box = plan_box(frame, protocol, rule, coverage_under(rule, model))
    return checked(
        Calibration(
            stacks=tuple(stacks),
            protocol=protocol,
            landmarks=landmarks,
            predicted=predicted,
            frame=frame,
            box=box,
            prescription=prescribe(box, rule),
            checks=(),
            model=model,
            disagreeing=tuple(disagreeing),
            motion=motion,
            birge_ratios=dict(birge_ratios),
        )
    )
