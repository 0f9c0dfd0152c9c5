"""The trainer and the bundles take every registered architecture as it is."""

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import PeakUncertainty
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.networks.registry import ARCHITECTURES
from LandmarkTrainingLib.core.evaluation import pictures
from LandmarkTrainingLib.core.evaluation.validation import inplane_errors_mm
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.training.bundle_export import export_bundle
from LandmarkTrainingLib.core.training.learner import landmark_network
from LandmarkTrainingLib.core.training.search_agent.learner import new_learner
from LandmarkTrainingLib.core.training.trainer import train
from toy_heads import NAMES, RIGID
from toy_training import SLICES as COARSE
from toy_training import TINY as TOY
from toy_training import one_batch, toy_data

TINY = TOY.replaced(
    {
        "steps": 200,
        "checkpoint_steps": 200,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "ema_decay": 0.9,
        "sigma_mm": 10.0,
    }
)
#: A small neural Turing machine.
MACHINE = {"filters": 4, "grid": 4, "controller": 16, "memory_rows": 8, "memory_width": 8, "heads": 1}
#: Narrow options, and what else differs from ``TINY``.
LEARNERS = {
    "unet_plus_plus": ({"features": [8] * 6, "stem": 2}, {}),
    # The published encoder, eleven million parameters: few steps, and heatmaps as coarse as can be.
    "encoder_unet_plus_plus": (
        {"encoder": "resnet18", "decoder": [16] * 3, "stem": 4, "deep_supervision": True},
        {"steps": 70, "learning_rate": 2e-3, "sigma_mm": 16.0},
    ),
    "unet": ({"features": [8] * 6, "stem": 2}, {}),
    "attention_unet": ({"features": [8] * 5, "stem": 2}, {"steps": 120}),
    "scn": ({"width": 8, "stem": 2, "dropout": 0.0}, {"steps": 300, "learning_rate": 5e-3}),
    "flat_net": ({"width": 4, "stem": 2}, {"steps": 150, "learning_rate": 5e-3}),
    # Its maxima lie on nodes of a 16 mm grid: only peaks as broad as that, sampled coarsely, show what is between.
    "deeplabv3": ({"width": 4, "blocks": [1, 1, 1], "output_stride": 8, "stem": 4}, {"sigma_mm": 20.0}),
    "iterative": (
        {"inner": "unet", "inner_options": {"features": [8] * 6}, "stem": 2, "group_size": 2},
        {"steps": 400},
    ),
    "ntm_unet": (
        {"features": [8] * 5, "stem": 2, "where": "skip", "levels": [0, 2], "group_size": 2, **MACHINE},
        {},
    ),
    "gu2net": ({"features": [8] * 5, "width": 8, "stem": 2}, {"steps": 150}),
    "hourglass": ({"width": 4, "depth": 3, "stem": 2, "dropout": 0.0}, {"steps": 120}),
    "stacked_hourglass": ({"width": 16, "depth": 3, "stacks": 2, "stem": 2}, {"steps": 140}),
    "cascade": ({"features": [8] * 6, "width": 8, "coarse": 2, "crop": 16, "stem": 2}, {"steps": 400}),
    "t2dl": ({"width": 8, "stage": 2, "stem": 2}, {}),
    # Every step trains one grid, on walks that change all the time: memorising takes longer.
    "search_agent": (
        {"width": 8, "patch": 9, "levels": 2, "stem": 1},
        {},
    ),
}
#: The same field of view for DeepLabV3, whose grid is eight times coarser than the image.
FINE = SliceSettings(matrix=128, pixel_mm=2.0, profile_samples=1, limits=RIGID)


def test_every_registered_architecture_is_tried():
    assert LEARNERS.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize("name", LEARNERS)
