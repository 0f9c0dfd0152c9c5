"""Recipes do not only parse: their networks take steps in the arithmetic, and with the pictures, of a user's run."""

import pytest
import torch

from LandmarkTrainingLib.core.runs.recipes import RECIPES, TRAIN
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.training.trainer import train
from toy_heads import RIGID
from toy_training import toy_data

#: As large as a user's slices: some faults show only on maps of the true sizes.
SLICES = SliceSettings(matrix=128, pixel_mm=2.0, profile_samples=1, limits=RIGID)
#: Half a minute to two minutes for a few steps on one core; the networks have tests of their own.
LARGE = {"flat_net", "vgg19_unet_plus_plus", "efficientnet_unet_plus_plus", "resnext_unet_plus_plus"}
SHORT = {"steps": 2, "checkpoint_steps": 2, "picture_steps": 2, "batch_size": 2, "workers": 0, "device": "cpu"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [r.name for r in RECIPES if r.command == TRAIN and r.name not in LARGE])
def test_a_recipe_takes_steps_draws_and_keeps_numbers(name, tmp_path):
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    config = recipe.config().replaced(SHORT)
    assert config.bf16, "the default of users is what is tried"
    folder = train(config, toy_data(SLICES), tmp_path / "run", slices=SLICES)
    assert all(torch.isfinite(tensor).all() for tensor in folder.last_weights().values())
    assert {path.name for path in (tmp_path / "run" / "pictures").iterdir()} == {
        "kernels_000002.png",
        "step_000002.png",
    }
