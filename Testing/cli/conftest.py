"""A way to call the command line, and finished calibrations to look at."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.cli.main import main
from AutoVolumeCalibrationLib.core.report import overview
from command_line import NRRD_SCOUTS, SAMPLE, Planned, Ran


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on a busy machine: threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def autovolume(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command in this process; what libraries write past Python's streams is seen too."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else in place of the overview, which takes longer than all the rest and has tests of its own."""
    monkeypatch.setattr(overview, "draw_overview", lambda calibration, path: path.write_bytes(b"picture"))


@pytest.fixture(scope="session")
def planned_dicom(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """The whole sample study, from its DICOM folder; to be left as it is."""
    return _planned(tmp_path_factory.mktemp("dicom") / "new" / "results", [SAMPLE / "dicom"])


@pytest.fixture(scope="session")
def planned_nrrd(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """The whole sample study, from its three image files; to be left as it is."""
    return _planned(tmp_path_factory.mktemp("nrrd") / "results", NRRD_SCOUTS)


@pytest.fixture(params=["dicom", "nrrd"])
def planned(request: pytest.FixtureRequest) -> Planned:
    """Each of the two."""
    return request.getfixturevalue(f"planned_{request.param}")


@pytest.fixture
def results(planned_dicom: Planned, tmp_path: Path) -> Path:
    """A copy of a result folder, to change."""
    return shutil.copytree(planned_dicom.folder, tmp_path / "results")


def _planned(folder: Path, scouts: list[Path]) -> Planned:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["calibrate", *map(str, scouts), "--output", str(folder), "--device", "cpu"])
    return Planned(Ran(code, out.getvalue(), err.getvalue()), folder)
