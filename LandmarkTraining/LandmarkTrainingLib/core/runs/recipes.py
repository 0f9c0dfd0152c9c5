"""Recipes: named training configurations, for users who do not want to choose forty settings.

First the recipes that a site needs, then the published methods with their published settings. All of these train for
the same number of steps, on slices augmented in one way, with a presence for each landmark, which scouts need and the
papers' images do not. What else differs from a paper is stated beside its recipe and in docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import TrainingConfig

#: Commands of ``autovolume``.
FINETUNE, TRAIN = "finetune", "train"
#: What a recipe learns from.
STUDIES, LABEL_MAPS = "studies", "label maps"


@dataclass(frozen=True)
class Recipe:
    """Settings with a name.

    Attributes:
        title, description: shown to the user; the description says when to use the recipe.
        command: ``finetune`` starts from a model, with that model's network and settings that suit few cases
            (``core.training.starting_point``); ``train`` starts from random weights and the defaults.
        learns_from: STUDIES (data sets) or LABEL_MAPS.
        settings: what differs from those, names of ``TrainingConfig``.
        needs_protocol: the user must name the protocol of the anatomy.
    """

    name: str
    title: str
    description: str
    command: str = TRAIN
    learns_from: str = STUDIES
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_protocol: bool = False

    def config(self) -> TrainingConfig:
        """The defaults with the recipe's settings; UsageError where one is unknown or of the wrong kind."""
        return TrainingConfig().replaced(dict(self.settings), source=self.name)


#: Checkpoints and validations frequent enough to follow a short run.
_WATCHED = {"checkpoint_steps": 100, "picture_steps": 200}
#: Pixels of peaks are few: the weight brings the plain mean over all pixels to the order of one.
_MSE = [{"name": "mse", "weight": 1000.0}]
#: The same of the SpatialConfiguration-Net, whose optimiser depends on the size of the loss.
SCN_WEIGHT = 16000.0
#: The published methods all train for the same number of steps, so that they can be compared.
_PUBLISHED_RUN = {**_WATCHED, "steps": 8000}

#: Nothing beside the optimiser: no warm-up, moving average, decay or (in effect) clipping.
_BARE = {"warmup_steps": 0, "ema_decay": 0.0, "weight_decay": 0.0, "gradient_clip": 1e6}


def _over_encoder(encoder: str) -> dict[str, Any]:
    """U-Net++ over an ImageNet encoder as segmentation_models builds it; the weights are downloaded when it starts."""
    return {
        **_PUBLISHED_RUN,
        "architecture": "encoder_unet_plus_plus",
        "options": {
            "encoder": encoder,
            "decoder": [16, 32, 64, 128, 256],
            "stem": 1,
            "form": "segmentation_models",
        },
        "encoder_weights": "public",
        "losses": _MSE,
        "optimizer": "adam",
        "learning_rate": 1e-4,
    }


#: How to do without the download, in the recipes' descriptions.
_OFFLINE = "Starts from ImageNet weights, which are downloaded; without a network set encoder_weights to their file."

_SITE = (
    Recipe(
        "finetune",
        "Fine-tune the current model on my cases",
        "Best with 5 to 100 corrected studies. Starts from the model's weights: few small steps on augmented copies of "
        "your cases; training ends when the error on the validation cases stops falling.",
        FINETUNE,
    ),
    Recipe(
        "anatomy",
        "A new anatomy from my cases",
        "For another body part, with 10 to 100 annotated cases and a protocol of your own (see A new anatomy in the "
        "documentation). Starts from the weights of the chosen model, whatever its anatomy: edges and tissues look "
        "alike. Name the protocol under Advanced, in the settings: protocol=PATH/MyProtocol.json.",
        FINETUNE,
        needs_protocol=True,
    ),
    Recipe(
        "scratch",
        "Train from scratch on my data",
        "With more than about 100 studies, of this or another anatomy. Hours on a graphics card, days without one.",
        settings={**_WATCHED, "steps": 8000, "patience": 20, "warmup_steps": 200, "batch_size": 16},
    ),
    Recipe(
        "labels",
        "Train on label maps",
        "Needs no images: scouts of random contrast, pose and shape are simulated from label maps, with exact "
        "landmarks. This is how the shipped models were made. Of other anatomies than the head, scene.json beside the "
        "label maps says what their numbers are.",
        learns_from=LABEL_MAPS,
        settings={"steps": 20000, "checkpoint_steps": 500},
    ),
)

