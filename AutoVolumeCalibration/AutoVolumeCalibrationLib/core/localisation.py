"""Find the landmarks of a study: look at the slices as they are, then again with the head upright in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .detection import StackDetections, detect
from .errors import InputError
from .frame import fit_frame
from .fusion import fuse
from .landmarks import Landmark
from .protocols import Protocol
from .scouts import ScoutStack

if TYPE_CHECKING:
    import numpy as np

    from .bundles import LandmarkModel


@dataclass(frozen=True, eq=False)
class Located:
    """Landmarks in the model's order, the names on which the planes disagree, and what each slice showed."""

    landmarks: tuple[Landmark, ...]
    disagreeing: tuple[str, ...]
    detections: tuple[StackDetections, ...]


def locate(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    model: LandmarkModel,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    *,
    given: Sequence[Landmark] = (),
) -> Located:
    """Landmarks of a study in two passes; the first tells how the head lies, the second sees it upright.

    Where the first pass finds too little to tell how the head lies, its landmarks are the result.

    Args:
        given: landmarks that a person placed, which a sequential model is shown in both passes (``detection.detect``).
        progress: called with the fraction done, 0..1.
        cancelled: asked between batches of slices; True raises Cancelled.
    """
    first = _look(stacks, model, _part(progress, 0.0), cancelled, None, given)
    try:
        axes = fit_frame(first.landmarks, protocol, model.uncertainty.pose_covariance).axes
    except InputError:
        return first
    return _look(stacks, model, _part(progress, 0.5), cancelled, axes, given)


def _look(
    stacks: Sequence[ScoutStack],
    model: LandmarkModel,
    progress: Callable[[float], None] | None,
    cancelled: Callable[[], bool] | None,
    head_axes: np.ndarray | None,
    given: Sequence[Landmark],
) -> Located:
    detections = detect(stacks, model, progress, cancelled, head_axes=head_axes, given=given)
    through_plane_mm = model.uncertainty.through_plane_mm
    fusion = fuse(detections, model.names, model.mirror, model.threshold, model.tau_mm, through_plane_mm)
    return Located(fusion.landmarks, fusion.disagreeing, tuple(detections))


def _part(progress: Callable[[float], None] | None, start: float) -> Callable[[float], None] | None:
    """Progress of one of the two passes as part of the whole."""
    if progress is None:
        return None
    return lambda fraction: progress(start + fraction / 2)
