"""A trained network becomes an ONNX graph in its bundle, or the bundle says why not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.backends import torch_network
from AutoVolumeCalibrationLib.core.detection.backends.running import run_network
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import default_uncertainty
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata, sha256_of
from LandmarkTrainingLib.core.export import onnx_graph
from LandmarkTrainingLib.core.export.onnx_graph import add_graph
from LandmarkTrainingLib.core.training.bundle_export import export_bundle
from LandmarkTrainingLib.core.training.learner import landmark_network
from LandmarkTrainingLib.core.training.training_run import _add_graph
from toy_training import TINY

pytest.importorskip("onnx")

#: Architectures whose graph holds for every size.
EXPORTED = {
    "unet_plus_plus": {"features": [8] * 6, "stem": 2},
    "unet": {"features": [8] * 6, "stem": 2},
    "scn": {"width": 8, "stem": 2, "dropout": 0.0},
    "iterative": {"inner": "unet", "inner_options": {"features": [8] * 6}, "stem": 2, "group_size": 20},
}
#: Traced with the sizes of the example, so that the graph fails for others; and one that cannot be traced.
NOT_EXPORTED = {
    "hourglass": ({"width": 4, "depth": 3, "stem": 2, "dropout": 0.0}, "cannot run the graph for every size"),
    "ntm_unet": (
        {"features": [8] * 5, "stem": 2, "where": "skip", "levels": [0, 2], "group_size": 45, "filters": 4, "grid": 4}
        | {"controller": 16, "memory_rows": 8, "memory_width": 8, "heads": 1},
        "PyTorch cannot export it",
    ),
}


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """torch does not round to bfloat16."""
    monkeypatch.setattr(torch_network, "processor_has_bfloat16", lambda: False)


@pytest.fixture
def bundle(tmp_path):
    """Writes a bundle of an untrained network; its folder."""

    def write(architecture="unet_plus_plus", options=EXPORTED["unet_plus_plus"], seed=0):
        torch.manual_seed(seed)
        config = TINY.replaced({"name": "tiny", "architecture": architecture, "options": options})
        constellation = load_protocol("BrainAcPc").constellation
        network = landmark_network(config, len(constellation.names)).eval()
        uncertainty = default_uncertainty(len(constellation.names))
        export_bundle(tmp_path / "tiny", network, config, constellation, uncertainty, {}, overwrite=True)
        return tmp_path / "tiny"

    return write


@pytest.mark.parametrize("architecture", EXPORTED)
def test_the_graph_gives_the_heatmaps_of_the_network(bundle, architecture):
    folder = bundle(architecture, EXPORTED[architecture])
    assert add_graph(folder) == ""
    by_onnx, by_torch = load_model(folder, "cpu", "onnx"), load_model(folder, "cpu", "torch")
    images = np.random.default_rng(1).normal(size=(5, 4, by_torch.divisor, 4 * by_torch.divisor)).astype(np.float32)
    expected = run_network(by_torch, images)
    assert run_network(by_onnx, images) == pytest.approx(expected, abs=1e-4 * float(np.abs(expected).max()))


@pytest.mark.parametrize("architecture", NOT_EXPORTED)
def test_a_network_that_cannot_be_exported_is_skipped_with_a_reason(bundle, architecture):
    options, reason = NOT_EXPORTED[architecture]
    folder = bundle(architecture, options)
    assert reason in add_graph(folder)
    assert not (folder / "models" / "model.onnx").exists()
    assert read_metadata(folder)["onnx"] == {"reason": add_graph(folder)}
    assert load_model(folder, "cpu").backend == "torch"
    with pytest.raises(ModelError, match=reason):
        load_model(folder, "cpu", "onnx")


def test_the_metadata_names_the_file_and_the_weights(bundle):
    folder = bundle()
    before = read_metadata(folder)
    add_graph(folder)
    metadata = read_metadata(folder)
    assert metadata.pop("onnx") == {
        "file": "models/model.onnx",
        "sha256": sha256_of(folder / "models" / "model.onnx"),
        "weights_sha256": before["weights"]["sha256"],
    }
    assert metadata == before


def test_a_bundle_that_is_written_anew_has_no_graph_until_it_is_added(bundle):
    add_graph(bundle())
    folder = bundle(seed=1)
    assert "onnx" not in read_metadata(folder)
    assert load_model(folder, "cpu").backend == "torch"
    add_graph(folder)
    assert load_model(folder, "cpu").backend == "onnx"


def test_a_graph_that_gives_other_heatmaps_is_not_written(bundle, monkeypatch):
    folder = bundle()
    monkeypatch.setattr(onnx_graph, "TOLERANCE", 0.0)
    assert add_graph(folder) == "the graph gives other heatmaps"
    assert not (folder / "models" / "model.onnx").exists()


def test_a_run_ends_with_the_graph_and_goes_without_where_packages_are_missing(bundle, monkeypatch, caplog):
    folder = bundle()
    monkeypatch.setattr(onnx_graph, "PACKAGES", ("onnx", "not_installed"))
    _add_graph(folder)
    assert "not_installed" in caplog.text and "onnx" not in read_metadata(folder)
    monkeypatch.undo()
    _add_graph(folder)
    assert load_model(folder, "cpu").backend == "onnx"


def test_the_command_adds_the_graph_or_says_why_not(bundle, capsys):
    from AutoVolumeCalibrationLib.cli.main import main

    folder = bundle()
    assert main(["export-onnx", str(folder)]) == 0
    assert "model.onnx" in capsys.readouterr().out
    assert "ONNX Runtime or PyTorch" in listed(folder)
    folder = bundle("hourglass", NOT_EXPORTED["hourglass"][0])
    assert main(["export-onnx", str(folder)]) == 4
    assert "cannot run the graph for every size" in capsys.readouterr().err


def listed(folder):
    """What ``autovolume models`` says about running the bundle."""
    from AutoVolumeCalibrationLib.cli.listing_commands import backends_text

    return backends_text(json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8")))