def test_pictures_during_training_show_the_kernels_on_the_image(name, tmp_path):
    """Of networks in groups, too, whose first convolution sees the maps of known landmarks besides."""
    options, _ = LEARNERS[name]
    network = landmark_network(TINY.replaced({"architecture": name, "options": options}), 5)
    if name in ("iterative", "ntm_unet"):
        assert pictures.first_kernels(network).shape[1:] == (IN_CHANNELS, 3 * options["stem"], 3 * options["stem"])
    pictures.kernel_picture(network, tmp_path / "kernels.png")
    assert (tmp_path / "kernels.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in ("unet_plus_plus", "search_agent")])
def test_a_few_slices_are_memorised(name, tmp_path):
    """Until the averaged network finds every landmark, or the steps are used up; agents: ``test_search_agents``."""
    options, change = LEARNERS[name]
    slices = FINE if name == "deeplabv3" else COARSE
    config = TINY.replaced({"architecture": name, "options": options, **change})
    batch, targets = one_batch(config, slices), target_settings(config, slices)
    learner = new_learner(landmark_network(config, len(NAMES), targets), config, targets, torch.device("cpu"))
    assert (batch.visible & (batch.depths_mm.abs() < 8)).sum() >= 4
    for step in range(config.steps):
        learner.learn(batch, step)
        if step % 10 == 9 and inplane_errors_mm(learner.average.module, batch, targets, learner.device)["p95_mm"] < 1.5:
            return
    pytest.fail(f"not learnt in {config.steps} steps")


def learner_of(**settings):
    config = TINY.replaced(settings)
    targets = target_settings(config, COARSE)
    return new_learner(landmark_network(config, len(NAMES), targets), config, targets, torch.device("cpu"))


def test_learned_widths_of_the_targets_are_trained_and_exported_with_the_weights():
    options = {"width": 8, "stem": 2, "dropout": 0.0, "learned_sigma": 2.0}
    losses = [{"name": "mse", "weight": 1000.0}, {"name": "sigma_penalty", "weight": 1000.0}]
    learner = learner_of(architecture="scn", options=options, losses=losses)
    batch = one_batch(learner.config, COARSE)
    for step in range(3):
        assert torch.isfinite(learner.learn(batch, step))
    widths = learner.average.module.state_dict()["sigmas"]
    assert widths.shape == (len(NAMES),) and (widths != 2.0).all() and (widths - 2).abs().max() < 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"architecture": "scn", "options": {"width": 8, "stem": 2, "learned_sigma": 2.0}, "mixup": 0.5},
            "mixup blends targets",
        ),
        (
            {"architecture": "iterative", "options": LEARNERS["iterative"][0], "mixup": 0.5, "mixup_losses": True},
            "mixup_losses does not suit iterative",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        learner_of(**settings)


def test_blended_losses_train_a_network_that_outputs_coordinates():
    options = LEARNERS["hourglass"][0]
    settings = {"mixup": 1.0, "mixup_losses": True, "cutout": 0.01, "cutout_chance": 0.5}
    wing = [{"name": "wing", "unit": "image"}]
    learner = learner_of(architecture="hourglass", options=options, point_losses=wing, **settings)
    batch = one_batch(learner.config, COARSE)
    first = learner.loss_of(batch, 0)
    assert torch.isfinite(first) and torch.equal(first, learner.loss_of(batch, 0))
    for step in range(20):
        learner.learn(batch, step)
    assert learner.loss_of(batch, 0) < first


@pytest.mark.parametrize("name", LEARNERS)
def test_a_bundle_gives_back_the_network(name, tmp_path):
    config = TINY.replaced({"name": "tiny", "architecture": name, "options": LEARNERS[name][0]})
    constellation = load_protocol("BrainAcPc").constellation
    uncertainty = PeakUncertainty(
        np.ones((3, len(constellation.names), 2)), np.array([0.2, 0.6]), np.array([2.0, 1.0]), 4.2, 5.5, np.eye(7)
    )
    network = landmark_network(config, len(constellation.names)).eval()
    export_bundle(tmp_path / "tiny", network, config, constellation, uncertainty, {})
    model = load_model(tmp_path / "tiny", "cpu")
    image = torch.randn(1, 4, model.divisor, 3 * model.divisor)
    with torch.inference_mode():
        given, expected = model.network(image), network(image)
    assert given.shape[2:] == (model.divisor // model.output_stride, 3 * model.divisor // model.output_stride)
    assert torch.allclose(given, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert model.largest_size % model.divisor == 0


@pytest.mark.parametrize("name", LEARNERS)
def test_bfloat16_arithmetic_trains_every_architecture(name, tmp_path):
    config = TINY.replaced({"architecture": name, "options": LEARNERS[name][0], "steps": 2, "bf16": True})
    assert np.isfinite(train(config, toy_data(), tmp_path, slices=COARSE).load()["best"])
