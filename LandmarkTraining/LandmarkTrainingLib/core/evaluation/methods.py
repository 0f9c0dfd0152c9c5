"""The planning methods that an evaluation compares: a model, and the baselines.

A method is a function from scouts to a ``Plan``. Frame and box of all of them come from the same code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, box_rule
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import Check
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame, fit_frame
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration

from .baselines import Template, mean_constellation, register_template

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel


@dataclass(frozen=True, eq=False)
class SliceDetections:
    """Detections on one slice: ``positions_mm`` maps the names found there to (3,) RAS on the slice.

    ``sagittal_pairs``: what a pair is on sagittal slices (``core.detection.sagittal_pairs``).
    """

    stack_index: int
    slice_index: int
    positions_mm: Mapping[str, np.ndarray]
    sagittal_pairs: str = MIDDLE


@dataclass(frozen=True, eq=False)
class Plan:
    """The result of a method.

    Attributes:
        landmarks: as found.
        frame, box: planned from them, with the rule's own margins.
        delivered: the box as users get it, with margins for the uncertainty; None: it is ``box``.
        checks: findings about the plan; None where the method has no checks.
        detections: slice by slice; None where the method does not detect on single slices.
        timings_s: seconds per step.
    """

    landmarks: Sequence[Landmark]
    frame: AnatomicalFrame
    box: OrientedBox
    checks: Sequence[Check] | None = None
    detections: Sequence[SliceDetections] | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    delivered: OrientedBox | None = None


Method = Callable[[Sequence[ScoutStack]], Plan]


def standard_methods(
    model: LandmarkModel | None, protocol: Protocol, template: Template | None, box: str | None = None
) -> dict[str, Method]:
    """The model, the mean constellation and the registration by name; None leaves one out.

    The model's name is that of ``model_name``.
    """
    methods: dict[str, Method] = {}
    if model is not None:
        methods[model_name(model)] = model_method(model, protocol, box)
    methods["mean constellation"] = constellation_method(protocol, box)
    if template is not None:
        methods["template registration"] = registration_method(protocol, template, box)
    return methods


def model_name(model: LandmarkModel) -> str:
    """The model's name among the methods; results of two trainings never mix."""
    return f"{model.name} {model.sha256[:8]}"


def model_method(
    model: LandmarkModel,
    protocol: Protocol,
    box: str | None = None,
    *,
    calibrate: Callable[..., Calibration] | None = None,
    look: Callable[[Sequence[ScoutStack], Protocol, LandmarkModel], Sequence[SliceDetections]] | None = None,
) -> Method:
    """Plan with a model.

    Args:
        box: name of one of the protocol's boxes, its first when None.
        calibrate: like ``pipeline.calibrate``, which is the default.
        look: the model's detections slice by slice, ``detect_slices`` by default (it runs the network once more).
    """
    if calibrate is None:
        from AutoVolumeCalibrationLib.core.workflow import pipeline

        calibrate = pipeline.calibrate
    look = look or detect_slices

    def plan(stacks: Sequence[ScoutStack]) -> Plan:
        result = calibrate(stacks, protocol, model, box=box)
        detections = look(stacks, protocol, model)
        # The rule's own margins, as the true box has them: margins for the uncertainty would count as errors.
        planned = plan_box(result.frame, protocol, box_rule(protocol, box))
        return Plan(result.landmarks, result.frame, planned, result.checks, detections, result.timings_s, result.box)

    return plan


def constellation_method(protocol: Protocol, box: str | None = None) -> Method:
    """Plan without detection: a typical head, straight, where the scouts cross."""
    return _from_landmarks(lambda stacks: mean_constellation(stacks, protocol), protocol, box)


def registration_method(protocol: Protocol, template: Template, box: str | None = None) -> Method:
    """Plan from a template's landmarks, registered to the scouts."""
    return _from_landmarks(lambda stacks: register_template(stacks, template), protocol, box)


def detect_slices(
    stacks: Sequence[ScoutStack], protocol: Protocol, model: LandmarkModel, guidance: Sequence[Landmark] = ()
) -> list[SliceDetections]:
    """The peaks of every slice that reach the model's threshold, in space; ``guidance`` as ``locate`` takes it."""
    from AutoVolumeCalibrationLib.core.workflow.localization import locate

    slices = []
    for stack_index, stack in enumerate(locate(stacks, protocol, model, guidance=guidance).detections):
        for slice_index, offset_mm in enumerate(stack.positions_mm):
            points = stack.points_mm[slice_index] @ stack.axes[:2] + offset_mm * stack.axes[2]
            found = zip(model.names, points, stack.peak_values[slice_index], strict=True)
            positions = {name: point for name, point, peak in found if peak >= model.threshold}
            slices.append(SliceDetections(stack_index, slice_index, positions, stack.sagittal_pairs))
    return slices


def _from_landmarks(
    locate: Callable[[Sequence[ScoutStack]], list[Landmark]], protocol: Protocol, box: str | None
) -> Method:
    rule = box_rule(protocol, box)

    def plan(stacks: Sequence[ScoutStack]) -> Plan:
        started = time.perf_counter()
        landmarks = locate(stacks)
        located = time.perf_counter()
        frame = fit_frame(landmarks, protocol)
        planned = plan_box(frame, protocol, rule)
        finished = time.perf_counter()
        timings = {"detect": located - started, "fit": finished - located, "total": finished - started}
        return Plan(landmarks, frame, planned, timings_s=timings)

    return plan
