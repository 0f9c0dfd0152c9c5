"""Motion between stacks, found where their slices cross: properties on a made-up head, without a network."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about
from AutoVolumeCalibrationLib.core.motion.estimate import agreement_gain
from AutoVolumeCalibrationLib.core.motion.motion import (
    FOUND,
    NONE,
    NOT_COMPARABLE,
    ONE_VOLUME,
    motion_from_dict,
    motion_message,
    motion_to_dict,
)
from AutoVolumeCalibrationLib.core.motion.realignment import realigned
from AutoVolumeCalibrationLib.core.motion.search import find_motion
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes, cut_volume

FIVE = ScoutGeometry(slices=5, slice_spacing_mm=12.0, thickness_mm=6.0, pixel_mm=2.0, matrix=112)


@pytest.fixture(scope="module")
def head():
    """An ellipsoid of smooth random tissue, 3 mm voxels, world = isocentre."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(5)
    axis = np.arange(-105.0, 106.0, 3.0)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    inside = np.linalg.norm(grid / [72.0, 92.0, 80.0], axis=-1) < 1
    tissue = gaussian_filter(rng.standard_normal(inside.shape), 2.0)
    image = gaussian_filter(np.where(inside, 100 + 40 * tissue / tissue.std(), 0.0), 0.7)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = -105.0
    return Volume(image.astype(np.float32), affine, "tissue")


def moved_volume(volume, shift_mm=(0, 0, 0), rotation_deg=(0, 0, 0), first=None):
    """The head after it moved: rotated about the isocentre, then shifted; ``first`` (3, 3) turns all of it before."""
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = rotation_about(np.deg2rad(rotation_deg)), shift_mm
    before = np.eye(4)
    if first is not None:
        before[:3, :3] = first
    return Volume(volume.array, before @ transform @ volume.affine, volume.name)


def scouts(volume, moved=None, geometry=FIVE, noise=0.02, **motion):
    """Three stacks; while stack ``moved`` was acquired the head lay elsewhere. Noise over the brightest pixel."""
    rng = np.random.default_rng(1)
    stacks = []
    for number, plane in enumerate(PLANES):
        seen = moved_volume(volume, **motion) if number == moved else volume
        (stack,) = cut_three_planes(seen, geometry, np.zeros(3), planes=[plane])
        peak = max(s.pixels.max() for s in stack.slices)
        noisy = (
            replace(s, pixels=(s.pixels + rng.normal(0, noise * peak, s.pixels.shape)).astype(np.float32))
            for s in stack.slices
        )
        stacks.append(replace(stack, slices=tuple(noisy)))
    return stacks


@pytest.mark.parametrize(("slices", "spacing_mm"), [(1, 0.0), (3, 15.0), (5, 12.0), (15, 8.0)])
def test_slices_cut_from_one_volume_never_moved(head, slices, spacing_mm):
    motion = find_motion(scouts(head, geometry=replace(FIVE, slices=slices, slice_spacing_mm=spacing_mm)))
    assert motion.state == NONE and motion.offsets == () and motion_message(motion) is None
    assert motion.detectable_mm > 0 and motion.detectable_deg > 0


@pytest.mark.parametrize(
    ("moved", "shift_mm", "rotation_deg"),
    [
        (0, (3, 0, 1), (0, 3, 0)),
        (1, (3, 0, 1), (0, 3, 0)),
        (2, (3, 0, 1), (0, 3, 0)),
        (2, (0, 1.5, -1.4), (0, 0, 0)),
        (0, (0, 0, 0), (1.5, -1, 1)),
    ],
)
def test_a_stack_that_moved_is_named_with_its_offset_whichever_it_is(head, moved, shift_mm, rotation_deg):
    motion = find_motion(scouts(head, moved, shift_mm=shift_mm, rotation_deg=rotation_deg))
    assert motion.state == FOUND
    (offset,) = motion.offsets
    assert (offset.stack, offset.plane) == (moved, PLANES[moved])
    assert [number for number, _ in motion.followed] == [n for n in range(3) if n != moved]
    # The geometry must be moved back by what the head moved; the stacks' middle is half a pixel off the isocentre.
    assert offset.rotation_deg == pytest.approx(-np.array(rotation_deg), abs=4 * offset.sd_deg)
    back = rotation_about(-np.deg2rad(rotation_deg)) @ -np.array(shift_mm)
    assert offset.shift_mm == pytest.approx(back, abs=4 * offset.sd_mm)
    assert offset.sd_mm < 0.5 and offset.sd_deg < 0.6


def test_stacks_of_one_volume_cannot_have_moved(head):
    cut = cut_volume(head)
    assert find_motion(cut).state == ONE_VOLUME
    assert len({stack.volume for stack in cut}) == 1
    other = cut_volume(moved_volume(head, shift_mm=(0, 0, 7)))
    assert cut[0].volume != other[0].volume


def test_stacks_of_one_volume_move_together(head):
    stacks = scouts(head, 2, shift_mm=(0, 4, 2), rotation_deg=(3, 0, 0))
    tied = [replace(stack, volume="" if stack.plane == "axial" else "one") for stack in stacks]
    motion = find_motion(tied)
    assert [offset.plane for offset in motion.offsets] == ["axial"] and motion.ambiguous


