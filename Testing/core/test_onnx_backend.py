"""Planning with ONNX Runtime: the same landmarks as with PyTorch, and without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.backends import onnx_network, torch_network
from AutoVolumeCalibrationLib.core.detection.backends.onnx_network import OnnxNetwork
from AutoVolumeCalibrationLib.core.detection.backends.running import run_network
from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models import backend
from AutoVolumeCalibrationLib.core.models.backend import choose_backend, gpu_may_exist
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.models.store import shipped_models
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: Runs the command line where importing torch or monai raises; prints the exit code.
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "monai"):
            raise ModuleNotFoundError(f"{name} is kept away", name=name)
sys.meta_path.insert(0, Absent())
from AutoVolumeCalibrationLib.cli.main import main
code = main(sys.argv[1:])
assert not {"torch", "monai"} & set(sys.modules)
sys.exit(code)
"""


@pytest.fixture
def float32(monkeypatch):
    """torch does not round to bfloat16, which moves low peaks by some tenths of a millimetre."""
    monkeypatch.setattr(torch_network, "processor_has_bfloat16", lambda: False)


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(resource_path("Models", "brain-scout"), tmp_path / "brain-scout")


def with_metadata(bundle, **changes):
    path = bundle / "configs" / "metadata.json"
    path.write_text(json.dumps({**read_metadata(bundle), **changes}), encoding="utf-8")
    return bundle


@pytest.mark.slow
def test_both_backends_find_the_same_landmarks(float32):
    stacks, protocol = read_scouts([SAMPLE]), load_protocol("BrainAcPc")
    by_torch, by_onnx = (calibrate(stacks, protocol, load_model(device="cpu", backend=b)) for b in ("torch", "onnx"))
    assert (by_torch.model.backend, by_onnx.model.backend) == ("torch", "onnx")
    assert by_torch.model.sha256 == by_onnx.model.sha256
    assert len(by_torch.landmarks) == 45
    for a, b in zip(by_torch.landmarks, by_onnx.landmarks, strict=True):
        assert (a.name, a.status) == (b.name, b.status)
        assert a.position_mm == pytest.approx(b.position_mm, abs=0.1)