_PUBLISHED = (
    Recipe(
        "unet",
        "U-Net (Ronneberger 2015)",
        "Encoder and decoder with skips, heatmaps by squared error with weighted peaks: the plain baseline.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "unet",
            "options": {"features": [32, 32, 64, 128, 256, 32], "dropout": 0.0, "stem": 2},
        },
    ),
    Recipe(
        "attention_unet",
        "Attention U-Net (Oktay 2018)",
        "A U-Net whose skips are gated by attention from the deeper levels.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "attention_unet",
            "options": {"features": [32, 64, 128, 256, 512], "dropout": 0.0, "stem": 2},
        },
    ),
    # Published at full resolution, for segmentation (cross-entropy and Dice); here for heatmaps, folded by 2.
    Recipe(
        "unet_plus_plus",
        "U-Net++ (Zhou 2018)",
        "Nested skips; every nested U-Net has its loss, and the mean of their heatmaps is the answer.",
        settings={
            **_PUBLISHED_RUN,
            **_BARE,
            "architecture": "unet_plus_plus",
            "options": {
                "features": [32, 64, 128, 256, 512, 32],
                "dropout": 0.0,
                "stem": 2,
                "deep_supervision": True,
                "average_heads": True,
                "activation": "relu",
            },
            "losses": _MSE,
            "optimizer": "adam",
            "learning_rate": 3e-4,
            "schedule": "constant",
        },
    ),
    Recipe(
        "vgg19_unet_plus_plus",
        "U-Net++ on VGG19 (Zhou 2018)",
        f"The nested decoder over VGG19, 39.9 million parameters. {_OFFLINE}",
        settings=_over_encoder("vgg19"),
    ),
    Recipe(
        "efficientnet_unet_plus_plus",
        "U-Net++ on EfficientNet-B7 (Zhou 2018)",
        f"The nested decoder over EfficientNet-B7, 66.2 million parameters. {_OFFLINE}",
        settings=_over_encoder("efficientnet-b7"),
    ),
    Recipe(
        "resnext_unet_plus_plus",
        "U-Net++ on ResNeXt101 (Zhou 2018)",
        f"The nested decoder over ResNeXt101 32x8d, 112 million parameters. {_OFFLINE}",
        settings=_over_encoder("resnext101_32x8d"),
    ),
    # The authors sum over pixels and landmarks, with targets 2.55 high and a rate of 1e-6. Means over as many pixels as
    # theirs, with targets of height 1, a rate of 1e-3 and this weight take the same steps; decay and limit of the
    # gradient (0.001 and 10,000 of theirs) then are a thousandth. Scouts have peaks of a third of that mass, of which
    # a quarter are on a slice, on fewer pixels: the same weight pulls 2.5 times as hard at each (docs/fidelity.md).
    Recipe(
        "scn",
        "SpatialConfiguration-Net (Payer 2019)",
        "Local appearance times spatial configuration; made for few training images. 128 filters, dropout 0.5, "
        "learned widths of the targets, SGD with Nesterov momentum.",
        settings={
            **_PUBLISHED_RUN,
            **_BARE,
            "architecture": "scn",
            # From the width of this run's targets; the authors start at 2.5 pixels of their images.
            "options": {"width": 128, "dropout": 0.5, "stem": 2, "learned_sigma": 1.5},
            "losses": [
                {"name": "mse", "weight": SCN_WEIGHT},
                {"name": "sigma_penalty", "weight": SCN_WEIGHT, "mass": 36.0},
            ],
            "optimizer": "sgd",
            "optimizer_options": {"momentum": 0.99, "nesterov": True},
            "learning_rate": 1e-3,
            "weight_decay": 1e-6,
            "gradient_clip": 10.0,
            "schedule": "constant",
        },
    ),
    Recipe(
        "hourglass",
        "Hourglass with wing loss (KNEEL, Tiulpin 2019)",
        "Answers with coordinates by soft-argmax. Wing loss of coordinates in 0..1, mixup of the losses, cutout, Adam.",
        settings={
            **_PUBLISHED_RUN,
            **_BARE,
            "architecture": "hourglass",
            "options": {"width": 24, "depth": 6, "dropout": 0.25, "stem": 4, "align_corners": True},
            "point_losses": [{"name": "wing", "weight": 1.0, "width": 15.0, "curvature": 3.0, "unit": "image"}],
            "mixup": 1.0,
            "mixup_losses": True,
            # A tenth of each side, in half of the images.
            "cutout": 0.01,
            "cutout_chance": 0.5,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "schedule": "milestones",
            "batch_size": 16,
        },
    ),
    Recipe(
        "stacked_hourglass",
        "Stacked hourglass (Newell 2016)",
        "Two hourglasses, of which the second corrects the first; a loss after each.",
        settings={
            **_PUBLISHED_RUN,
            **_BARE,
            "architecture": "stacked_hourglass",
            "options": {"width": 256, "depth": 4, "stacks": 2, "stem": 4},
            "losses": _MSE,
            "optimizer": "rmsprop",
            "learning_rate": 2.5e-4,
            "schedule": "constant",
        },
    ),
    Recipe(
        "flat_net",
        "Flat-net with mean absolute error (Eslami 2019)",
        "No pooling: five branches of dilated 9x9 convolutions on the whole image. Very slow, and sharp.",
        settings={
            **_PUBLISHED_RUN,
            **_BARE,
            "architecture": "flat_net",
            "options": {"width": 32, "rates": [1, 2, 3, 4, 5], "networks": 5, "stem": 1},
            # The weight changes nothing for Adam but keeps the gradients above its epsilon.
            "losses": [{"name": "mae", "weight": 100.0}],
            "optimizer": "adam",
            "optimizer_options": {"betas": [0.5, 0.999]},
            "learning_rate": 1e-4,
            "schedule": "constant",
        },
    ),
    Recipe(
        "gu2net",
        "GU2Net with cross-entropy (Zhu 2021)",
        "A network for several planes and anatomies: each has its own detection filters, all share the layers that "
        "combine them; multiplied by a global network.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "gu2net",
            "options": {"features": [32, 64, 128, 256, 512], "width": 128, "stem": 2, "anatomies": 1},
            "losses": [{"name": "bce", "weight": 100.0}],
            "optimizer": "adam",
            "learning_rate": 1e-3,
        },
    ),
    Recipe(
        "deeplabv3",
        "DeepLabV3 (Chen 2017)",
        "Atrous convolutions and image pooling over a dilated encoder.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "deeplabv3",
            "options": {"width": 32, "blocks": [3, 4, 6], "output_stride": 8, "stem": 1},
        },
    ),
    Recipe(
        "iterative",
        "Iterative landmark groups (Baumann 2020)",
        "Finds the landmarks group by group, each with the earlier ones as input, and learns to use guidance: "
        "correct one landmark, and the others follow.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "iterative",
            "options": {
                "inner": "unet",
                "inner_options": {"features": [24, 32, 64, 128, 128, 32], "dropout": 0.0},
                "group_size": 5,
                "stem": 2,
            },
            "known_fraction": 0.5,
            "teacher_forcing": 0.5,
        },
    ),
    Recipe(
        "ntm_unet",
        "U-Net with a neural Turing machine (Baumann 2020)",
        "Group by group like the iterative network, with a memory that passes from group to group.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "ntm_unet",
            "options": {
                "features": [24, 32, 64, 128, 128],
                "where": "skip",
                "levels": [0, 2],
                "group_size": 5,
                "stem": 2,
            },
            "known_fraction": 0.5,
            "teacher_forcing": 0.5,
        },
    ),
    Recipe(
        "cascade",
        "Coarse to fine (Yeh 2021)",
        "A network for the whole image on a coarse grid, and one for crops around its detections.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "cascade",
            "options": {"features": [24, 32, 64, 128, 128, 32], "width": 32, "coarse": 2, "crop": 32, "stem": 2},
        },
    ),
    Recipe(
        "t2dl",
        "T2DL, patches that vote (Zhang 2017)",
        "Every patch votes for the position of each landmark; further layers then locate all of them jointly.",
        settings={**_PUBLISHED_RUN, "architecture": "t2dl", "options": {"width": 32, "stage": 2, "stem": 2}},
    ),
    Recipe(
        "search_agent",
        "Search agents by reinforcement learning (Ghesu 2019)",
        "An agent for each landmark walks over the image, from coarse to fine, and leaves it where the landmark is "
        "absent. For a few landmarks: each has networks of its own. States no confidence.",
        settings={
            **_PUBLISHED_RUN,
            "architecture": "search_agent",
            # A patch shows the whole coarsest grid, of 16 x 16 pixels, from its middle, where a search starts.
            "options": {"width": 16, "patch": 25, "levels": 4, "stem": 1},
            "learning_rate": 4e-3,
            "gradient_clip": 5.0,
            "batch_size": 16,
        },
    ),
)

RECIPES: tuple[Recipe, ...] = _SITE + _PUBLISHED


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; the first one where there is none (a scene from another version)."""
    return next((recipe for recipe in RECIPES if recipe.name == name), RECIPES[0])
