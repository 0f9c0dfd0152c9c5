"""The trainer and the bundles take every registered architecture as it is."""

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.bundles import load_model
from AutoVolumeCalibrationLib.core.networks import ARCHITECTURES
from AutoVolumeCalibrationLib.core.protocols import load_protocol
from AutoVolumeCalibrationLib.core.uncertainty import PeakUncertainty
from LandmarkTrainingLib.core import trainer
from LandmarkTrainingLib.core.batches import SimulatedBatches, TrainingData, target_settings
from LandmarkTrainingLib.core.bundle_export import export_bundle
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.simulator.render import SliceSettings
from LandmarkTrainingLib.core.trainer import averaged_network, landmark_network, train
from LandmarkTrainingLib.core.watching import inplane_errors_mm
from toy_heads import MIRROR, NAMES, RIGID, toy_heads

TINY = TrainingConfig(
    steps=200,
    checkpoint_steps=200,
    batch_size=8,
    warmup_steps=2,
    learning_rate=1e-2,
    ema_decay=0.9,
    sigma_mm=10.0,
    bf16=False,
    workers=0,
    device="cpu",
)
#: Narrow options, and what else differs from ``TINY``.
LEARNERS = {
    "unet_plus_plus": ({"features": [8] * 6, "stem": 2}, {}),
    "unet": ({"features": [8] * 6, "stem": 2}, {}),
    "attention_unet": ({"features": [8] * 5, "stem": 2}, {"steps": 120}),
    "scn": ({"width": 8, "stem": 2, "dropout": 0.0}, {"steps": 300, "learning_rate": 5e-3}),
    "flat_net": ({"width": 4, "stem": 2}, {"steps": 150, "learning_rate": 5e-3}),
    # Its maxima lie on nodes of a 16 mm grid: only peaks as broad as that, looked at coarsely, tell what is between.
    "deeplabv3": ({"width": 4, "blocks": [1, 1, 1], "output_stride": 8, "stem": 4}, {"sigma_mm": 20.0}),
}
COARSE = SliceSettings(matrix=64, pixel_mm=4.0, profile_samples=1, limits=RIGID)
#: The same field of view for DeepLabV3, whose grid is eight times coarser than the image.
FINE = SliceSettings(matrix=128, pixel_mm=2.0, profile_samples=1, limits=RIGID)


def test_every_registered_architecture_is_tried():
    assert LEARNERS.keys() == ARCHITECTURES.keys()


@pytest.fixture(scope="module")
def data():
    heads = toy_heads(4.0)
    return TrainingData(heads, heads, MIRROR)


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "unet_plus_plus"])
def test_a_few_slices_are_learnt_by_heart(name, data, tmp_path, monkeypatch):
    """As test_trainer.py does with U-Net++."""
    options, change = LEARNERS[name]
    slices = FINE if name == "deeplabv3" else COARSE
    config = TINY.replaced({"architecture": name, "options": options, **change})
    monkeypatch.setattr(trainer, "SliceSettings", lambda: slices)
    monkeypatch.setattr(trainer, "CHECK_SLICES", 24)
    batch = SimulatedBatches(data, config, slices)[0]
    monkeypatch.setattr(SimulatedBatches, "__getitem__", lambda self, index: batch)
    network = averaged_network(config, train(config, data, tmp_path), len(NAMES))
    errors = inplane_errors_mm(network, batch, target_settings(config, slices), torch.device("cpu"))
    assert (batch.visible & (batch.depths_mm.abs() < 8)).sum() >= 4
    assert errors["p95_mm"] < 1.5


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
    assert given.shape[2:] == (model.divisor // model.stem, 3 * model.divisor // model.stem)
    assert torch.allclose(given, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert model.largest_size % model.divisor == 0


def test_bfloat16_arithmetic_trains_every_architecture(data, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "SliceSettings", lambda: COARSE)
    monkeypatch.setattr(trainer, "CHECK_SLICES", 24)
    for name, (options, _) in LEARNERS.items():
        config = TINY.replaced({"architecture": name, "options": options, "steps": 2, "bf16": True})
        assert train(config, data, tmp_path / name).exists()
