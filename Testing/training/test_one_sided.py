"""An anatomy without declared left/right partners is never mirrored: its names would be wrong in the mirror."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from LandmarkTrainingLib.core.simulator import render
from LandmarkTrainingLib.core.simulator.pose import PoseLimits, random_poses
from LandmarkTrainingLib.core.simulator.render import simulate_batch, simulate_study
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.augmentation import Augmentation
from toy_heads import MIRROR, toy_heads

ALONE = np.arange(len(MIRROR))
SMALL = SliceSettings(matrix=32, pixel_mm=8.0)


@pytest.fixture
def flips(monkeypatch):
    """The flips of all poses that are drawn from now on."""
    drawn: list[float] = []

    def recorded(*arguments, **options):
        poses = random_poses(*arguments, **options)
        drawn.extend(poses.flip.tolist())
        return poses

    monkeypatch.setattr(render, "random_poses", recorded)
    return drawn


@pytest.mark.parametrize(("mirror", "signs"), [(ALONE, {1.0}), (MIRROR, {1.0, -1.0})])
def test_simulated_slices_and_studies_are_mirrored_with_partners_only(flips, mirror, signs):
    heads = toy_heads(voxel_mm=8.0)
    simulate_batch(heads, mirror, 24, (1, 2), SMALL)
    for number in range(8):
        simulate_study(heads, mirror, ScoutGeometry(1, 0.0, 6.0), (3, number), SMALL)
    assert len(flips) == 32 and set(flips) == signs


def test_the_other_numbers_of_a_pose_do_not_depend_on_it():
    cpu = torch.device("cpu")
    one, other = (random_poses(np.random.default_rng(5), 9, PoseLimits(), cpu, flips=flips) for flips in (True, False))
    assert torch.equal(one.linear, other.linear) and torch.equal(one.offset, other.offset)


def test_cases_are_varied_without_flips_and_a_flip_that_is_asked_for_is_refused():
    assert Augmentation.suited_to({}, ALONE).flip == 0 and Augmentation.suited_to({}, MIRROR).flip > 0
    with pytest.raises(UsageError, match="declares no left/right partners"):
        Augmentation.suited_to({"flip": 0.5}, ALONE)
