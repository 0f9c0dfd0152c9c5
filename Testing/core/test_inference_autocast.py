"""Networks compute in bfloat16 only where the processor has it and the heatmaps stay exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.backends import torch_network as arithmetic
from AutoVolumeCalibrationLib.core.detection.backends.torch_network import (
    BFLOAT16_INSTRUCTIONS,
    inference_autocast,
    processor_has_bfloat16,
)
from AutoVolumeCalibrationLib.core.detection.detector import detect
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "ColinScouts" / "dicom"


class Tolerant(torch.nn.Conv2d):
    float32_heads = True


def computed_in(network, device="cpu"):
    with inference_autocast(network, device):
        return network(torch.zeros(1, 4, 8, 8)).dtype


@pytest.fixture
def tolerant():
    return Tolerant(4, 1, 3)


@pytest.mark.parametrize("name", BFLOAT16_INSTRUCTIONS)
def test_a_processor_with_one_of_the_instructions_has_bfloat16(monkeypatch, name):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: True}, raising=False)
    assert processor_has_bfloat16()


@pytest.mark.parametrize("capabilities", [{}, {"avx2": True}, dict.fromkeys(BFLOAT16_INSTRUCTIONS, False)])
def test_any_other_processor_has_not(monkeypatch, capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert not processor_has_bfloat16()


def test_where_torch_cannot_tell_it_has_not(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not processor_has_bfloat16()


def test_a_tolerant_network_computes_in_bfloat16_where_the_processor_does(monkeypatch, tolerant):
    for answer, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(arithmetic, "processor_has_bfloat16", lambda answer=answer: answer)
        assert computed_in(tolerant) == expected
    assert tolerant(torch.zeros(1, 4, 8, 8)).dtype == torch.float32


def test_other_networks_and_devices_keep_to_float32(monkeypatch, tolerant):
    monkeypatch.setattr(arithmetic, "processor_has_bfloat16", lambda: True)
    assert computed_in(torch.nn.Conv2d(4, 1, 3)) == torch.float32
    assert computed_in(tolerant, "cuda") == torch.float32


def test_rounding_moves_the_peaks_of_the_sample_study_by_less_than_a_twentieth_of_a_millimetre(monkeypatch):
    stacks, model = read_scouts([SAMPLE]), load_model(device="cpu", backend="torch")
    stacks = [replace(stack, slices=stack.slices[1:4:2]) for stack in stacks]
    found = []
    for answer in (False, True):
        monkeypatch.setattr(arithmetic, "processor_has_bfloat16", lambda answer=answer: answer)
        found.append(detect(stacks, model))
    moved, peak_values = [], []
    for exact, rounded in zip(*found, strict=True):
        moved.append(np.linalg.norm(rounded.points_mm - exact.points_mm, axis=-1).ravel())
        peak_values.append(exact.peak_values.ravel())
    moved, peak_values = np.concatenate(moved), np.concatenate(peak_values)
    assert 0 < np.median(moved[peak_values > model.threshold]) < 0.05
    assert moved[peak_values > 0.8].max() < 0.1
