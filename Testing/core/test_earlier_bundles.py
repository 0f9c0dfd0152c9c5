"""Bundles made by earlier versions name modules by their old paths; these keep working."""

from __future__ import annotations

import json
import shutil
from importlib import import_module

import pytest

from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model

#: Where every version of the package has its network builder; written into ``configs/inference.json`` of all bundles.
BUILDER = "AutoVolumeCalibrationLib.core.networks.build_network"


@pytest.fixture(params=["brain-scout"])
def earlier_bundle(request, tmp_path):
    """A bundle outside the repository, as an earlier version exported it."""
    return shutil.copytree(resource_path("Models", request.param), tmp_path / request.param)


def inference_config(bundle):
    return json.loads((bundle / "configs" / "inference.json").read_text(encoding="utf-8"))


def test_an_earlier_bundle_loads(earlier_bundle):
    assert inference_config(earlier_bundle)["network_def"]["_target_"] == BUILDER
    assert load_model(earlier_bundle, "cpu").name == earlier_bundle.name


def test_the_builder_that_bundles_name_builds_the_network_of_the_weights(earlier_bundle):
    import torch

    module, _, name = BUILDER.rpartition(".")
    definition = inference_config(earlier_bundle)["network_def"]
    del definition["_target_"]
    network = getattr(import_module(module), name)(**definition)
    weights = torch.load(earlier_bundle / "models" / "model.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(weights)


def test_the_command_that_bundles_run_is_where_they_look_for_it(earlier_bundle):
    # ``python -m monai.bundle run`` executes these imports.
    for line in inference_config(earlier_bundle)["imports"]:
        exec(line.removeprefix("$"), {})


def test_monai_finds_the_target_of_an_earlier_bundle(earlier_bundle):
    from monai.bundle import ConfigParser

    parser = ConfigParser(inference_config(earlier_bundle))
    parser["imports"] = []
    network = parser.get_parsed_content("network_def")
    assert type(network).__module__.startswith("AutoVolumeCalibrationLib.core.networks.architectures")
