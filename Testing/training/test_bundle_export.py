import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import PeakUncertainty
from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata, sha256_of
from AutoVolumeCalibrationLib.core.storage.results import read_results
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.training import bundle_export
from LandmarkTrainingLib.core.training.bundle_export import export_bundle, record_measurement
from LandmarkTrainingLib.core.training.learner import landmark_network
from LandmarkTrainingLib.core.training.training_data import simulation_settings

CONFIG = TrainingConfig(name="tiny", options={"features": [8] * 6, "stem": 2}, pixel_mm=1.25, sigma_mm=5.0, tau_mm=10.0)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def constellation():
    return load_protocol("BrainAcPc").constellation


@pytest.fixture(scope="module")
def uncertainty(constellation):
    base = np.random.default_rng(0).uniform(1, 3, (3, len(constellation.names), 2))
    shared = np.diag([1e-4] * 4 + [1.0] * 3)
    return PeakUncertainty(base, np.array([0.2, 0.6]), np.array([2.0, 1.0]), 4.2, 5.5, shared)


@pytest.fixture(scope="module")
def network(constellation):
    network = landmark_network(CONFIG, len(constellation.names))
    network(torch.randn(4, 4, 64, 64))  # batch statistics that are not the default ones
    return network.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory, network, constellation, uncertainty):
    folder = tmp_path_factory.mktemp("export") / "tiny"
    export_bundle(folder, network, CONFIG, constellation, uncertainty, {"trained_on": "nothing"})
    return folder


def test_an_exported_network_gives_the_same_heatmaps_when_loaded(exported, network):
    model = load_model(exported, "cpu")
    image = torch.randn(3, 4, 64, 96)
    with torch.inference_mode():
        assert torch.allclose(model.network(image), network(image), atol=1e-5)


def test_what_inference_needs_is_in_the_bundle(exported, constellation, uncertainty):
    model = load_model(exported, "cpu")
    assert model.names == constellation.names
    assert model.mirror.tolist() == constellation.mirror_indices.tolist()
    assert (model.name, model.output_stride, model.sigma_mm, model.tau_mm) == ("tiny", 2, 5.0, 10.0)
    assert model.uncertainty.base_mm == pytest.approx(uncertainty.base_mm, abs=1e-3)
    assert model.uncertainty.pose_covariance == pytest.approx(uncertainty.pose_covariance)
    assert model.largest_size % model.divisor == 0


def test_a_landmark_is_detected_the_way_it_was_trained(exported):
    """Pixel size and heatmap width of training and of the loaded model are one and the same."""
    from LandmarkTrainingLib.core.slices.targets import slice_settings, target_settings

    model, targets = load_model(exported, "cpu"), target_settings(CONFIG, slice_settings(CONFIG))
    assert model.pixel_mm == targets.pixel_mm and model.sigma_pixels == targets.sigma_pixels


def test_the_pixels_of_the_settings_reach_slices_and_bundle(exported):
    assert simulation_settings(CONFIG).pixel_mm == load_model(exported, "cpu").pixel_mm == 1.25
    assert simulation_settings(CONFIG.replaced({"simulation": {"coil_shading": 0.1}})).pixel_mm == 1.25


def test_the_facts_are_kept_and_the_layout_is_that_of_a_bundle(exported):
    assert read_metadata(exported)["trained_on"] == "nothing"
    files = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert files == {"configs/metadata.json", "configs/inference.json", "configs/train.json", "models/model.pt"}


def test_the_training_part_gives_the_configuration_back(exported):
    assert TrainingConfig.from_json(exported / "configs" / "train.json") == CONFIG


def test_the_metadata_have_what_monai_asks_for(exported):
    metadata = read_metadata(exported)
    needed = "version changelog monai_version pytorch_version numpy_version task description authors copyright"
    assert set(needed.split()) <= set(metadata) and metadata["version"] in metadata["changelog"]
    assert "network_data_format" in metadata


def test_a_bundle_is_not_overwritten_unless_told(exported, network, constellation, uncertainty):
    before = sha256_of(exported / "configs" / "metadata.json")
    with pytest.raises(UsageError, match="holds a bundle already.*overwriting"):
        export_bundle(exported, network, CONFIG, constellation, uncertainty, {})
    assert sha256_of(exported / "configs" / "metadata.json") == before


