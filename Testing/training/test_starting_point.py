"""Going on from a bundle: its settings, its weights as far as they fit, and a word on the rest."""

import json
from dataclasses import replace

import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.planning.protocol_editing import constellation_to_dict
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.runs.run_folder import RunFolder
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.training.starting_point import finetuning_config, starting_network
from LandmarkTrainingLib.core.training.training_run import run_configuration

BUNDLE = resource_path("Models", "brain-scout")
NAMES = tuple(entry["name"] for entry in read_metadata(BUNDLE)["landmarks"])


def start(config, names=NAMES):
    return starting_network(config, names, target_settings(config, SliceSettings()))


def test_finetuning_takes_network_and_targets_of_the_bundle_and_small_steps():
    config, metadata = finetuning_config("brain-scout"), read_metadata(BUNDLE)
    assert config.base == "brain-scout" and config.name == "brain-scout-tuned"
    assert (config.sigma_mm, config.tau_mm) == (metadata["targets"]["sigma_mm"], metadata["targets"]["tau_mm"])
    assert config.options["features"] == metadata["network"]["options"]["features"]
    assert "in_channels" not in config.options and config.learning_rate < TrainingConfig().learning_rate
    assert config.patience > 0 and config.folds > 1


def test_a_part_of_the_bases_anatomy_gets_a_name_of_its_own_and_small_steps(tmp_path):
    brain = load_protocol("BrainAcPc")
    data = json.loads(brain.source.read_text(encoding="utf-8")) | constellation_to_dict(brain.constellation)
    path = tmp_path / "Stem.json"
    path.write_text(json.dumps({**data, "name": "Stem", "anatomy": "brain_stem"}), encoding="utf-8")
    stem = load_protocol(path)
    assert finetuning_config(BUNDLE, brain).name == "brain-scout-tuned"
    assert finetuning_config(BUNDLE, stem).learning_rate == finetuning_config(BUNDLE, brain).learning_rate
    for settings, name in (([f"protocol={path}"], "brain_stem-scout"), ([], "brain-scout-tuned")):
        assert run_configuration(RunFolder(tmp_path), str(BUNDLE), None, settings, False).name == name
    nameless = replace(brain, anatomy="")
    assert finetuning_config(BUNDLE, nameless).name == "brain-scout-tuned"


def test_a_finetuned_network_begins_as_the_bundle():
    network, report = start(finetuning_config(BUNDLE))
    assert report.fits and "238 of 238" in report.summary()
    image = torch.randn(2, 4, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(image), load_model(BUNDLE, "cpu", "torch").network(image), atol=1e-4)


def test_iterative_groups_begin_as_the_network_inside_them():
    plain = finetuning_config(BUNDLE)
    inner = {key: value for key, value in plain.options.items() if key != "stem"}
    options = {"inner": "unet_plus_plus", "inner_options": inner, "stem": 2, "group_size": len(NAMES)}
    network, report = start(plain.replaced({"architecture": "iterative", "options": options}))
    assert report.fits and report.widened
    image = torch.randn(1, 4, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(image), start(plain)[0].eval()(image), atol=1e-4)


def test_other_landmarks_keep_those_of_the_same_name():
    names = (*NAMES[:3], "MINE", *NAMES[10:12])
    network, report = start(finetuning_config(BUNDLE), names)
    assert report.kept_landmarks == tuple(name for name in names if name != "MINE")
    assert report.new_landmarks == ("MINE",)
    old = start(finetuning_config(BUNDLE))[0].eval()
    image = torch.randn(1, 4, 64, 64)
    with torch.inference_mode():
        new_maps, old_maps = network.eval()(image), old(image)
    for place, name in enumerate(names):
        if name != "MINE":
            assert torch.allclose(new_maps[:, place], old_maps[:, NAMES.index(name)], atol=1e-4), name


def test_an_order_of_landmarks_hinders_no_change_of_landmarks():
    inner = {"features": [4] * 6}
    options = {"inner": "unet", "inner_options": inner, "stem": 2, "group_size": 1, "order": [1, 0]}
    config = TrainingConfig(base=str(BUNDLE), architecture="iterative", options=options)
    _, report = start(config, ("AC", "PC"))
    assert not report.fits


def test_without_a_base_the_network_is_fresh_and_the_seed_decides_it():
    config = TrainingConfig(architecture="unet", options={"features": [4] * 6, "stem": 2})
    (one, report), (same, _), (other, _) = (start(config.replaced({"seed": seed})) for seed in (0, 0, 1))
    assert report is None
    weights = [next(network.parameters()) for network in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("base", ["nobody", "/nowhere/at/all"])
def test_a_base_that_is_not_there_is_named(base):
    with pytest.raises(ModelError, match=base):
        start(TrainingConfig(base=base))


def test_encoder_weights_that_are_not_there_are_named(tmp_path):
    options = {"encoder": "resnet18", "decoder": [8, 8, 8], "stem": 4}
    config = TrainingConfig(
        architecture="encoder_unet_plus_plus", options=options, encoder_weights=str(tmp_path / "absent.pth")
    )
    with pytest.raises(ModelError, match="absent.pth"):
        start(config)
