"""Find the landmarks of a study: detect them on the slices as acquired, then upright in the stacks that show it turned.

A head in an orientation that the network was not trained on, on its side or upside down, gives low and contradictory
peaks at first. All orientations are then tried on the middle slices, and the one with the best detection is taken.
Prone and supine heads resemble each other in coronal and axial slices, but not in sagittal ones: where the peaks are
high, but those of the sagittal slices are not, half turns of the head are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import MISSING, Landmark
from ..anatomy.protocol import Protocol
from ..detection.detector import StackDetections, detect
from ..detection.fusion import fuse
from ..detection.reorientation import back_from_head_space, in_head_space, is_turned, points_in_head_space
from ..errors import InputError
from ..planning.frame import AnatomicalFrame, fit_frame
from ..scouts.stack import ScoutStack, header_side

if TYPE_CHECKING:
    from ..detection.landmark_model import LandmarkModel

#: With at least so many slices in every stack, few landmarks lie far from all slices.
DENSE_SLICES = 4

#: Half turns about the head's right, anterior and superior axis.
HALF_TURNS = tuple(np.diag(signs).astype(float) for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1)))

#: How many of the best orientations are refined, and how often: a head may lie 60 degrees from all quarter turns.
REFINED_CANDIDATES, REFINEMENTS = 3, 2


@dataclass(frozen=True, eq=False)
class LocalizationResult:
    """Landmarks in the model's order, how well the planes agree (``Fusion``), and the detections of every stack."""

    landmarks: tuple[Landmark, ...]
    disagreeing: tuple[str, ...]
    detections: tuple[StackDetections, ...]
    birge_ratios: Mapping[str, float] = field(default_factory=dict)


def locate(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    model: LandmarkModel,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    *,
    guidance: Sequence[Landmark] = (),
) -> LocalizationResult:
    """Landmarks of a study: a first pass finds the head's orientation, a second runs on the stacks that show it turned.

    Where the first pass finds too little to determine the orientation, its landmarks are the result.

    Args:
        guidance: the user's landmarks: the head's orientation follows them, and a guided model takes them as input
            (``detector.detect``).
        progress: called with the fraction done, 0..1.
        cancelled: asked between batches of slices; True raises Cancelled.
    """
    localizer = StudyLocalizer(stacks, protocol, model, cancelled, guidance)
    first = localizer.detect(None, _part(progress, 0.0))
    frame = localizer.frame_of(first)
    if frame is not None and not localizer.has_low_peaks(first):
        second = localizer.upright_where_turned(first, frame, _part(progress, 0.5))
        return localizer.resolve_half_turn(second, frame) or localizer.refined_if_low(second)
    other = localizer.search_orientations()
    start = other or frame
    if start is None:
        return first
    second = localizer.detect(start.axes, _part(progress, 0.5))
    return localizer.refined(second) if other else localizer.refined_if_low(second)


@dataclass(frozen=True, eq=False)
class _OrientationCandidate:
    """An orientation that was tried on the middle slices: its ``_detection_score``, and the frame found, if any."""

    score: float
    frame: AnatomicalFrame | None


