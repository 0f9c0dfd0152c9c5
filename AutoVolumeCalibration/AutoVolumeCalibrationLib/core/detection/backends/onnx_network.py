"""Run a network with ONNX Runtime on the processor."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ModelError

_logger = logging.getLogger(__name__)

#: Names in the graphs that ``export-onnx`` writes: the slices, the guidance of a guided network, the heatmaps.
IMAGE, KNOWN, HEATMAPS = "image", "known", "heatmaps"

_REMEDY = "Choose the backend torch, or export the graph again."

#: What ONNX Runtime prints is for its developers; its errors are raised as well.
_PRINT_NOTHING = 4


class OnnxNetwork:
    """A graph in ONNX Runtime.

    Args:
        graph: the bytes of a checked file, see ``core/models/onnx_file.py``.
        name: of the model, for messages.
        guided: whether the graph takes guidance as its second input.
        landmarks, stride: k heatmaps per slice, ``stride`` times coarser than the slice.

    Raises:
        ModelError: the graph is damaged or has other inputs and outputs.
    """

    def __init__(self, graph: bytes, name: str, guided: bool, landmarks: int, stride: int) -> None:
        self.name, self.guided, self.landmarks, self.stride = name, guided, landmarks, stride
        self._session = _open(graph, name)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        names = [each.name for each in inputs], [each.name for each in outputs]
        if names != ([IMAGE, KNOWN] if guided else [IMAGE], [HEATMAPS]):
            raise ModelError("the ONNX graph has other inputs or outputs", source=name, remedy=_REMEDY)

    def run(self, images: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """(n, k, h, w) float32 heatmaps of ``images`` (n, 4, H, W), with guidance ``known`` (n, k, h, w) or without.

        Raises:
            ModelError: the graph cannot be run, or gives something other than such heatmaps.
        """
        size = (len(images), self.landmarks, *(n // self.stride for n in images.shape[2:]))
        inputs = {IMAGE: images}
        if self.guided:  # zeros stand for landmarks that are not known
            inputs[KNOWN] = np.zeros(size, np.float32) if known is None else known
        try:
            (heatmaps,) = self._session.run([HEATMAPS], inputs)
        except Exception as error:  # ONNX Runtime's errors have no common base of their own
            _logger.debug("%s fails", self.name, exc_info=error)
            raise ModelError(
                f"the ONNX graph fails ({_first_line(error)})", source=self.name, remedy=_REMEDY
            ) from error
        if heatmaps.shape != size or heatmaps.dtype != np.float32:
            raise ModelError("the ONNX graph gives no heatmaps", source=self.name, remedy=_REMEDY)
        return heatmaps


def _open(graph: bytes, name: str) -> Any:
    # Version 1.32 prepares reports of use for its maker while it is imported: later is too late to refuse.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.set_default_logger_severity(_PRINT_NOTHING)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _PRINT_NOTHING
    options.intra_op_num_threads = _threads(os.environ.get("OMP_NUM_THREADS", ""), _processors(), os.cpu_count() or 1)
    # Waiting threads sleep: spinning takes the processor from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # likewise
        _logger.debug("%s cannot be loaded", name, exc_info=error)
        raise ModelError(
            f"the ONNX graph cannot be loaded ({_first_line(error)})", source=name, remedy=_REMEDY
        ) from error


def _threads(wished: str, allowed: int, present: int) -> int:
    """Threads of a session; 0 leaves the number to ONNX Runtime, which counts the machine's cores.

    Args:
        wished: OMP_NUM_THREADS, which ONNX Runtime itself does not read.
        allowed: processors that this process may use; present: of the machine.
    """
    if wished.isdecimal() and int(wished):
        return int(wished)
    return allowed if allowed < present else 0


def _processors() -> int:
    """Processors that this process may use."""
    affinity: Sequence[int] | set[int] = getattr(os, "sched_getaffinity", lambda _process: ())(0)
    return len(affinity) or os.cpu_count() or 1


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
