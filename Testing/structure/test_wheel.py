"""The wheel, tried outside the checkout: everything it needs is in it, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"
#: What a wheel is built from. It is built from a copy: setuptools leaves folders behind where it works.
SOURCES = ("AutoVolumeCalibration", "LandmarkTraining", "Resources", "docs/pypi.md", "pyproject.toml", "LICENSE.txt")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source, built, unpacked = folder / "source", folder / "built", folder / "unpacked"
    for name in SOURCES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(ROOT / name, source / name)
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    return unpacked


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def metadata(wheel: Path) -> Message:
    (path,) = wheel.glob("autovolume-*.dist-info/METADATA")
    return Parser().parsestr(path.read_text(encoding="utf-8"))


def run(wheel: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in ``folder``, with the unpacked wheel on its path and the checkout not."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def autovolume(wheel: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(wheel, folder, "-m", "AutoVolumeCalibrationLib.cli.main", *arguments)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("package", ["AutoVolumeCalibration", "LandmarkTraining"])
def test_every_python_file_of_the_packages_is_in_the_wheel(wheel, package):
    library = ROOT / package / f"{package}Lib"
    on_disk = {f"{library.name}/{path.relative_to(library).as_posix()}" for path in library.rglob("*.py")}
    assert on_disk - files(wheel) == set()


def test_the_wheel_has_resources_types_and_license_but_no_tests(wheel):
    shipped = files(wheel)
    assert {"AutoVolumeCalibrationLib/py.typed", "LandmarkTrainingLib/py.typed"} <= shipped
    for folder in ("Anatomies", "Models", "Page", "Protocols", "SampleData", "Schemas"):
        on_disk = {f"AutoVolumeCalibrationLib/Resources/{folder}/{name}" for name in files(ROOT / "Resources" / folder)}
        assert on_disk - shipped == set()
    assert any(name.endswith(".dist-info/licenses/LICENSE.txt") for name in shipped)
    top = {name.split("/")[0] for name in shipped if ".dist-info/" not in name}
    assert top == {"AutoVolumeCalibrationLib", "LandmarkTrainingLib"}


def test_the_metadata_name_the_license_in_spdx(wheel):
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"


def test_the_description_has_no_picture_and_no_relative_link(wheel):
    text = metadata(wheel).get_payload()
    assert "# AutoVolumeCalibration" in text
    assert "![" not in text
    assert "<img" not in text
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith("https://")] == []


def test_the_packages_come_from_the_wheel(wheel, tmp_path):
    code = "import AutoVolumeCalibrationLib as a, LandmarkTrainingLib as b; print(a.__file__, b.__file__, sep='\\n')"
    done = run(wheel, tmp_path, "-c", code)
    assert [Path(line).parents[1] for line in done.stdout.splitlines()] == [wheel, wheel]


def test_the_protocols_of_the_wheel_are_listed(wheel, tmp_path):
    done = autovolume(wheel, tmp_path, "protocols")
    assert done.returncode == 0, done.stderr
    assert "BrainAcPc" in done.stdout


def test_the_wheel_checks_scouts_with_its_own_model(wheel, tmp_path):
    scouts = shutil.copytree(SAMPLE, tmp_path / "scouts")
    done = autovolume(wheel, tmp_path, "check", str(scouts), "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "ready for review" in done.stdout