class StudyLocalizer:
    """One study and one model: detection with the head in any orientation."""

    def __init__(
        self,
        stacks: Sequence[ScoutStack],
        protocol: Protocol,
        model: LandmarkModel,
        cancelled: Callable[[], bool] | None = None,
        guidance: Sequence[Landmark] = (),
    ) -> None:
        self._stacks, self._protocol, self._model = stacks, protocol, model
        self._cancelled, self._guidance = cancelled, guidance

    def detect(
        self, head_axes: np.ndarray | None, progress: Callable[[float], None] | None = None
    ) -> LocalizationResult:
        """One pass over all slices.

        Args:
            head_axes: (3, 3), rows are the head's right, anterior and superior directions in RAS. The network then
                gets every slice upright, as the anatomical plane that the slice shows. None: the scanner's axes.
        """
        return self._detect_in(self._stacks, head_axes, progress)

    def upright_where_turned(
        self,
        first: LocalizationResult,
        frame: AnatomicalFrame,
        progress: Callable[[float], None] | None = None,
    ) -> LocalizationResult:
        """``first`` with a second look at the stacks in which the head of ``frame`` is turned."""
        turned = [
            i for i, stack in enumerate(self._stacks) if is_turned(stack, frame.axes, self._model.limits.turned_deg)
        ]
        if not turned:
            if progress:
                progress(1.0)
            return first
        second = self._detections([self._stacks[i] for i in turned], frame.axes, progress)
        again = dict(zip(turned, second, strict=True))
        return self.fused([again.get(i, detection) for i, detection in enumerate(first.detections)])

    def search_orientations(self) -> AnatomicalFrame | None:
        """The frame found in the orientation with the best detection score on the middle slices.

        All 24 quarter turns are tried, and the best ones refined by the frames found there. None where no orientation
        scores clearly better than the scanner's axes.
        """
        own, *others = self._orientations()
        best = max([own, *others], key=lambda candidate: candidate.score)
        return best.frame if best.score > self._least_score(own, self._model.limits.orientation_gain) else None

    def _orientations(self) -> list[_OrientationCandidate]:
        """The scanner's axes, all quarter turns against them, and the best of these refined."""
        from scipy.spatial.transform import Rotation

        turns = Rotation.create_group("O")
        candidates = [*map(self._candidate, [np.eye(3), *turns[turns.magnitude() > 1e-6].as_matrix()])]
        for _ in range(REFINEMENTS):
            best = sorted(candidates, key=lambda candidate: -candidate.score)[:REFINED_CANDIDATES]
            candidates += [self._candidate(candidate.frame.axes) for candidate in best if candidate.frame is not None]
        return candidates

    def middle_score(self) -> float:
        """How well the middle slices, as acquired, show the model's anatomy: 0..1, see ``_detection_score``."""
        return self._candidate(np.eye(3)).score

    def best_score(self) -> float:
        """The highest score of the middle slices in any orientation; tries all 24 quarter turns."""
        return max(candidate.score for candidate in self._orientations())

    def refined(self, located: LocalizationResult) -> LocalizationResult:
        """One more pass, in the frame that was found.

        The orientation so far came from a head that was not upright in the slices, or from the middle slices alone.
        """
        better = self.frame_of(located)
        return located if better is None else self.detect(better.axes)

    def refined_if_low(self, located: LocalizationResult) -> LocalizationResult:
        """``refined`` where the peaks are low, else ``located`` as it is."""
        return self.refined(located) if self.has_low_peaks(located) else located

    def resolve_half_turn(self, located: LocalizationResult, frame: AnatomicalFrame) -> LocalizationResult | None:
        """The result with the head rotated by 180 degrees, if that scores better than ``located``, else None.

        A head resembles itself back to front and upside down: prone heads gave peaks nearly as high as usual, and were
        planned back to front. Low sagittal peaks raise the suspicion, the middle slices strengthen it, all slices
        decide.
        """
        if sagittal_peak(located.detections) >= self._model.limits.profile_peak:
            return None
        own = self._candidate(frame.axes)
        best = max((self._candidate(turn @ frame.axes) for turn in HALF_TURNS), key=lambda candidate: candidate.score)
        if best.frame is None or best.score <= self._least_score(own):
            return None
        other = self.refined(self.detect(best.frame.axes))
        score, other_score = (_detection_score(result, self.frame_of(result)) for result in (located, other))
        return other if other_score > score else None

    def _least_score(self, own: _OrientationCandidate, gain: float = 0.0) -> float:
        """The score that another orientation must exceed."""
        return max(self._model.limits.orientation_score, own.score + gain)

    def _candidate(self, head_axes: np.ndarray) -> _OrientationCandidate:
        middle = [replace(stack, slices=stack.slices[len(stack.slices) // 2 :][:1]) for stack in self._stacks]
        located = self._detect_in(middle, head_axes)
        frame = self.frame_of(located)
        return _OrientationCandidate(_detection_score(located, frame), frame)

    def has_low_peaks(self, located: LocalizationResult) -> bool:
        """Whether the mean peak value is so low that the orientation may be wrong."""
        dense = min(len(stack.slices) for stack in self._stacks) >= DENSE_SLICES
        peak_values = [landmark.confidence for landmark in located.landmarks if landmark.status != MISSING]
        minimum = self._model.limits.dense_peak if dense else self._model.limits.sparse_peak
        return not peak_values or float(np.mean(peak_values)) < minimum

    def frame_of(self, located: LocalizationResult) -> AnatomicalFrame | None:
        """The frame of the landmarks found and the guidance, which takes precedence; None where that is too little."""
        placed = {landmark.name: landmark for landmark in self._guidance if landmark.position_mm is not None}
        found = (landmark for landmark in located.landmarks if landmark.name not in placed)
        landmarks = [*placed.values(), *found]
        try:
            shared = self._model.uncertainty.pose_covariance
            return fit_frame(landmarks, self._protocol, shared, header_side(self._stacks))
        except InputError:
            return None

    def _detect_in(
        self,
        stacks: Sequence[ScoutStack],
        head_axes: np.ndarray | None,
        progress: Callable[[float], None] | None = None,
    ) -> LocalizationResult:
        return self.fused(self._detections(stacks, head_axes, progress))

    def _detections(
        self,
        stacks: Sequence[ScoutStack],
        head_axes: np.ndarray | None,
        progress: Callable[[float], None] | None,
    ) -> list[StackDetections]:
        model, cancelled = self._model, self._cancelled
        if head_axes is None:
            return detect(stacks, model, progress, cancelled, guidance=self._guidance)
        in_head, points = in_head_space(stacks, head_axes), points_in_head_space(self._guidance, head_axes)
        found = detect(in_head, model, progress, cancelled, head_axes=np.eye(3), guidance=points)
        return back_from_head_space(found, head_axes)

    def fused(self, detections: Sequence[StackDetections]) -> LocalizationResult:
        """The landmarks of all stacks' detections together."""
        model, through_plane_mm = self._model, self._model.uncertainty.through_plane_mm
        fusion = fuse(detections, model.names, model.mirror, model.threshold, model.tau_mm, through_plane_mm)
        return LocalizationResult(fusion.landmarks, fusion.disagreeing, tuple(detections), fusion.birge_ratios)


def sagittal_peak(detections: Sequence[StackDetections]) -> float:
    """Mean of the landmarks' highest peak values in the sagittal slices; 0 where there are none."""
    peak_values = [detection.peak_values for detection in detections if detection.sagittal]
    return float(np.concatenate(peak_values).max(axis=0).mean()) if peak_values else 0.0


def _detection_score(located: LocalizationResult, frame: AnatomicalFrame | None) -> float:
    """Sum of the peak values of the landmarks that agree with the frame, per landmark of the model: 0..1."""
    if frame is None:
        return 0.0
    agreeing = [
        landmark.confidence
        for landmark in located.landmarks
        if landmark.status != MISSING and landmark.name not in frame.outliers
    ]
    return sum(agreeing) / len(located.landmarks)


def _part(progress: Callable[[float], None] | None, start: float) -> Callable[[float], None] | None:
    """Progress of one of the two passes as part of the whole."""
    if progress is None:
        return None
    return lambda fraction: progress(start + fraction / 2)