def test_the_axes_of_the_scanner_do_not_matter(head):
    turn = rotation_about(np.array([0.5, -0.3, 0.8]))
    straight = find_motion(scouts(head, 1, shift_mm=(2, 0, 2), rotation_deg=(0, 2, 0)))
    stacks = scouts(head, 1, shift_mm=(2, 0, 2), rotation_deg=(0, 2, 0))
    turned = find_motion([_turned(stack, turn) for stack in stacks])
    # Rounding takes samples at the edges in or out, even with a turn of 1e-12: of nine turns up to 1.3 % and 0.019 mm.
    assert turned.log_odds == pytest.approx(straight.log_odds, rel=0.03)
    assert turned.offsets[0].shift_mm == pytest.approx(turn @ straight.offsets[0].shift_mm, abs=0.05)
    assert turned.offsets[0].rotation_deg == pytest.approx(turn @ straight.offsets[0].rotation_deg, abs=0.02)


def _turned(stack, turn):
    slices = (
        replace(s, origin_mm=turn @ s.origin_mm, column_axis=turn @ s.column_axis, row_axis=turn @ s.row_axis)
        for s in stack.slices
    )
    return replace(stack, slices=tuple(slices))


def test_of_two_planes_nothing_says_which_moved(head):
    stacks = scouts(head, 2, shift_mm=(0, 6, 0))[1:]
    motion = find_motion([stacks[0], stacks[1]])
    assert motion.state in (FOUND, NONE)
    if motion.state == FOUND:
        assert motion.ambiguous and "which of the two moved is not known" in motion_message(motion)


def test_what_shows_nothing_in_common_is_not_compared(head):
    rng = np.random.default_rng(0)
    noise = [
        replace(
            s, slices=tuple(replace(one, pixels=rng.normal(size=(112, 112)).astype(np.float32)) for one in s.slices)
        )
        for s in scouts(head)
    ]
    assert find_motion(noise).state == NOT_COMPARABLE
    empty = [replace(s, slices=tuple(replace(one, pixels=one.pixels * 0) for one in s.slices)) for s in scouts(head)]
    assert find_motion(empty).state == NOT_COMPARABLE
    assert find_motion(scouts(head)[:1]).state == NOT_COMPARABLE


def test_the_message_names_the_plane_the_size_the_remedy_and_what_the_box_follows(head):
    message = motion_message(find_motion(scouts(head, 2, shift_mm=(0, 4, 0), rotation_deg=(3, 0, 0))))
    size = re.search(r"the axial plane by ([\d.]+) mm and ([\d.]+) deg against the sagittal and coronal", message)
    assert [float(number) for number in size.groups()] == pytest.approx([4.0, 3.0], abs=0.4)
    assert "Repeat the scouts" in message and "the box follows it" in message


def test_it_is_kept_as_json(head):
    motion = find_motion(scouts(head, 0, shift_mm=(0, 4, 0)))
    assert motion_to_dict(motion_from_dict(motion_to_dict(motion))) == motion_to_dict(motion)
    calm = find_motion(scouts(head))
    assert motion_to_dict(motion_from_dict(motion_to_dict(calm))) == motion_to_dict(calm)


def test_how_much_better_moved_stacks_agree_is_a_plain_number(head):
    """A number of NumPy made the plan's JSON fail where what looked moved did not agree better."""
    gain = agreement_gain(scouts(head, 0, shift_mm=(0, 4, 0)), [0, 1, 2], np.zeros((3, 6)))
    assert type(gain) is float and gain == 0.0


def test_detections_of_a_moved_stack_are_brought_to_the_others(head):
    motion = find_motion(scouts(head, 2, shift_mm=(1, 4, -2), rotation_deg=(3, 0, 2)))
    point = np.array([10.0, -20.0, 30.0])
    axes = np.eye(3)
    there = rotation_about(np.deg2rad([3, 0, 2])) @ point + [1, 4, -2]
    seen = StackDetections("axial", axes, there[2:], there[None, None, :2], np.ones((1, 1)), np.ones((1, 1, 2)))
    result = realigned([seen, seen, seen], motion)
    assert result[0] is seen and result[1] is seen
    moved = result[2]
    place = np.append(moved.points_mm[0, 0], moved.positions_mm[0]) @ moved.axes
    assert place == pytest.approx(point, abs=1.0)


def test_odd_images_are_compared_or_left_out_but_never_fail(head):
    whole = scouts(head)
    for change in (
        lambda s: replace(s, thickness_mm=1e7),
        lambda s: replace(s, pixels=s.pixels * np.float32(1e35)),
        lambda s: replace(s, pixels=-s.pixels),
    ):
        odd = [replace(stack, slices=tuple(map(change, stack.slices))) for stack in whole]
        assert find_motion(odd).state in (NONE, NOT_COMPARABLE)
    tiny = [
        replace(stack, slices=tuple(replace(s, pixels=s.pixels[:1]) for s in stack.slices)) if n == 1 else stack
        for n, stack in enumerate(whole)
    ]
    assert find_motion(tiny).state in (NONE, NOT_COMPARABLE)
