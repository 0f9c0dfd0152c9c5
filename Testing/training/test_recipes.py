"""Recipes are settings that a training takes as they are."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.networks.registry import ARCHITECTURES
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.runs.recipes import FINETUNE, LABEL_MAPS, RECIPES, STUDIES, TRAIN, find_recipe
from LandmarkTrainingLib.core.runs.run_request import (
    RunRequest,
    compare_arguments,
    resume_arguments,
    settings_from_text,
)
from LandmarkTrainingLib.core.xray.xray_published import BENCHMARKS, settings_of

RUN = Path("run")
STUDIES_RECIPE = next(recipe for recipe in RECIPES if (recipe.command, recipe.learns_from) == (TRAIN, STUDIES))
LABELS_RECIPE = next(recipe for recipe in RECIPES if recipe.learns_from == LABEL_MAPS)


def settings_in(arguments: list[str]) -> dict[str, str]:
    flags = list(zip(arguments, arguments[1:], strict=False))
    return dict(value.split("=", 1) for flag, value in flags if flag == "--set")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_is_a_configuration_whose_parts_are_known(recipe):
    import torch

    from AutoVolumeCalibrationLib.core.networks.registry import build_network
    from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
    from LandmarkTrainingLib.core.slices.augmentation import Augmentation
    from LandmarkTrainingLib.core.slices.targets import target_settings
    from LandmarkTrainingLib.core.training.learner import network_options
    from LandmarkTrainingLib.core.training.optimization import build_optimizer, build_schedule
    from LandmarkTrainingLib.core.training.training_loss import TrainingLoss

    config = recipe.config()
    with torch.device("meta"):  # shapes without memory
        network = build_network(
            config.architecture, network_options(config, 45, target_settings(config, SliceSettings()))
        )
    TrainingLoss(config)
    Augmentation.from_dict(config.augmentation)
    build_schedule(config, build_optimizer(config, network.parameters()))


#: What the papers and their code state, by recipe. The rest of a recipe is the same for all of them, or said to differ.
PUBLISHED = {
    "hourglass": {
        "point_losses": ({"name": "wing", "weight": 1.0, "width": 15.0, "curvature": 3.0, "unit": "image"},),
        "mixup": 1.0,
        "mixup_losses": True,
        "cutout": 0.01,
        "cutout_chance": 0.5,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "schedule": "milestones",
        "batch_size": 16,
    },
    "flat_net": {
        "optimizer": "adam",
        "optimizer_options": {"betas": [0.5, 0.999]},
        "learning_rate": 1e-4,
        "schedule": "constant",
        "losses": ({"name": "mae", "weight": 100.0},),
        "options": {"width": 32, "rates": [1, 2, 3, 4, 5], "networks": 5, "stem": 1},
    },
    "stacked_hourglass": {"optimizer": "rmsprop", "learning_rate": 2.5e-4, "weight_decay": 0.0, "schedule": "constant"},
    "scn": {
        "optimizer": "sgd",
        "optimizer_options": {"momentum": 0.99, "nesterov": True},
        "schedule": "constant",
        "warmup_steps": 0,
        "ema_decay": 0.0,
    },
    "unet_plus_plus": {"optimizer": "adam", "learning_rate": 3e-4},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_has_the_published_settings(name):
    config = find_recipe(name).config()
    assert {setting: getattr(config, setting) for setting in PUBLISHED[name]} == PUBLISHED[name]


def test_the_scn_takes_the_steps_of_its_authors_on_their_images():
    """Payer's code: 19 points, 512 x 512 pixels, targets of mass 100, half the sum of squares, rate 1e-6."""
    config, height = settings_of("scn", BENCHMARKS["cephalometric"]), 100 / (2 * math.pi * 2.5**2)
    loss = {term["name"]: term["weight"] for term in config.losses}
    assert loss["mse"] == loss["sigma_penalty"] and config.options["learned_sigma"] == 2.5
    ours = config.learning_rate * loss["mse"] * 2 / (19 * 512**2)
    assert ours == pytest.approx(1e-6 * height**2, rel=0.02)
    # What their rate multiplies beside the gradient, and the limit of the gradient itself.
    assert config.learning_rate * config.weight_decay == pytest.approx(1e-6 * 0.001)
    assert config.learning_rate * config.gradient_clip == pytest.approx(1e-6 * 10_000)


def test_kneel_interpolates_with_aligned_corners_and_zhou_takes_the_mean_of_the_heads():
    assert find_recipe("hourglass").config().options["align_corners"]
    options = find_recipe("unet_plus_plus").config().options
    assert options["average_heads"] and options["activation"] == "relu"


@pytest.mark.parametrize(
    ("name", "encoder", "parameters"),
    [
        ("vgg19_unet_plus_plus", "vgg19", 39_936_401),
        ("efficientnet_unet_plus_plus", "efficientnet-b7", 66_192_481),
        ("resnext_unet_plus_plus", "resnext101_32x8d", 112_220_049),
    ],
)
def test_the_encoders_of_the_thesis_start_from_imagenet(name, encoder, parameters):
    import torch

    from AutoVolumeCalibrationLib.core.networks.registry import build_network
    from LandmarkTrainingLib.core.training.initial_weights.encoder_weights import ENCODER_URLS

    config = find_recipe(name).config()
    assert config.encoder_weights == "public" and config.options["encoder"] == encoder in ENCODER_URLS
    with torch.device("meta"):
        network = build_network(config.architecture, {**config.options, "in_channels": 3, "out_channels": 1})
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_every_architecture_has_a_recipe():
    assert {recipe.config().architecture for recipe in RECIPES} == set(ARCHITECTURES)


