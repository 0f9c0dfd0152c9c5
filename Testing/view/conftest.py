"""A plan of the sample study that each test may change."""

from __future__ import annotations

import shutil

import pytest

from AutoVolumeCalibrationLib.api import calibrate, load_model, load_protocol, read_scouts
from command_line import SAMPLE


@pytest.fixture(scope="session")
def sample_plan():
    return calibrate(read_scouts([SAMPLE / "dicom"]), load_protocol("BrainAcPc"), load_model(device="cpu"))


@pytest.fixture(scope="session")
def saved_sample(sample_plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "plan"
    sample_plan.save(folder, sources=[SAMPLE / "dicom"])
    return folder


@pytest.fixture
def plan_folder(saved_sample, tmp_path):
    """A result folder of its own."""
    return shutil.copytree(saved_sample, tmp_path / "plan")
