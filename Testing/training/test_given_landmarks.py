"""What a network that takes known landmarks is told while it is trained."""

import pytest
import torch

from LandmarkTrainingLib.core.slices.given_landmarks import given_maps, taught_slices
from LandmarkTrainingLib.core.slices.targets import Targets


def targets(slices=200, landmarks=20):
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(slices, landmarks, generator=generator) < 0.9
    heatmaps = torch.rand(slices, landmarks, 3, 3, generator=generator) + 0.1
    return Targets(heatmaps, torch.zeros(slices, landmarks, 2), torch.ones(slices, landmarks), known)


def numbers_given(maps):
    return (maps.flatten(2).amax(-1) > 0).sum(1)


def test_nobody_gives_anything_where_the_share_is_zero():
    assert given_maps(targets(), 0.0, (0,)) is None


@pytest.mark.parametrize("fraction", [0.3, 1.0])
def test_the_stated_share_of_the_slices_has_some_given(fraction):
    share = float((numbers_given(given_maps(targets(), fraction, (1,))) > 0).float().mean())
    assert share == pytest.approx(fraction, abs=0.12)


def test_what_is_given_is_true_and_known_and_a_few_landmarks_are_as_likely_as_many():
    wanted = targets()
    maps = given_maps(wanted, 1.0, (2,))
    shown = maps.flatten(2).amax(-1) > 0
    assert torch.equal(maps[shown], wanted.heatmaps[shown]) and not (shown & ~wanted.known).any()
    numbers = numbers_given(maps)
    assert numbers.max() <= 8 and (numbers == 1).sum() > 20 and (numbers > 4).sum() > 20


def test_the_seed_decides_what_is_given():
    one, same, other = (given_maps(targets(), 0.5, (seed,)) for seed in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_slice_is_taught_by_the_truth_or_by_its_own_maps():
    assert taught_slices(8, 1.0, (0,)).all() and not taught_slices(8, 0.0, (0,)).any()
    assert 0.55 < float(taught_slices(200, 0.7, (0,)).float().mean()) < 0.85
    assert torch.equal(taught_slices(8, 0.5, (3, 1)), taught_slices(8, 0.5, (3, 1)))
