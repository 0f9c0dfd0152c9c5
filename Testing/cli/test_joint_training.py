"""``train`` with several anatomies: from two data sets to one network and a bundle for each."""

from __future__ import annotations

import json

import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset
from command_line import assert_refused
from labelled_studies import spot_study
from LandmarkTrainingLib.core.runs.checkpoints import load_checkpoint

PROTOCOLS = {"brain": "BrainAcPc", "knee": "KneeSagittal"}
SETTINGS = {
    "architecture": "gu2net",
    "options": {"features": [4] * 5, "width": 4, "stem": 4},
    "steps": 4,
    "checkpoint_steps": 2,
    "batch_size": 6,
    "workers": 0,
    "bf16": False,
    "device": "cpu",
    "folds": 3,
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """``gu2net.json`` beside two sets of three people, whose landmarks lie where they typically do."""
    folder = tmp_path_factory.mktemp("joint")
    anatomies = []
    for title, protocol in PROTOCOLS.items():
        constellation = load_protocol(protocol).constellation
        places = {landmark.name: landmark.reference_mm for landmark in constellation.landmarks}
        studies = [spot_study(f"case_{i}", places=places, subject=f"{title}_{i}") for i in range(3)]
        write_dataset(folder / title, studies, constellation)
        anatomies.append({"protocol": protocol, "datasets": [str(folder / title)]})
    path = folder / "gu2net.json"
    path.write_text(json.dumps({**SETTINGS, "anatomies": anatomies}), encoding="utf-8")
    return path


def test_one_training_gives_a_bundle_for_each_anatomy(autovolume, config, tmp_path):
    run = tmp_path / "run"
    ran = autovolume("train", "--config", config, "--output", run)
    assert ran.code == 0, ran.err
    assert "step 4 of 4" in ran.out and " brain " in ran.out and " knee " in ran.out
    assert f"bundle in {run / 'bundles'}" in ran.out
    shared = {}
    for title, protocol in PROTOCOLS.items():
        bundle = run / "bundles" / f"{title}-scout"
        metadata, model = read_metadata(bundle), load_model(bundle, "cpu", "torch")
        assert metadata["anatomy"] == title and protocol in metadata["protocols"]
        assert model.names == load_protocol(protocol).constellation.names
        training = metadata["training"]
        other = next(name for name in PROTOCOLS if name != title)
        assert training["learnt_together_with"] == [other] and training["studies"] == 2
        assert training["slices"] == training["steps"] * 6 // 2
        assert not (bundle / "configs" / "train.json").read_text(encoding="utf-8").count(str(config.parent))
        shared[title] = {k: v for k, v in model.torch_network.state_dict().items() if ".pointwise." in k}
    assert shared["brain"].keys() == shared["knee"].keys() and len(shared["brain"]) > 0
    assert all(torch.equal(value, shared["knee"][key]) for key, value in shared["brain"].items())


def test_a_stopped_run_goes_on_to_the_same_weights(autovolume, config, tmp_path):
    # Of a schedule the rate depends on the number of steps.
    constant = ("--set", 'schedule="constant"', "--set", "warmup_steps=0")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert autovolume("train", "--config", config, "--output", whole, *constant).code == 0
    assert autovolume("train", "--config", config, "--output", parts, *constant, "--set", "steps=2").code == 0
    assert autovolume("train", "--output", parts, "--resume", "--set", "steps=4").code == 0
    one, other = (load_checkpoint(run / "checkpoint.pt")["network"] for run in (whole, parts))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("command", "more", "said"),
    [
        ("train", ("--labels", "."), "names the data of each anatomy"),
        ("finetune", (), "from scratch"),
        ("train", ("--set", 'architecture="unet"'), "unet cannot learn several anatomies"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(autovolume, config, tmp_path, command, more, said):
    ran = autovolume(command, "--config", config, "--output", tmp_path / "run", *more)
    assert_refused(ran, 2, said)
    assert not (tmp_path / "run").exists()


def test_other_commands_say_that_they_learn_one_anatomy(autovolume, config, tmp_path):
    ran = autovolume("find-rate", "--config", config, "--labels", config.parent, "--output", tmp_path / "rate")
    assert_refused(ran, 2, "train alone")