def test_replacing_a_bundle_keeps_the_texts_for_people(tmp_path, network, constellation, uncertainty):
    folder = tmp_path / "tiny"
    export_bundle(folder, network, CONFIG, constellation, uncertainty, {})
    (folder / "LICENSE").write_text("licence", encoding="utf-8")
    (folder / "docs" / "README.md").write_text("card", encoding="utf-8")
    torch.manual_seed(5)
    other = landmark_network(CONFIG.replaced({"seed": 5}), len(constellation.names))
    export_bundle(folder, other, CONFIG, constellation, uncertainty, {}, overwrite=True)
    assert (folder / "docs" / "README.md").read_text(encoding="utf-8") == "card"
    saved = torch.load(folder / "models" / "model.pt", weights_only=True)
    assert torch.equal(next(iter(saved.values())), next(other.parameters()))
    assert load_model(folder, "cpu").sha256 == sha256_of(folder / "models" / "model.pt")


def test_measured_errors_are_recorded_without_touching_the_model(tmp_path, network, constellation, uncertainty):
    folder = tmp_path / "tiny"
    export_bundle(folder, network, CONFIG, constellation, uncertainty, {"trained_on": "nothing"})
    record_measurement(folder, {"median_mm": 2.5})
    record_measurement(folder, {"median_mm": 2.0})
    metadata = read_metadata(folder)
    assert metadata["measured"] == {"median_mm": 2.0} and metadata["trained_on"] == "nothing"
    assert load_model(folder, "cpu").names == constellation.names
    with pytest.raises(ModelError, match="metadata"):
        record_measurement(tmp_path / "nowhere", {})


def test_a_kill_before_the_metadata_leaves_the_old_bundle_whole_or_refused(
    tmp_path, network, constellation, uncertainty, monkeypatch
):
    """New weights beside old metadata do not load, rather than give another network's landmarks under an old name."""
    folder = tmp_path / "tiny"
    export_bundle(folder, network, CONFIG, constellation, uncertainty, {})
    monkeypatch.setattr(bundle_export, "write_text", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    other = landmark_network(CONFIG.replaced({"seed": 5}), len(constellation.names))
    with pytest.raises(KeyboardInterrupt):
        export_bundle(folder, other, CONFIG, constellation, uncertainty, {}, overwrite=True)
    with pytest.raises(ModelError, match="hash"):
        load_model(folder, "cpu")


def test_monai_builds_the_network_and_finds_its_input_and_output_as_stated(exported):
    from monai.bundle import ConfigParser, verify_net_in_out

    parser = ConfigParser()
    parser.read_config(str(exported / "configs" / "inference.json"))
    assert type(parser.get_parsed_content("network_def")).__name__ == "StemUNetPlusPlus"
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(exported / "configs" / "metadata.json"),
        config_file=str(exported / "configs" / "inference.json"),
        device="cpu",
    )


def test_a_false_statement_about_the_output_would_be_noticed(exported, tmp_path):
    from monai.bundle import verify_net_in_out

    metadata = json.loads((exported / "configs" / "metadata.json").read_text(encoding="utf-8"))
    metadata["network_data_format"]["outputs"]["pred"]["num_channels"] += 1
    (tmp_path / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(ValueError, match="channel number"):
        verify_net_in_out(
            net_id="network_def",
            meta_file=str(tmp_path / "metadata.json"),
            config_file=str(exported / "configs" / "inference.json"),
            device="cpu",
        )


SCOUTS = ("SampleData", "ColinScouts", "dicom")


def test_monai_runs_the_shipped_bundle_on_the_sample_study(tmp_path):
    from monai.bundle import run

    bundle = resource_path("Models", "brain-scout")
    run(
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        scouts=str(resource_path(*SCOUTS)),
        output_dir=str(tmp_path / "out"),
    )
    saved = read_results(tmp_path / "out")
    assert saved.model.name == "brain-scout" and saved.box.name == "AxialWholeBrain"


@pytest.mark.slow
def test_monais_command_line_runs_the_shipped_bundle(tmp_path):
    pytest.importorskip("fire", reason="python -m monai.bundle needs the package fire")
    folders = os.pathsep.join(str(ROOT / name) for name in ("AutoVolumeCalibration", "LandmarkTraining"))
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    done = subprocess.run(
        [*command, "--scouts", str(resource_path(*SCOUTS)), "--output_dir", str(tmp_path / "out")],
        cwd=resource_path("Models", "brain-scout"),
        env={**os.environ, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert read_results(tmp_path / "out").model.name == "brain-scout"


def test_input_and_output_have_the_stated_sizes(exported):
    """MONAI's own verification looks at channels alone."""
    stated = read_metadata(exported)["network_data_format"]
    image, heatmaps = stated["inputs"]["image"], stated["outputs"]["pred"]
    with torch.inference_mode():
        answer = load_model(exported, "cpu").network(torch.zeros(1, image["num_channels"], *image["spatial_shape"]))
    assert list(answer.shape[1:]) == [heatmaps["num_channels"], *heatmaps["spatial_shape"]]
