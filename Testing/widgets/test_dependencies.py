"""Packages are asked for when they are needed, and only those that are missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

MODULE_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def without(panel, monkeypatch):
    """Makes packages look as if they were not installed, until they are."""

    def hide(*names: str) -> None:
        find_spec, hidden = importlib.util.find_spec, set(names)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find_spec(name))
        panel.app.packaging.on_install = hidden.clear

    return hide


def test_where_everything_is_there_nothing_is_asked(planned):
    assert planned.app.packaging.requests == []
    assert not planned.ui.firstRunLabel.text


def test_the_first_run_tells_size_and_time_before_anything_is_installed(panel, without):
    without("torch", "monai", "onnxruntime")
    panel.load()
    assert "about 30 MB" in panel.ui.firstRunLabel.text
    assert "seconds" in panel.ui.firstRunLabel.text
    assert panel.app.packaging.requests == []
    panel.calibrate()
    assert panel.app.packaging.requests == [["onnxruntime>=1.16"]]


def test_a_graphics_card_asks_for_torch(panel, without):
    without("torch", "monai", "onnxruntime")
    panel.load()
    panel.ui.deviceComboBox.setCurrentIndex(panel.ui.deviceComboBox.findData("cuda"))
    panel.calibrate()
    assert panel.app.packaging.requests == [["torch>=2.2", "monai>=1.3"]]


def test_a_model_without_graph_asks_for_torch(panel, without, monkeypatch):
    from AutoVolumeCalibrationLib.core.models import bundle

    monkeypatch.setattr(bundle, "why_without_graph", lambda metadata: "the bundle holds no ONNX graph")
    without("torch", "monai", "onnxruntime")
    panel.load()
    panel.calibrate()
    assert panel.app.packaging.requests == [["torch>=2.2", "monai>=1.3"]]


def test_planning_by_hand_asks_for_no_network(panel, without):
    without("torch", "monai", "onnxruntime", "threadpoolctl")
    panel.load()
    panel.click(panel.ui.byHandButton)
    assert panel.app.packaging.requests == [["jsonschema>=4.18", "threadpoolctl>=3.1"]]
    assert panel.calibration is not None


def test_declining_is_a_cancel_and_no_error(panel, without, caplog):
    without("onnxruntime")
    panel.app.packaging.declined = True
    panel.load()
    panel.click(panel.ui.calibrateButton)
    assert not panel.panel.jobs.busy
    assert panel.calibration is None
    assert caplog.text == ""


def test_torch_comes_through_the_pytorch_extension_where_it_is_there(panel, without, monkeypatch):
    asked = []
    logic = SimpleNamespace(installTorch=lambda **options: asked.append(options))
    extension = SimpleNamespace(PyTorchUtilsLogic=lambda: logic, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    without("torch")
    panel.load()
    panel.ui.deviceComboBox.setCurrentIndex(panel.ui.deviceComboBox.findData("cuda"))
    panel.click(panel.ui.calibrateButton)
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.2"}]
    assert not panel.panel.jobs.busy  # declined: it gave no torch


def fail_with(error: BaseException):
    """In place of pip."""

    def pip() -> None:
        raise error

    return pip


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CalledProcessError(1, ["pip", "install"]), "pip ended with code 1"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
@pytest.mark.parametrize("button", ["calibrateButton", "byHandButton"])
def test_a_failed_installation_is_shown_with_a_remedy_and_the_button_works_again(
    panel, without, caplog, error, said, button
):
    without("onnxruntime", "jsonschema")
    panel.load()
    panel.app.packaging.on_install = fail_with(error)
    panel.click(getattr(panel.ui, button))
    text = panel.ui.statusLabel.text
    assert f"jsonschema>=4.18 cannot be installed ({said}" in text
    assert "Check the internet connection" in text
    assert 'PythonSlicer -m pip install "jsonschema>=4.18"' in text
    assert text in caplog.text
    assert not panel.panel.jobs.busy
    assert getattr(panel.ui, button).enabled


def test_a_package_that_cannot_be_loaded_after_its_installation_is_named(panel, without, monkeypatch):
    from AutoVolumeCalibrationLib.widgets.shared import dependencies

    def broken(name):
        raise OSError(f"lib{name}.so: cannot open shared object file")

    without("onnxruntime")
    monkeypatch.setattr(dependencies.importlib, "import_module", broken)
    panel.load()
    panel.click(panel.ui.calibrateButton)
    assert "onnxruntime cannot be loaded after its installation (libonnxruntime.so" in panel.ui.statusLabel.text
    assert "Start Slicer again." in panel.ui.statusLabel.text


def test_an_application_that_installs_nothing_says_what_is_missing(panel, without, monkeypatch):
    from AutoVolumeCalibrationLib.widgets.shared import dependencies

    def missing(name):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    without("onnxruntime")
    monkeypatch.setattr(dependencies.importlib, "import_module", missing)
    panel.load()
    panel.click(panel.ui.calibrateButton)
    said = "onnxruntime cannot be loaded after its installation (No module named 'onnxruntime')"
    assert said in panel.ui.statusLabel.text


def test_an_older_application_is_named_before_anything_is_read(panel, monkeypatch):
    from AutoVolumeCalibrationLib.widgets.shared import application_version

    monkeypatch.setattr(application_version, "version", lambda: (5, 10))
    panel.panel.update()
    for name in ("loadFolder", "loadFiles", "loadDicom", "calibrate", "byHand"):
        button = getattr(panel.ui, f"{name}Button")
        assert not button.enabled, name
        assert button.toolTip.startswith("This is Slicer 5.10, but Slicer 5.12 or later is needed"), name
    assert "5.12" in panel.ui.scoutsLabel.text


def test_an_old_pydicom_is_not_a_damaged_file(panel, monkeypatch, caplog):
    folder = MODULE_ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"
    monkeypatch.setitem(sys.modules, "pydicom.pixels", None)
    panel.app.dialogs.answer("QFileDialog.getExistingDirectory", str(folder))
    panel.ui.loadFolderButton.click()
    panel.wait()
    assert "Slicer 5.12" in panel.ui.statusLabel.text
    assert "damaged" not in panel.ui.statusLabel.text


def test_a_package_that_breaks_during_a_job_is_named(panel):
    def broken(*_arguments):
        raise ImportError("DLL load failed", name="torch")

    panel.panel.calibrate.find = broken
    panel.load()
    panel.calibrate()
    assert panel.ui.statusLabel.text.startswith("The Python package torch cannot be loaded (DLL load failed)")


def test_the_sample_scouts_are_offered_with_their_checksums(panel, monkeypatch):
    offered = []
    source = SimpleNamespace(registerCustomSampleDataSource=lambda **options: offered.append(options))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=source))
    (register,) = [call for call in slicer.app.startup if call.__name__ == "registerSampleData"]
    register()
    assert [options["sampleName"] for options in offered] == ["ColinScouts", "KneeScouts"]
    for options in offered:
        assert len(options["uris"]) == len(options["checksums"]) == len(options["nodeNames"]) == 3
        assert all(uri.startswith("file:///") for uri in options["uris"])
        assert all(len(checksum) == len("SHA256:") + 64 for checksum in options["checksums"])
        assert Path(options["thumbnailFileName"]).is_file()


def test_without_the_sample_data_module_nothing_is_offered(panel, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    for register in slicer.app.startup:
        register()