def test_the_first_recipe_fine_tunes_and_names_are_unique():
    assert RECIPES[0].command == FINETUNE
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    assert len({recipe.title for recipe in RECIPES}) == len(RECIPES)
    assert find_recipe("scn").name == "scn"
    assert find_recipe("of a later version") is RECIPES[0]


def test_a_request_becomes_the_arguments_of_the_command():
    request = RunRequest(
        RECIPES[0], RUN, datasets=(Path("a"), Path("b")), validation=Path("v"), base="mine", settings={"seed": 3}
    )
    arguments = request.arguments()
    assert arguments[:3] == ["finetune", "--output", "run"]
    assert arguments[3:7] == ["--dataset", "a", "--dataset", "b"]
    assert arguments[arguments.index("--validation") + 1] == "v"
    assert arguments[arguments.index("--model") + 1] == "mine"
    assert settings_in(arguments)["seed"] == "3"


def test_every_flag_is_one_of_the_command_line():
    from AutoVolumeCalibrationLib.cli.main import _parser

    places = {"datasets": (Path("a"),), "validation": Path("v"), "labels": Path("l"), "base": "brain-scout"}
    for recipe in RECIPES:
        parsed = _parser().parse_args(RunRequest(recipe, RUN, subjects=9, **places).arguments())
        assert parsed.output == RUN
        assert parsed.labels == Path("l")
        assert parsed.dataset == ([Path("a")] if recipe.learns_from == STUDIES else [])
    assert _parser().parse_args(resume_arguments(RUN)).resume


def test_the_current_model_is_compared_with_the_new_one():
    from AutoVolumeCalibrationLib.cli.main import _parser

    arguments = compare_arguments(Path("b"), Path("v"), Path("o"), protocol="Knee", device="cpu")
    parsed = _parser().parse_args(arguments)
    assert parsed.models == ["current", "b"]
    assert (parsed.dataset, parsed.output, parsed.protocol, parsed.device) == (Path("v"), Path("o"), "Knee", "cpu")


def test_only_a_fine_tuning_has_a_base():
    assert "--model" not in RunRequest(STUDIES_RECIPE, RUN, base="mine").arguments()


@pytest.mark.parametrize(("subjects", "folds"), [(0, 0), (1, 0), (2, 2), (4, 4), (5, 5), (40, 5)])
def test_without_a_validation_set_a_fold_of_the_people_is_kept_back(subjects, folds):
    request = RunRequest(STUDIES_RECIPE, RUN, datasets=(Path("a"),), subjects=subjects)
    assert request.all_settings()["folds"] == folds
    with_set = RunRequest(RECIPES[0], RUN, datasets=(Path("a"),), subjects=subjects, validation=Path("v"))
    assert "folds" not in with_set.all_settings()


def test_label_maps_beside_studies_fill_half_of_the_batches():
    both = RunRequest(RECIPES[0], RUN, datasets=(Path("a"),), labels=Path("l"))
    assert both.all_settings()["study_fraction"] == 0.5
    alone = RunRequest(LABELS_RECIPE, RUN, datasets=(Path("a"),), labels=Path("l"))
    assert "study_fraction" not in alone.all_settings()
    assert "--dataset" not in alone.arguments()


def test_what_a_person_sets_goes_before_the_recipe():
    settings = RunRequest(STUDIES_RECIPE, RUN, settings={"steps": 7, "folds": 3}, subjects=9).all_settings()
    assert (settings["steps"], settings["folds"]) == (7, 3)
    assert settings["checkpoint_steps"] == STUDIES_RECIPE.config().checkpoint_steps


@pytest.mark.parametrize("settings", [{"stepps": 7}, {"steps": "many"}, {"steps": True}])
def test_a_setting_that_is_none_is_refused_before_the_process_starts(settings):
    with pytest.raises(UsageError):
        RunRequest(RECIPES[0], RUN, settings=settings).arguments()


def test_settings_are_written_a_line_each():
    text = '\n batch_size = 4\noptions={"features": [1, 2]}\n name=my model\n\n'
    assert settings_from_text(text) == {"batch_size": 4, "options": {"features": [1, 2]}, "name": "my model"}
    assert settings_from_text("") == {}
    assert TrainingConfig().replaced(settings_from_text("seed=4")).seed == 4


@pytest.mark.parametrize("text", ["batch_size", "=4", "seed=1\nsteps 4"])
def test_a_line_that_is_no_setting_is_named(text):
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        settings_from_text(text)


def test_the_recipe_of_a_new_anatomy_needs_its_protocol():
    (recipe,) = [recipe for recipe in RECIPES if recipe.needs_protocol]
    assert recipe.command == FINETUNE
    arguments = RunRequest(recipe, RUN, datasets=(Path("a"),), settings={"protocol": "paw/PawBox.json"}).arguments()
    assert settings_in(arguments)["protocol"] == '"paw/PawBox.json"'
