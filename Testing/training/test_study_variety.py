"""Studies with other slices in each plane, and with a head that moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from LandmarkTrainingLib.core.simulator import render
from LandmarkTrainingLib.core.simulator.render import simulate_study
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings, study_planes
from LandmarkTrainingLib.core.simulator.study_variety import MotionLimits, random_geometries, random_motion
from toy_heads import BALL_CLASS, MIRROR, RIGID, bright, toy_heads

CPU = torch.device("cpu")
MIX = tuple(ScoutGeometry(slices=n, slice_spacing_mm=6.0, thickness_mm=t) for n, t in ((24, 3.0), (5, 5.0), (7, 4.0)))
STILL = replace(RIGID, rotation_deg=0.0, shift_mm=0.0)


def test_each_plane_has_its_own_slices():
    planes = study_planes(MIX, CPU)
    assert np.bincount(planes.planes).tolist() == [24, 5, 7]
    assert planes.thickness_mm[planes.planes == 1].tolist() == [5.0] * 5
    assert planes.center[planes.planes == 0][:, 0].diff().numpy() == pytest.approx(6.0)


def test_random_geometries_are_3_to_10_mm_thick_and_do_not_overlap():
    for seed in range(50):
        for geometry in random_geometries(np.random.default_rng(seed)):
            assert 3 <= geometry.thickness_mm <= 10 and geometry.slice_spacing_mm >= geometry.thickness_mm


def test_the_first_stack_lies_still_and_slices_of_a_stack_move_together():
    limits = MotionLimits(slice_shift_mm=0.0, slice_rotation_deg=0.0)
    motion = random_motion(np.random.default_rng(0), (3, 2, 2), limits)
    assert motion.rotations[:3] == pytest.approx(np.tile(np.eye(3), (3, 1, 1))) and not motion.shifts_mm[:3].any()
    assert motion.shifts_mm[3] == pytest.approx(motion.shifts_mm[4])
    assert np.linalg.norm(motion.shifts_mm[3]) > 0.5


def test_a_moved_head_is_seen_where_its_motion_takes_it(monkeypatch):
    monkeypatch.setattr(render, "add_scanner_effects", lambda s, *_: (s, torch.ones(s.shape, dtype=torch.bool)))
    monkeypatch.setattr(render, "random_contrast", lambda rng: bright(BALL_CLASS["MIDDLE"]))
    settings = SliceSettings(matrix=96, profile_samples=2, limits=STILL)
    geometry, limits = ScoutGeometry(slices=9, slice_spacing_mm=8.0, thickness_mm=8.0), MotionLimits(8.0, 0.0, 0.0, 0.0)
    heads, seed = toy_heads(), (5,)
    lying, moving = (simulate_study(heads, MIRROR, geometry, seed, settings, motion) for motion in (None, limits))
    assert torch.equal(lying.landmarks_mm.nan_to_num(-1), moving.landmarks_mm.nan_to_num(-1))
    assert torch.equal(lying.planes.center, moving.planes.center)
    middle = [
        [_centroid(study.images[study.planes.planes == plane]) for plane in range(3)] for study in (lying, moving)
    ]
    moved = np.abs(np.array(middle[1]) - middle[0]).max(axis=1)
    assert moved[0] < 0.01 and moved[1] > 0.5 and moved[2] > 0.5


def _centroid(images):
    """(row, column) of the brightness of a stack."""
    total, steps = images.sum((0, 1, 2)), torch.arange(float(images.shape[-1]))
    return [float(images.sum((0, 2)) @ steps / total), float(images.sum((0, 1)) @ steps / total)]
