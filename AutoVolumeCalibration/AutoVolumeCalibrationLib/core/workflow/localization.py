"""Find the landmarks of a study: look at the slices as they are, then again with the head upright in them.

A head that lies in a way the network never saw, on its side or upside down, gives faint and contradictory peaks at
first. Then the middle slices are looked at from all directions, and the one from which most is seen clearly is taken.
Where the peaks are high, they are still looked at the other way round: prone and supine heads look alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import MISSING, Landmark
from ..anatomy.protocol import Protocol
from ..detection.detector import StackDetections, detect
from ..detection.fusion import fuse
from ..detection.reorientation import back_from_head_space, in_head_space, points_in_head_space
from ..errors import InputError
from ..planning.frame import AnatomicalFrame, fit_frame
from ..scouts.stack import ScoutStack

if TYPE_CHECKING:
    from ..detection.landmark_model import LandmarkModel

#: Mean peak height of the landmarks found below which the head may lie otherwise than it seems: with at least so many
#: slices in every stack, and with fewer, where many landmarks are seen from afar. Measured with the shipped model on
#: four heads: upright 0.80-0.85 with five slices, 0.75-0.80 with one; turned by 45 to 180 degrees 0.49-0.78 and
#: 0.41-0.60. A look from all sides that was not needed costs a second.
MIN_MEAN_PEAK_DENSE, DENSE_SLICES, MIN_MEAN_PEAK_SPARSE = 0.79, 4, 0.72

#: ``_detection_score`` of an orientation worth taking: heads from the right side 0.51-0.86, a phantom 0.19.
MIN_SCORE = 0.45

#: How much clearer another direction must be.
MIN_SCORE_GAIN = 0.05

#: Half turns about the head's right, anterior and superior axis.
HALF_TURNS = tuple(np.diag(signs).astype(float) for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1)))

#: So many of the clearest directions are improved so many times: a head may lie 60 degrees from all quarter turns.
FOLLOWED, REFINEMENTS = 3, 2


@dataclass(frozen=True, eq=False)
class LocalizationResult:
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
    guidance: Sequence[Landmark] = (),
) -> LocalizationResult:
    """Landmarks of a study in two passes; the first tells how the head lies, the second sees it upright.

    Where the first pass finds too little to tell how the head lies, its landmarks are the result.

    Args:
        given: landmarks that a person placed: they tell how the head lies, and a sequential model is shown them
            (``detection.detect``).
        progress: called with the fraction done, 0..1.
        cancelled: asked between batches of slices; True raises Cancelled.
    """
    look = _StudyLocalizer(stacks, protocol, model, cancelled, guidance)
    first = look.from_axes(None, _part(progress, 0.0))
    frame = look.frame_of(first)
    if frame is None or look.has_low_peaks(first):
        aside = look.search_orientations()
        if frame is None and aside is None:
            return first
        second = look.from_axes((aside or frame).axes, _part(progress, 0.5))
        return look.improved(second) if aside or look.has_low_peaks(second) else second
    second = look.from_axes(frame.axes, _part(progress, 0.5))
    return look.resolve_half_turn(second, frame) or (look.improved(second) if look.has_low_peaks(second) else second)


@dataclass(frozen=True, eq=False)
class _OrientationCandidate:
    """A direction that a study was looked at from: how clear the head was, and the frame found, if any."""

    clarity: float
    frame: AnatomicalFrame | None


class _StudyLocalizer:
    """One study seen by one model, from whatever direction."""

    def __init__(
        self,
        stacks: Sequence[ScoutStack],
        protocol: Protocol,
        model: LandmarkModel,
        cancelled: Callable[[], bool] | None,
        guidance: Sequence[Landmark],
    ) -> None:
        self._stacks, self._protocol, self._model = stacks, protocol, model
        self._cancelled, self._guidance = cancelled, guidance

    def from_axes(
        self, head_axes: np.ndarray | None, progress: Callable[[float], None] | None = None
    ) -> LocalizationResult:
        """One pass; with ``head_axes`` every slice is seen as the plane of the head that it is, the head upright."""
        return self._look(self._stacks, head_axes, progress)

    def search_orientations(self) -> AnatomicalFrame | None:
        """The frame seen from the direction that shows the middle slices most clearly.

        All 24 quarter turns are tried; from the best of them the direction is improved by what is seen from there. None
        where no other is clearly better than the scanner's own axes.
        """
        from scipy.spatial.transform import Rotation

        own, turns = self._middle_from(np.eye(3)), Rotation.create_group("O")
        sides = [own, *map(self._middle_from, turns[turns.magnitude() > 1e-6].as_matrix())]
        for _ in range(REFINEMENTS):
            best = sorted(sides, key=lambda side: -side.clarity)[:FOLLOWED]
            sides += [self._middle_from(side.frame.axes) for side in best if side.frame is not None]
        clearest = max(sides, key=lambda side: side.clarity)
        return clearest.frame if clearest.clarity > max(MIN_SCORE, own.clarity + MIN_SCORE_GAIN) else None

    def improved(self, located: LocalizationResult) -> LocalizationResult:
        """Once more, from the frame that was found: the direction so far came from a head seen askew, or from the
        middle slices alone."""
        better = self.frame_of(located)
        return located if better is None else self.from_axes(better.axes)

    def resolve_half_turn(self, located: LocalizationResult, frame: AnatomicalFrame) -> LocalizationResult | None:
        """What is seen with the head the other way round, where that is clearer than ``located``; else None.

        A head looks much the same back to front or upside down: heads that lie prone were seen with peaks nearly as
        high as usual, and planned back to front. The middle slices raise the suspicion, all slices decide.
        """
        own = self._middle_from(frame.axes)
        clearest = max((self._middle_from(turn @ frame.axes) for turn in HALF_TURNS), key=lambda side: side.clarity)
        if clearest.clarity <= max(MIN_SCORE, own.clarity):
            return None
        other = self.improved(self.from_axes(clearest.frame.axes))
        clarity, other_clarity = (_detection_score(seen, self.frame_of(seen)) for seen in (located, other))
        return other if other_clarity > clarity else None

    def _middle_from(self, head_axes: np.ndarray) -> _OrientationCandidate:
        middle = [replace(stack, slices=stack.slices[len(stack.slices) // 2 :][:1]) for stack in self._stacks]
        located = self._look(middle, head_axes)
        frame = self.frame_of(located)
        return _OrientationCandidate(_detection_score(located, frame), frame)

    def has_low_peaks(self, located: LocalizationResult) -> bool:
        """Whether so little was seen clearly that the head may lie otherwise."""
        many = min(len(stack.slices) for stack in self._stacks) >= DENSE_SLICES
        peak_values = [mark.confidence for mark in located.landmarks if mark.status != MISSING]
        return not peak_values or float(np.mean(peak_values)) < (MIN_MEAN_PEAK_DENSE if many else MIN_MEAN_PEAK_SPARSE)

    def frame_of(self, located: LocalizationResult) -> AnatomicalFrame | None:
        """The frame of what was found and of what is given, which goes before; None where that is too little."""
        placed = {mark.name: mark for mark in self._guidance if mark.position_mm is not None}
        landmarks = [*placed.values(), *(mark for mark in located.landmarks if mark.name not in placed)]
        try:
            return fit_frame(landmarks, self._protocol, self._model.uncertainty.pose_covariance)
        except InputError:
            return None

    def _look(
        self,
        stacks: Sequence[ScoutStack],
        head_axes: np.ndarray | None,
        progress: Callable[[float], None] | None = None,
    ) -> LocalizationResult:
        model, cancelled = self._model, self._cancelled
        if head_axes is None:
            detections = detect(stacks, model, progress, cancelled, guidance=self._guidance)
        else:
            turned, points = in_head_space(stacks, head_axes), points_in_head_space(self._guidance, head_axes)
            seen = detect(turned, model, progress, cancelled, head_axes=np.eye(3), guidance=points)
            detections = back_from_head_space(seen, head_axes)
        through_plane_mm = model.uncertainty.through_plane_mm
        fusion = fuse(detections, model.names, model.mirror, model.threshold, model.tau_mm, through_plane_mm)
        return LocalizationResult(fusion.landmarks, fusion.disagreeing, tuple(detections))


def _detection_score(located: LocalizationResult, frame: AnatomicalFrame | None) -> float:
    """Peak heights of the landmarks that agree with the frame, as a share of all landmarks seen perfectly: 0..1."""
    if frame is None:
        return 0.0
    agreeing = [m.confidence for m in located.landmarks if m.status != MISSING and m.name not in frame.outliers]
    return sum(agreeing) / len(located.landmarks)


def _part(progress: Callable[[float], None] | None, start: float) -> Callable[[float], None] | None:
    """Progress of one of the two passes as part of the whole."""
    if progress is None:
        return None
    return lambda fraction: progress(start + fraction / 2)
