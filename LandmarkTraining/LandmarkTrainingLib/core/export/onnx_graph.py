"""Add the ONNX graph of its network to a bundle, so that planning needs neither PyTorch nor MONAI."""

from __future__ import annotations

import hashlib
import inspect
import io
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.backends.onnx_network import HEATMAPS, IMAGE, KNOWN, OnnxNetwork
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path, write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.models.onnx_file import reason_to_refuse

logger = logging.getLogger(__name__)

FILE = "models/model.onnx"

#: Version of ONNX's operators: every ONNX Runtime since 1.12 has it.
OPSET = 17

#: Heatmaps of both may differ by this part of the highest value: a hundred times the rounding of float32.
TOLERANCE = 1e-4

#: What an export needs besides torch.
PACKAGES = ("onnx", "onnxruntime")


def missing_packages() -> list[str]:
    """Those of PACKAGES that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def add_graph(folder: Path) -> str:
    """Write ``models/model.onnx`` into a bundle, and its hash into the metadata; the weights stay.

    Some networks cannot be exported: then the metadata says why, and the bundle goes on needing PyTorch.

    Returns:
        Why there is no graph, empty where there is one.

    Raises:
        ModelError: the folder holds no bundle, or a damaged one.
    """
    model, metadata = load_model(folder, "cpu", "torch"), read_metadata(folder)
    try:
        graph = _checked_graph(model)
    except _NotExported as error:
        metadata["onnx"] = {"reason": str(error)}
        (folder / FILE).unlink(missing_ok=True)
    else:
        with atomic_path(folder / FILE) as temporary:
            temporary.write_bytes(graph)
        sha256 = hashlib.sha256(graph).hexdigest()
        metadata["onnx"] = {"file": FILE, "sha256": sha256, "weights_sha256": metadata["weights"]["sha256"]}
    write_text(folder / "configs" / "metadata.json", json_text(metadata))
    return metadata["onnx"].get("reason", "")


class _NotExported(Exception):
    """Why a network has no graph."""


def _checked_graph(model: LandmarkModel) -> bytes:
    """The graph, which gives the same heatmaps as the network also for another size and number of slices."""
    try:
        graph = _exported(model)
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        logger.debug("%s cannot be exported", model.name, exc_info=error)
        raise _NotExported("PyTorch cannot export it") from error
    if reason := reason_to_refuse(graph):
        raise _NotExported(f"the graph {reason}")
    example = _example(model, 3, 3, 2)
    for known in example[1:]:
        known[0, 0, 1, 1] = 1.0  # the first landmark guides on the first slice
    try:
        session = OnnxNetwork(graph, model.name, model.guided, len(model.names), model.output_stride)
        found = session.run(*example)
    except ModelError as error:
        logger.debug("%s", error)
        raise _NotExported("ONNX Runtime cannot run the graph for every size") from error
    with torch.inference_mode():
        expected = model.torch_network(*map(torch.from_numpy, example)).numpy()
    if not np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max():
        raise _NotExported("the graph gives other heatmaps")
    return graph


def _example(model: LandmarkModel, slices: int, rows: int, columns: int) -> list[np.ndarray]:
    """The inputs for random ``slices`` of so many of the network's blocks; a guided network has a second input."""
    height, width = rows * model.divisor, columns * model.divisor
    images = np.random.default_rng(0).uniform(-1, 1, (slices, IN_CHANNELS, height, width)).astype(np.float32)
    if not model.guided:
        return [images]
    size = (slices, len(model.names), height // model.output_stride, width // model.output_stride)
    return [images, np.zeros(size, np.float32)]


def _exported(model: LandmarkModel) -> bytes:
    """The bytes of the graph; what torch raises where it cannot export passes."""
    names = [IMAGE, KNOWN] if model.guided else [IMAGE]
    axes = {name: {0: "slices", 2: f"{name} rows", 3: f"{name} columns"} for name in (*names, HEATMAPS)}
    options: dict[str, Any] = {"opset_version": OPSET, "input_names": names, "output_names": [HEATMAPS]}
    # The exporter that traces. torch before 2.5 has no other; the newer one needs one more package.
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    file = io.BytesIO()
    inputs = tuple(map(torch.from_numpy, _example(model, 2, 1, 2)))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # torch's annotations leave out that it writes into buffers too.
        torch.onnx.export(model.torch_network, inputs, file, dynamic_axes=axes, **options)  # type: ignore[arg-type]
    return file.getvalue()
