"""When a study is seen from another direction, and when not: the decisions of the search, without a network.

The detector of these tests sees an upright head from whatever direction it is given, with peaks as high as the test
says. The frame that comes out is therefore the direction that was taken last.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANE_NORMAL_AXIS, PLANES
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES
from AutoVolumeCalibrationLib.core.workflow import localization
from AutoVolumeCalibrationLib.core.workflow.localization import locate
from fake_models import blank_stacks, fake_model

PROTOCOL = load_protocol("BrainAcPc")
HEAD = PROTOCOL.constellation

UPRIGHT = np.eye(3)
ON_ITS_SIDE = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
FACE_DOWN = np.diag([-1.0, -1.0, 1.0])

#: Height of sagittal peaks that raises the suspicion of a half turn.
LOW = 0.4

#: Peak height for a direction (3, 3), and whether the middle slices alone are seen.
Heights = Callable[[np.ndarray, bool], float]


class UprightEverywhere:
    """Takes the place of ``detect``; ``passes`` and ``middles`` count its calls for all slices and for the middle ones.

    Attributes:
        looks: the planes of each call for all slices.
        profile: height of the sagittal peaks of a study as acquired; None: as high as the others.
        head: (3, 3) axes of a head that keeps its orientation in the scanner; None: it is upright in every direction.
    """

    def __init__(
        self, slices: int, height: Heights, profile: float | None = None, head: np.ndarray | None = None
    ) -> None:
        self.stacks, self.height = blank_stacks(np.arange(slices) * 10.0 - 5.0 * (slices - 1), side=32), height
        self.profile, self.head = profile, head
        self.looks: list[tuple[str, ...]] = []
        self.middles = 0

    @property
    def passes(self) -> int:
        return len(self.looks)

    def __call__(self, stacks, model, *_args, **_options) -> list[StackDetections]:
        middle = len(stacks[0].slices) < len(self.stacks[0].slices)
        self.middles += middle
        if not middle:
            self.looks.append(tuple(stack.plane for stack in stacks))
        direction = self._direction(stacks)
        return [self._seen(stack, direction, self.height(direction, middle)) for stack in stacks]

    def _direction(self, stacks) -> np.ndarray:
        """The rotation by which these slices are turned against the study's own."""
        first = stacks[0].slices[0]
        own = next(s for stack in self.stacks for s in stack.slices if s.pixels is first.pixels)
        basis = [np.array([s.column_axis, s.row_axis, np.cross(s.column_axis, s.row_axis)]) for s in (first, own)]
        return basis[0].T @ basis[1]

    def _seen(self, stack, direction: np.ndarray, height: float) -> StackDetections:
        places, mirror, plane = HEAD.reference_mm, HEAD.mirror_indices, stack.plane
        if self.head is not None:
            places = places @ self.head @ direction.T
        if self.profile is not None and plane == "sagittal" and alike(direction, UPRIGHT):
            height = self.profile
        seen = (places + places[mirror]) / 2 if plane == "sagittal" else places
        column, row = IN_PLANE_AXES[plane]
        axes = np.eye(3)[[column, row, PLANE_NORMAL_AXIS[plane]]]
        count = (len(stack.slices), len(places))
        in_plane = np.broadcast_to(seen @ axes[:2].T, (*count, 2)).copy()
        return StackDetections(plane, axes, stack.positions_mm, in_plane, np.full(count, height), np.ones((*count, 2)))


@pytest.fixture
def study(monkeypatch):
    """``study(height, slices)``: the detector after a study was localized, and the axes that came out."""

    def localized(height: Heights, slices: int = 5, **options) -> tuple[UprightEverywhere, np.ndarray | None]:
        detector = UprightEverywhere(slices, height, **options)
        monkeypatch.setattr(localization, "detect", detector)
        # Heights that tell no depth: a fall-off far larger than a head.
        model = fake_model(torch.nn.Identity(), HEAD.names, HEAD.mirror_indices, tau_mm=1000.0)
        found = locate(detector.stacks, PROTOCOL, model).landmarks
        if all(mark.position_mm is None for mark in found):
            return detector, None
        return detector, fit_frame(found, PROTOCOL).axes

    return localized


def is_direction(axes: np.ndarray | None, expected: np.ndarray) -> bool:
    """Within the 3 degrees that the mean head's own line may be off its frame."""
    return axes is not None and np.trace(axes @ expected.T) > 1 + 2 * np.cos(np.deg2rad(4))


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.trace(a @ b.T) > 2.9)


def heights(elsewhere: float, *special: tuple[np.ndarray, float]) -> Heights:
    """A height for each of some directions, the same for all slices and for the middle ones."""

    def height(direction: np.ndarray, _middle: bool) -> float:
        return next((value for known, value in special if alike(direction, known)), elsewhere)

    return height


def test_what_is_clearly_better_from_another_direction_is_taken_from_there(study):
    _, axes = study(heights(0.3, (UPRIGHT, 0.55), (ON_ITS_SIDE, 0.70)))
    assert is_direction(axes, ON_ITS_SIDE)


