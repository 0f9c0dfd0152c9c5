"""The variants: what each does otherwise than the present way, and how a case is planned by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from unittest.mock import patch

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol, box_rule
from AutoVolumeCalibrationLib.core.detection import fusion
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.fit import robust_fit
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame, fit_frame
from LandmarkTrainingLib.core.reference_heads.brain_extremes import NORMAL_AXIS

from .cases import LAST, Case
from .looks import Detections, averaged
from .shapes import Shape, with_shape
from .views import depth_beyond_the_stack, depth_by_parabola, depth_of_any_height, depth_with_open_side, view_by

Landmarks = Sequence[Landmark]
Fit = Callable[[Landmarks, Protocol, "np.ndarray | None"], AnatomicalFrame]


@dataclass(frozen=True)
class Variant:
    """What is done otherwise.

    Attributes:
        looks: whose points are averaged.
        threshold: of peak heights, the model's own when None.
        through_plane: factor on the deviation of the depth; pose: on the pose covariance (0: none);
            errors: on the landmarks' deviations.
        shape: how much heads are said to differ.
        fit: as ``fit_frame``.
        patches: attribute of ``fusion`` or ``robust_fit`` -> value.
    """

    name: str
    looks: tuple[str, ...] = (LAST,)
    threshold: float | None = None
    through_plane: float = 1.0
    pose: float = 1.0
    errors: float = 1.0
    shape: Shape = Shape()
    fit: Fit = fit_frame
    patches: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Planned:
    """What a variant makes of a case."""

    detections: Detections
    landmarks: tuple[Landmark, ...]
    frame: AnatomicalFrame
    box: OrientedBox


def plan(variant: Variant, case: Case, protocol: Protocol, model: LandmarkModel) -> Planned:
    """Fuse, fit and plan; InputError where too little was found."""
    detections = (
        averaged([case.looks[name] for name in variant.looks])
        if len(variant.looks) > 1
        else case.looks[variant.looks[0]]
    )
    pose = model.uncertainty.pose_covariance
    with ExitStack() as stack:
        for name, value in variant.patches.items():
            stack.enter_context(patch.object(fusion if hasattr(fusion, name) else robust_fit, name, value))
        found = fusion.fuse(
            detections,
            model.names,
            model.mirror,
            model.threshold if variant.threshold is None else variant.threshold,
            model.tau_mm,
            model.uncertainty.through_plane_mm * variant.through_plane,
        ).landmarks
        scaled = [_with_deviation(mark, variant.errors) for mark in found]
        shared = pose * variant.pose if variant.pose and pose is not None else None
        frame = variant.fit(scaled, with_shape(protocol, variant.shape), shared)
    return Planned(detections, found, frame, plan_box(frame, protocol, smooth_rule(protocol)))


@cache
def smooth_rule(protocol: Protocol) -> BoxRule:
    """The first box without rounding to whole slices, which hides small differences."""
    return replace(box_rule(protocol, None), round_up_to_slices=False)


def _with_deviation(mark: Landmark, factor: float) -> Landmark:
    return mark if mark.status == MISSING else replace(mark, covariance_mm2=mark.covariance_mm2 * factor**2)


def _without_extremes(landmarks: Landmarks, protocol: Protocol, pose: np.ndarray | None) -> AnatomicalFrame:
    return fit_frame([mark for mark in landmarks if mark.name not in NORMAL_AXIS], protocol, pose)


def _extremes_for_faces_only(landmarks: Landmarks, protocol: Protocol, pose: np.ndarray | None) -> AnatomicalFrame:
    """The pose without the extremes, their places from the fit of all."""
    return replace(fit_frame(landmarks, protocol, pose), axes=_without_extremes(landmarks, protocol, pose).axes)


def _extremes_as_seen(landmarks: Landmarks, protocol: Protocol, pose: np.ndarray | None) -> AnatomicalFrame:
    """Faces at the fused extremes, not at their expected places."""
    fitted = fit_frame(landmarks, protocol, pose)
    seen = {m.name: m.position_mm for m in landmarks if m.status != MISSING and m.name in NORMAL_AXIS}
    return replace(fitted, expected_mm={**fitted.expected_mm, **seen})


PRESENT = Variant("present")

FUSION = (
    *(Variant(f"height power {p}", patches={"HEIGHT_POWER": p}) for p in (1, 6, 30)),
    Variant("weights by variance", patches={"_view": view_by("variance", "best")}),
    Variant("sd independent", patches={"_view": view_by("height", "independent")}),
    Variant("sd with scatter", patches={"_view": view_by("height", "spread")}),
    Variant("depth: parabola", patches={"depth_in_stack": depth_by_parabola}),
    Variant("depth: any height", patches={"depth_in_stack": depth_of_any_height}),
    Variant("depth: beyond stack", patches={"depth_in_stack": depth_beyond_the_stack}),
    *(Variant(f"open side sd x {f:g}", patches={"_depth": depth_with_open_side(f)}) for f in (2.0, 4.0)),
    *(Variant(f"through-plane sd x {f:g}", through_plane=f) for f in (0.5, 2.0)),
    *(Variant(f"threshold {t:g}", threshold=t) for t in (0.1, 0.3)),
)

FRAME = (
    *(Variant(f"robust scale {s:g}", patches={"ROBUST_SCALE": s}) for s in (1.5, 4.0, 1e3)),
    *(Variant(f"landmark sd x {f:g}", errors=f) for f in (0.5, 2.0)),
    Variant("no pose covariance", pose=0.0),
    *(Variant(f"log scale sd {s:g}", patches={"LOG_SCALE_SD": s}) for s in (0.06, 0.3)),
)

SHAPE = (
    *(Variant(f"shape x {f:g}", shape=Shape(f)) for f in (0.5, 2.0, 4.0)),
    *(Variant(f"shape + {mm:g} mm", shape=Shape(added_mm=mm)) for mm in (1.0, 1.5)),
    *(Variant(f"extremes + {mm:g} mm", shape=Shape(extremes_mm=mm)) for mm in (2.0, 3.0, 5.0)),
    *(Variant(f"three sizes, sd {s:g}", shape=Shape(anisotropy=s)) for s in (0.03, 0.06)),
    Variant("extremes + 2 mm, sizes 0.03", shape=Shape(extremes_mm=2.0, anisotropy=0.03)),
    Variant("without extremes", fit=_without_extremes),
    Variant("extremes for faces only", fit=_extremes_for_faces_only),
    Variant("faces at seen extremes", fit=_extremes_as_seen),
)

LOOKS = (
    Variant("one look more", looks=("again",)),
    Variant("mirrored", looks=("mirrored",)),
    Variant("turned +-4 deg", looks=("again", "turned+", "turned-")),
    Variant("mirrored and turned", looks=("mirrored", "turned+", "turned-")),
    *(Variant(f"pixels {pixel}", looks=(pixel,)) for pixel in ("1.7 mm", "2.4 mm")),
    Variant("head of mean size", looks=("sized",)),
    Variant("2, 1.7 and 2.4 mm", looks=("again", "1.7 mm", "2.4 mm")),
    Variant("all", looks=("mirrored", "turned+", "turned-", "1.7 mm", "2.4 mm")),
)

_WIDE, _POWER_6 = Shape(extremes_mm=2.0, anisotropy=0.03), {"HEIGHT_POWER": 6}
TOGETHER = (
    Variant("+ 2 mm, 0.03, power 6", shape=_WIDE, patches=_POWER_6),
    Variant("and mirrored", ("mirrored",), shape=_WIDE, patches=_POWER_6),
    Variant("and sized", ("sized",), shape=_WIDE, patches=_POWER_6),
    Variant("and all looks", LOOKS[-1].looks, shape=_WIDE, patches=_POWER_6),
)

GROUPS = {"Fusion": FUSION, "Frame": FRAME, "Shape and extremes": SHAPE, "Looks": LOOKS, "Together": TOGETHER}
