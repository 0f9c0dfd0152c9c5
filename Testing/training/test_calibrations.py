"""Calibrating the uncertainty: right for a network whose errors are known, harmless for one that finds nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import default_uncertainty
from fake_models import fake_model
from LandmarkTrainingLib.core.evaluation.study_calibration import calibrate_on_studies
from LandmarkTrainingLib.core.evaluation.uncertainty_calibration import calibrate_uncertainty
from LandmarkTrainingLib.core.slices.targets import TargetSettings
from toy_heads import MIRROR, toy_heads

TARGETS = TargetSettings(sigma_mm=6.0, tau_mm=12.0, stem=2, pixel_mm=2.0)


class Blind(torch.nn.Module):
    """Answers nothing."""

    def __init__(self, landmarks):
        super().__init__()
        self.landmarks = landmarks

    def forward(self, batch):
        return torch.zeros(len(batch), self.landmarks, *(n // 2 for n in batch.shape[-2:]))


def test_a_network_that_finds_nothing_gets_the_default_calibration():
    heads = toy_heads()
    result = calibrate_uncertainty(Blind(len(MIRROR)), heads, MIRROR, TARGETS, torch.device("cpu"), slices=48)
    assert result.to_dict() == default_uncertainty(len(MIRROR)).to_dict()


def test_a_model_that_finds_no_head_tells_nothing_of_its_pose_errors():
    protocol = load_protocol("BrainAcPc")
    constellation = protocol.constellation
    places = torch.from_numpy(constellation.reference_mm).float()[None]
    heads = replace(toy_heads(), landmarks_mm=places, names=constellation.names)
    model = fake_model(Blind(len(constellation.names)), constellation.names, constellation.mirror_indices)
    result = calibrate_on_studies(model, heads, protocol, studies=3)
    assert result.pose_covariance is None
    assert result.through_plane_mm == model.uncertainty.through_plane_mm


@pytest.mark.slow
@pytest.mark.parametrize("sd_mm", [1.5, 3.0])
def test_the_stated_error_is_the_error(monkeypatch, sd_mm):
    """Peaks with Gaussian errors of a known size come out with that size at the height at which they were seen."""
    from LandmarkTrainingLib.core.evaluation import uncertainty_calibration as module

    rng = np.random.default_rng(1)

    def peaks(_network, batch, _targets, _device):
        shape = batch.depths_mm.shape
        moments = np.broadcast_to(np.eye(2) * 20.0, (*shape, 2, 2))
        return rng.normal(0, sd_mm, (*shape, 2)), np.full(shape, 0.8), moments

    monkeypatch.setattr(module, "peaks_of_batch", peaks)
    result = calibrate_uncertainty(Blind(len(MIRROR)), toy_heads(), MIRROR, TARGETS, torch.device("cpu"), slices=960)
    stated = result.sd_mm(1, np.full((1, len(MIRROR)), 0.8), np.full((1, len(MIRROR), 2), result.typical_spread_mm))
    assert stated == pytest.approx(np.full(stated.shape, sd_mm), rel=0.25)
    assert result.typical_spread_mm == pytest.approx(np.sqrt(20.0))