def test_a_direction_that_is_hardly_better_is_not_taken(study):
    """A little clearer, by less than 0.05 of all peaks, is chance."""
    _, axes = study(heights(0.3, (UPRIGHT, 0.60), (ON_ITS_SIDE, 0.64)))
    assert is_direction(axes, UPRIGHT)


def test_a_direction_that_shows_no_head_either_is_not_taken(study):
    """Twice as clear as from the front, and still below what any head reaches (0.45)."""
    _, axes = study(heights(0.21, (UPRIGHT, 0.22), (ON_ITS_SIDE, 0.44)))
    assert is_direction(axes, UPRIGHT)


def test_where_the_scanners_own_axes_show_nothing_a_clear_direction_is_found(study):
    _, axes = study(heights(0.0, (ON_ITS_SIDE, 0.6)))
    assert is_direction(axes, ON_ITS_SIDE)


def test_where_nothing_is_seen_from_anywhere_the_first_pass_is_the_result(study):
    detector, axes = study(heights(0.0))
    assert axes is None and detector.passes == 1


@pytest.mark.parametrize(("slices", "height", "searched"), [(5, 0.80, 0), (5, 0.78, 24), (1, 0.78, 0), (1, 0.71, 24)])
def test_peaks_that_are_low_for_so_many_slices_start_the_search(study, slices, height, searched):
    """With one slice per plane many landmarks are far from it, so lower peaks are usual there."""
    detector, _ = study(heights(height), slices)
    # With a single slice the middle slices are all slices: everything counts as a pass.
    seen = detector.middles + detector.passes
    assert (seen >= 24) == bool(searched)


def test_an_upright_head_costs_one_pass(study):
    detector, axes = study(heights(0.5, (UPRIGHT, 0.9)))
    assert is_direction(axes, UPRIGHT)
    assert (detector.looks, detector.middles) == ([PLANES], 0)


@pytest.mark.parametrize(("axis", "plane"), [("x", "sagittal"), ("y", "coronal"), ("z", "axial")])
@pytest.mark.parametrize("degrees", [20.0, -20.0])
def test_only_the_slices_in_which_the_head_is_turned_get_a_second_look(study, axis, plane, degrees):
    head = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    detector, axes = study(heights(0.9), head=head)
    assert is_direction(axes, head)
    assert (detector.looks, detector.middles) == ([PLANES, (plane,)], 0)


def test_a_head_turned_a_little_costs_one_pass(study):
    head = Rotation.from_euler("xyz", [5.0, -4.0, 5.0], degrees=True).as_matrix()
    detector, axes = study(heights(0.9), head=head)
    assert is_direction(axes, head) and detector.passes == 1


def test_a_head_turned_about_all_axes_gets_a_second_look_at_all_slices(study):
    head = Rotation.from_euler("xyz", [18.0, 18.0, 18.0], degrees=True).as_matrix()
    detector, _ = study(heights(0.9), head=head)
    assert detector.looks == [PLANES, PLANES]


def test_without_a_clear_profile_three_half_turns_are_compared_on_the_middle_slices(study):
    detector, axes = study(heights(0.0, (UPRIGHT, 0.9)), profile=0.5)
    assert is_direction(axes, UPRIGHT)
    assert (detector.passes, detector.middles) == (1, 4)


@pytest.mark.parametrize(("profile", "compared"), [(0.66, False), (0.64, True)])
def test_the_sagittal_peaks_raise_the_suspicion_of_a_half_turn(study, profile, compared):
    detector, _ = study(heights(0.0, (UPRIGHT, 0.9)), profile=profile)
    assert bool(detector.middles) == compared


def half_turn(own_middle: float, turned_middle: float, own_all: float, turned_all: float) -> Heights:
    """Heights of a head seen upright and after a half turn, on the middle slices and on all."""

    def height(direction: np.ndarray, middle: bool) -> float:
        if alike(direction, FACE_DOWN):
            return turned_middle if middle else turned_all
        if alike(direction, UPRIGHT):
            return own_middle if middle else own_all
        return 0.0

    return height


def test_a_half_turn_that_is_clearer_on_all_slices_is_taken(study):
    _, axes = study(half_turn(0.6, 0.7, 0.85, 0.95), profile=LOW)
    assert is_direction(axes, FACE_DOWN)


def test_a_half_turn_that_the_middle_slices_suggest_and_the_others_do_not_is_left(study):
    detector, axes = study(half_turn(0.6, 0.7, 0.95, 0.85), profile=LOW)
    assert is_direction(axes, UPRIGHT) and detector.passes > 1


def test_middle_slices_that_show_no_head_suggest_no_half_turn(study):
    detector, axes = study(half_turn(0.30, 0.44, 0.85, 0.95), profile=LOW)
    assert is_direction(axes, UPRIGHT) and detector.passes == 1


def test_a_half_turn_less_clear_than_the_present_direction_is_not_followed(study):
    detector, axes = study(half_turn(0.7, 0.6, 0.85, 0.95), profile=LOW)
    assert is_direction(axes, UPRIGHT) and detector.passes == 1
