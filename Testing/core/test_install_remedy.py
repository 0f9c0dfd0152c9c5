"""The command that an error about a missing package names."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from AutoVolumeCalibrationLib.core import install_remedy as module
from AutoVolumeCalibrationLib.core.install_remedy import install_remedy


@pytest.fixture
def not_installed(monkeypatch):
    """As in Slicer, where the code lies in a module's folder."""

    def distribution(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", distribution)


def test_the_command_is_that_of_the_python_that_runs(monkeypatch):
    monkeypatch.setattr(module, "distribution", lambda name: name)
    assert install_remedy("trame", "browser") == f'Install it: {sys.executable} -m pip install "autovolume[browser]".'
    monkeypatch.setattr(sys, "executable", "/a folder/python")
    assert install_remedy("optuna") == 'Install it: "/a folder/python" -m pip install "optuna".'


def test_an_extra_of_what_is_not_installed_is_not_asked_of_the_index(not_installed):
    assert install_remedy("highdicom", "dicom").endswith('-m pip install "highdicom".')


def test_the_command_can_be_typed():
    command = install_remedy("numpy").removeprefix("Install it: ").removesuffix(".")
    done = subprocess.run(f"{command} --no-deps --no-index", shell=True, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "already satisfied" in done.stdout
