"""The sample study degraded, and pictures of what becomes of it, on made-up scouts and plans that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING, Check
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack, require_usable
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from benchmarks.failures_of_sample import Outcome
from benchmarks.sample_failures.degradations import DEGRADATIONS, Moved, with_void, without_left
from head_phantom import phantom_volume
from LandmarkTrainingLib.core.evaluation.metrics import box_errors
from LandmarkTrainingLib.core.evaluation.simulated.plan_picture import Reference, draw_plan, judged

FIVE = ScoutGeometry(5, 12.0, 6.0, 4.0, 64)
CORNERS = np.array([[0, 0], [0, 63], [63, 0], [63, 63]])


@pytest.fixture(scope="module")
def stacks():
    return cut_three_planes(phantom_volume(), FIVE, np.zeros(3))


@pytest.fixture(scope="module")
def plan(stacks):
    protocol = load_protocol("BrainAcPc")
    marks = [Landmark(m.name).corrected(m.reference_mm) for m in protocol.constellation.landmarks]
    return plan_from_landmarks(stacks, protocol, marks)


def fingerprint(stacks: Sequence[ScoutStack]) -> list[tuple]:
    """All that tells scouts apart."""
    return [(s.pixels.tobytes(), s.to_world(CORNERS).tobytes()) for stack in stacks for s in stack.slices]


def moved_box(box: OrientedBox, shift_mm: tuple[float, float, float]) -> OrientedBox:
    return replace(box, center_mm=box.center_mm + shift_mm)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_every_degradation_changes_the_scouts_into_new_ones_that_can_be_planned_on(name, stacks):
    before = fingerprint(stacks)
    changed, rng = list(stacks), np.random.default_rng(0)
    for effect in DEGRADATIONS[name][1]:
        changed = effect(changed, rng)
    require_usable(changed)
    assert all(np.isfinite(s.pixels).all() and s.pixels.size for stack in changed for s in stack.slices)
    assert fingerprint(changed) != fingerprint(stacks)
    assert fingerprint(stacks) == before


def test_a_movement_turns_about_the_isocentre_and_then_shifts_one_plane_alone(stacks):
    after = Moved("axial", (0.0, 0.0, 90.0), (1.0, 2.0, 3.0))(stacks, np.random.default_rng(0))
    for old, new in zip(stacks, after, strict=True):
        for a, b in zip(old.slices, new.slices, strict=True):
            x, y, z = a.to_world(CORNERS).T
            expected = np.stack([1 - y, 2 + x, 3 + z], axis=1) if old.plane == "axial" else np.stack([x, y, z], axis=1)
            assert np.allclose(b.to_world(CORNERS), expected)
            assert np.array_equal(a.pixels, b.pixels)


def test_what_has_no_signal_is_where_it_is_said_to_be(stacks):
    for stack in stacks:
        for s in stack.slices:
            bright = replace(s, pixels=np.ones_like(s.pixels))
            places = s.to_world(np.moveaxis(np.indices(s.pixels.shape), 0, -1))
            assert (without_left(bright) == (places[..., 0] > 0)).all()
            dark = places[with_void(bright) == 0]
            assert len(dark) == 0 or (np.ptp(dark, axis=0) <= 50).all() and (dark[:, 1] > 0).all()
    coronal = next(stack for stack in stacks if stack.plane == "coronal").slices[-1]
    assert (with_void(replace(coronal, pixels=np.ones_like(coronal.pixels))) == 0).any()


@pytest.mark.parametrize(
    ("shift_mm", "level", "unnoticed"), [((0, 1, 0), OK, False), ((0, 9, 0), OK, True), ((0, 9, 0), ERROR, False)]
)
def test_only_a_wrong_plan_without_finding_is_unnoticed(plan, shift_mm, level, unnoticed):
    judged = replace(plan, checks=(Check("any", level, "Said."),))
    assert Outcome(judged, box_errors(moved_box(plan.box, shift_mm), plan.box)).unnoticed is unnoticed


def test_a_refusal_is_neither_wrong_nor_unnoticed():
    assert not Outcome(refusal="too few landmarks").unnoticed


def test_a_picture_is_small_shows_both_boxes_and_names_a_plane_that_is_missing(plan, stacks, tmp_path):
    noisy = replace(plan, stacks=tuple(DEGRADATIONS["noise_30"][1][0](stacks, np.random.default_rng(0))))
    paths = [tmp_path / name for name in ("same.png", "other.png", "two.png")]
    draw_plan(noisy, Reference(plan.box, "as they were"), "Noise", "off", paths[0], wrong=False)
    draw_plan(
        noisy, Reference(moved_box(plan.box, (9.0, 9.0, 9.0)), "as they were"), "Noise", "off", paths[1], wrong=True
    )
    draw_plan(
        replace(plan, stacks=plan.stacks[1:]),
        Reference(plan.box, "as they were"),
        "Two planes",
        "off",
        paths[2],
        wrong=False,
    )
    pictures = [np.asarray(Image.open(path).convert("RGB"), dtype=int) for path in paths]
    assert all(picture.shape == (496, 1100, 3) for picture in pictures)
    assert all(path.stat().st_size < 200_000 for path in paths)
    blue = [((p[..., 2] - p[..., 0]) > 100).sum() for p in pictures]
    yellow = [((p[..., 0] - p[..., 2]) > 100).sum() for p in pictures]
    assert min(blue) > 300 and min(yellow[1:]) > 300
    first_plane = [picture[108:464, 8:364] for picture in pictures]
    assert (first_plane[2].max(axis=-1) > 40).mean() < 0.02 < (first_plane[0].max(axis=-1) > 40).mean()


@pytest.mark.parametrize("level", [OK, WARNING, ERROR])
def test_a_wrong_plan_never_has_a_green_heading(level):
    """The picture of a wrong plan that no check noticed had one: the colour of the checks alone."""
    shown, words = judged(level, wrong=True)
    assert shown == ERROR and words.startswith("Wrong")
    assert ("no check says so" in words) == (level == OK)


@pytest.mark.parametrize("level", [OK, WARNING, ERROR])
def test_a_right_plan_has_the_level_of_its_checks(level):
    shown, words = judged(level, wrong=False)
    assert shown == level and words.startswith("Right")
