"""Which library runs a network, and on which device."""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec

from ..errors import ModelError, UsageError

#: What ``--backend`` takes.
BACKENDS = ("auto", "torch", "onnx")

#: What ``--device`` takes.
DEVICES = ("auto", "cpu", "cuda", "mps")

#: Present where a graphics card that torch can use has a driver: NVIDIA (also Jetson, and in WSL), AMD.
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/nvmap", "/dev/dxg", "/dev/kfd")


def choose_backend(backend: str, device: str, without_graph: str) -> tuple[str, str]:
    """("torch" or "onnx", device) for the user's choices.

    "auto" is torch where it is installed and sees a graphics card, or where a card is asked for; else ONNX Runtime;
    else torch on the processor. On a machine without a card torch is not even imported to find that out.

    Args:
        backend: one of BACKENDS.
        device: one of DEVICES.
        without_graph: why the bundle has no ONNX graph to run, empty where it has one.

    Raises:
        ModelError: what the choice needs is not installed or not in the bundle.
        UsageError: unknown backend or device, a device that is not available, or a card for ONNX Runtime.
    """
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}", remedy=f"Choose one of: {', '.join(BACKENDS)}.")
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}", remedy=f"Choose one of: {', '.join(DEVICES)}.")
    if backend == "onnx":
        return "onnx", _device_of_onnx(device, without_graph)
    if backend == "torch" or device in ("cuda", "mps"):
        return "torch", _device_of_torch(device)
    if device == "auto" and _may_see_gpu() and choose_device("auto") != "cpu":
        return "torch", choose_device("auto")
    if not without_graph and _is_installed("onnxruntime"):
        return "onnx", "cpu"
    if not _has_torch():
        reason = without_graph or "ONNX Runtime is not installed"
        raise ModelError(f"PyTorch is not installed, and {reason}", remedy="Install torch and monai.")
    return "torch", _device_of_torch(device)


def choose_device(name: str) -> str:
    """The torch device for "auto" (CUDA, else MPS, else CPU) or the named one; UsageError where it is not available."""
    if name not in DEVICES:
        raise UsageError(f"unknown device {name!r}", remedy=f"Choose one of: {', '.join(DEVICES)}.")
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available[name]:
        raise UsageError(f"device {name} is not available on this machine", remedy="Choose device auto or cpu.")
    return name


def _device_of_onnx(device: str, without_graph: str) -> str:
    if device not in ("auto", "cpu"):
        raise UsageError("ONNX Runtime computes on the processor", remedy="Choose device cpu, or backend torch.")
    if not _is_installed("onnxruntime"):
        raise ModelError("ONNX Runtime is not installed", remedy="Install onnxruntime, or choose backend torch.")
    if without_graph:
        raise ModelError(without_graph, remedy="Choose backend torch, or add the graph to the bundle.")
    return "cpu"


def _device_of_torch(device: str) -> str:
    if not _has_torch():
        raise ModelError(
            "PyTorch or MONAI is not installed", remedy="Install torch and monai, or leave backend and device at auto."
        )
    return choose_device(device)


def _may_see_gpu() -> bool:
    """False where torch is missing or certainly finds no graphics card: answered without importing it."""
    return _has_torch() and gpu_may_exist()


def gpu_may_exist() -> bool:
    """Whether this machine has the driver of a graphics card that torch can use; True where it cannot be known."""
    if "torch" in sys.modules:
        return True
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return os.path.exists(os.path.join(os.environ.get("SYSTEMROOT", "C:\\Windows"), "System32", "nvcuda.dll"))
    return any(map(os.path.exists, _GPU_FILES))


def _has_torch() -> bool:
    return _is_installed("torch") and _is_installed("monai")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # something keeps it away, or half of it is loaded
        return False