@pytest.mark.parametrize("name", shipped_models())
def test_every_shipped_graph_gives_the_heatmaps_of_its_network(float32, name):
    by_torch, by_onnx = (load_model(name, "cpu", b) for b in ("torch", "onnx"))
    images = np.random.default_rng(1).uniform(-1, 1, (3, 4, 3 * by_torch.divisor, 2 * by_torch.divisor))
    known = None
    if by_torch.guided:
        known = np.zeros((3, 45, *(n // by_torch.output_stride for n in images.shape[2:])), np.float32)
        known[0, 3, 4, 5] = 1
    inputs = images.astype(np.float32), known
    expected = run_network(by_torch, *inputs)
    assert run_network(by_onnx, *inputs) == pytest.approx(expected, abs=1e-4 * float(np.abs(expected).max()))


@pytest.mark.slow
def test_a_plan_needs_neither_torch_nor_monai(tmp_path):
    command = [sys.executable, "-c", WITHOUT_TORCH, "calibrate", str(SAMPLE), "--output", str(tmp_path / "plan")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "plan" / "calibration.json").read_text(encoding="utf-8"))
    assert (saved["model"]["backend"], saved["model"]["device"]) == ("onnx", "cpu")
    assert (tmp_path / "plan" / "overview.png").exists()


@pytest.mark.slow
def test_without_torch_a_bundle_without_graph_is_refused_in_one_line(tmp_path, bundle):
    with_metadata(bundle, onnx={"reason": "PyTorch cannot export it"})
    command = [sys.executable, "-c", WITHOUT_TORCH, "check", str(SAMPLE), "--model", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 4
    (line,) = done.stderr.strip().splitlines()
    assert "PyTorch is not installed" in line and "PyTorch cannot export it" in line and "Install torch" in line


def test_the_model_names_what_runs_it():
    model = load_model(device="cpu", backend="onnx")
    assert (model.backend, model.device) == ("onnx", "cpu")
    with pytest.raises(UsageError, match="backend torch"):
        _ = model.torch_network
    assert load_model(device="cpu", backend="torch").backend == "torch"


def test_a_graph_of_other_weights_is_left_alone(bundle):
    onnx = read_metadata(bundle)["onnx"]
    with_metadata(bundle, onnx={**onnx, "weights_sha256": "0" * 64})
    assert load_model(bundle, "cpu").backend == "torch"
    with pytest.raises(ModelError, match="exported from other weights"):
        load_model(bundle, "cpu", "onnx")


def test_a_graph_whose_hash_differs_is_refused(bundle):
    with open(bundle / "models" / "model.onnx", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match=r"differs from the hash"):
        load_model(bundle, "cpu")
    assert load_model(bundle, "cpu", "torch").backend == "torch"


@pytest.fixture
def machine(monkeypatch):
    """A machine on which only the named packages are installed, with a graphics card or without."""

    def make(*installed, gpu=""):
        monkeypatch.setattr(backend, "_is_installed", lambda package: package in installed)
        monkeypatch.setattr(backend, "gpu_may_exist", lambda: bool(gpu))
        monkeypatch.setattr(backend, "choose_device", lambda name: (gpu or "cpu") if name == "auto" else name)

    return make


TORCH = ("torch", "monai")


@pytest.mark.parametrize(
    ("installed", "gpu", "backend", "device", "chosen"),
    [
        ((*TORCH, "onnxruntime"), "", "auto", "auto", ("onnx", "cpu")),
        ((*TORCH, "onnxruntime"), "", "auto", "cpu", ("onnx", "cpu")),
        ((*TORCH, "onnxruntime"), "cuda", "auto", "auto", ("torch", "cuda")),
        ((*TORCH, "onnxruntime"), "mps", "auto", "auto", ("torch", "mps")),
        ((*TORCH, "onnxruntime"), "cuda", "auto", "cpu", ("onnx", "cpu")),
        ((*TORCH, "onnxruntime"), "cuda", "onnx", "auto", ("onnx", "cpu")),
        ((*TORCH, "onnxruntime"), "", "torch", "auto", ("torch", "cpu")),
        ((*TORCH, "onnxruntime"), "cuda", "torch", "auto", ("torch", "cuda")),
        ((*TORCH, "onnxruntime"), "cuda", "auto", "cuda", ("torch", "cuda")),
        (TORCH, "", "auto", "auto", ("torch", "cpu")),
        (("onnxruntime",), "cuda", "auto", "auto", ("onnx", "cpu")),
        (("onnxruntime", "torch"), "cuda", "auto", "auto", ("onnx", "cpu")),
    ],
)
def test_the_backend_that_is_chosen(machine, installed, gpu, backend, device, chosen):
    machine(*installed, gpu=gpu)
    assert choose_backend(backend, device, "") == chosen


def test_a_bundle_without_graph_runs_on_torch(machine):
    machine(*TORCH, "onnxruntime")
    assert choose_backend("auto", "auto", "the bundle holds no ONNX graph") == ("torch", "cpu")


@pytest.mark.parametrize(
    ("installed", "backend", "device", "without_graph", "error", "text"),
    [
        (("onnxruntime",), "torch", "auto", "", ModelError, "PyTorch or MONAI is not installed"),
        (("onnxruntime",), "auto", "cuda", "", ModelError, "PyTorch or MONAI is not installed"),
        (TORCH, "onnx", "auto", "", ModelError, "ONNX Runtime is not installed"),
        ((), "auto", "auto", "", ModelError, "and ONNX Runtime is not installed"),
        (("onnxruntime",), "auto", "auto", "no graph", ModelError, "not installed, and no graph"),
        (("onnxruntime",), "onnx", "auto", "no graph", ModelError, "no graph"),
        (("onnxruntime",), "onnx", "cuda", "", UsageError, "computes on the processor"),
        (("onnxruntime",), "tensorflow", "auto", "", UsageError, "unknown backend"),
        (("onnxruntime",), "auto", "tpu", "", UsageError, "unknown device"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_remedy(machine, installed, backend, device, without_graph, error, text):
    machine(*installed)
    with pytest.raises(error, match=text) as refused:
        choose_backend(backend, device, without_graph)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("system", "machine", "files", "expected"),
    [
        ("linux", "x86_64", (), False),
        ("linux", "x86_64", ("/dev/nvidiactl",), True),
        ("linux", "x86_64", ("/dev/dxg",), True),
        ("linux", "x86_64", ("/dev/kfd",), True),
        ("darwin", "arm64", (), True),
        ("darwin", "x86_64", (), False),
        ("win32", "AMD64", (), False),
        ("win32", "AMD64", ("nvcuda.dll",), True),
    ],
)
def test_a_graphics_card_is_suspected_without_importing_torch(monkeypatch, system, machine, files, expected):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(backend.platform, "machine", lambda: machine)
    monkeypatch.setattr(backend.os.path, "exists", lambda path: any(str(path).endswith(file) for file in files))
    assert gpu_may_exist() is expected


@pytest.mark.parametrize(
    ("wished", "allowed", "present", "expected"),
    [("", 8, 8, 0), ("", 2, 8, 2), ("3", 8, 8, 3), ("0", 8, 8, 0), ("many", 8, 8, 0)],
)
def test_threads_follow_the_environment_and_the_processors_allowed(wished, allowed, present, expected):
    assert onnx_network._threads(wished, allowed, present) == expected


def test_a_damaged_graph_is_refused():
    with pytest.raises(ModelError, match="cannot be loaded"):
        OnnxNetwork(b"no graph", "tiny", False, 3, 2)


def test_damaged_weights_are_refused_though_the_graph_is_whole(bundle):
    with open(bundle / "models" / "model.pt", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="weights differ from the hash"):
        load_model(bundle, "cpu", "onnx")


def test_no_report_of_use_is_prepared(tmp_path):
    """ONNX Runtime keeps the number of the session that its reports name in the temporary folder."""
    script = "from AutoVolumeCalibrationLib.core.models.bundle import load_model; load_model(backend='onnx')"
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(root / "AutoVolumeCalibration")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=100)
    assert list(tmp_path.iterdir()) == []
