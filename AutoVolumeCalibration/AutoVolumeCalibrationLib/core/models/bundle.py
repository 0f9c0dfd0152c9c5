"""Model bundles: a folder in MONAI's bundle layout, read as data and never as code.

MONAI's ``ConfigParser`` executes ``$`` expressions; this module does not use it. ``configs/metadata.json`` is
checked against a schema, the network is built from the registry, and the weights are read as
tensors only, after their size and SHA-256 have been compared with the metadata. The same network as an ONNX graph
is checked likewise (``onnx_file``).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..detection.backends.onnx_network import OnnxNetwork
from ..detection.backends.torch_network import prepare_for_inference
from ..detection.landmark_model import LandmarkModel
from ..detection.model_limits import limits_from_dict
from ..detection.network_input import IN_CHANNELS
from ..detection.peak_uncertainty import uncertainty_from_dict
from ..detection.sagittal_pairs import MIDDLE
from ..errors import ModelError
from ..files.json_files import read_json, require_schema
from ..files.regular_file import require_regular
from ..networks.registry import build_network, find_architecture
from ..planning.face_uncertainty import coverages_from_list
from ..planning.risk.features import FEATURES
from ..planning.risk.model import risk_from_dict
from .backend import choose_backend
from .onnx_file import read_graph
from .store import model_folder, model_folders
from .weights import load_tensors, read_tensors

if TYPE_CHECKING:
    import torch

    from ..detection.model_info import ModelInfo

#: Larger weight files are refused: nothing this project trains comes near.
LARGEST_WEIGHTS_BYTES = 2 * 1024**3

_REMEDY = "Get the bundle again or choose another model."


def list_models() -> list[dict[str, Any]]:
    """Metadata of the user's bundles and the shipped ones; ``name`` is the one to load each by."""
    return [{**read_metadata(folder), "name": name} for name, folder in model_folders().items()]


def model_used_before(info: ModelInfo | None) -> str | None:
    """The installed model that found a study's landmarks, by name; None, the default model, where it is not installed.

    Also None for a study planned by hand.
    """
    return info.name if info is not None and info.name in model_folders() else None


def is_guided(metadata: Mapping[str, Any]) -> bool:
    """Whether the model with this metadata takes the user's landmarks as guidance; ModelError: unknown network."""
    network = metadata["network"]
    return find_architecture(network["architecture"], network["options"]).guided


def load_model(name_or_folder: str | Path | None = None, device: str = "auto", backend: str = "auto") -> LandmarkModel:
    """A shipped bundle or one of the user's by its name, or the bundle in a folder, on a device.

    Args:
        name_or_folder: ``store.default_model_name()`` when None.
        device: "auto", "cpu", "cuda" or "mps", see ``backend.choose_backend``.
        backend: "auto", "torch" or "onnx", which runs the network.

    Raises:
        ModelError: unknown or damaged bundle, its hash does not match, or what would run it is not installed.
        UsageError: the device is not available, or not for this backend.
    """
    _share_processors()
    folder = model_folder(name_or_folder)
    metadata = read_metadata(folder)
    landmarks = metadata["landmarks"]
    names = tuple(entry["name"] for entry in landmarks)
    options = metadata["network"]["options"]
    architecture = find_architecture(metadata["network"]["architecture"], options)
    if options.get("out_channels") != len(names):
        raise ModelError("network and landmark list differ in number", source=str(folder), remedy=_REMEDY)
    if options.get("in_channels") != IN_CHANNELS:
        raise ModelError(f"the network does not take {IN_CHANNELS} channels", source=str(folder), remedy=_REMEDY)
    with _naming(folder):
        library, chosen = choose_backend(backend, device, why_without_graph(metadata))
    network: torch.nn.Module | OnnxNetwork
    stride = int(options.get("stem", 1))
    if library == "onnx":
        # Results name the model by its weights: a bundle whose weights are damaged is, whatever runs.
        _checked_weights(folder, metadata["weights"])
        graph = read_graph(folder, metadata["onnx"])
        network = OnnxNetwork(graph, metadata["name"], architecture.guided, len(names), stride)
    else:
        network = _network_without_memory(metadata["network"]["architecture"], options)
        tensors = read_weights(folder, metadata["weights"])
        load_tensors(network, tensors, (folder / metadata["weights"]["file"]).resolve(), _REMEDY)
        prepare_for_inference(network.eval().float()).to(chosen)
    return LandmarkModel(
        name=metadata["name"],
        sha256=metadata["weights"]["sha256"],
        network=network,
        device=chosen,
        names=names,
        mirror=_mirror_indices(landmarks, folder),
        pixel_mm=float(metadata["input"]["pixel_mm"]),
        output_stride=stride,
        sigma_mm=float(metadata["targets"]["sigma_mm"]),
        tau_mm=float(metadata["targets"]["tau_mm"]),
        sagittal_pairs=metadata["targets"].get("sagittal_pairs", MIDDLE),
        divisor=architecture.divisor(options),
        largest_size=int(metadata["input"]["largest_size"]),
        threshold=float(metadata["threshold"]),
        uncertainty=uncertainty_from_dict(metadata["uncertainty"], len(names), str(folder)),
        guided=architecture.guided,
        **_measured(metadata, folder),
    )


def why_without_graph(metadata: Mapping[str, Any]) -> str:
    """Why ONNX Runtime cannot run the bundle with this metadata, empty where it can."""
    entry = metadata.get("onnx")
    if entry is None:
        return "the bundle holds no ONNX graph"
    if "reason" in entry:
        return f"the network has no ONNX graph ({entry['reason']})"
    if entry["weights_sha256"] != metadata["weights"]["sha256"]:
        return "the ONNX graph in the bundle was exported from other weights"
    return ""


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Name the bundle in a ModelError that does not say which one it is about."""
    try:
        yield
    except ModelError as error:
        raise ModelError(error.what, source=error.source or str(folder), remedy=error.remedy) from error


def _measured(metadata: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What was measured on the model's plans; a bundle of an earlier version states no limits and no risk."""
    risk = metadata.get("risk")
    try:
        return {
            "coverage": coverages_from_list(metadata.get("coverage", ())),
            "limits": limits_from_dict(metadata.get("limits", {})),
            "risk": None if risk is None else risk_from_dict(risk, FEATURES),
        }
    except ValueError as error:
        raise ModelError(str(error), source=str(folder), remedy=_REMEDY) from error


def _share_processors() -> None:
    """Let waiting threads of torch sleep instead of spin, unless torch is loaded or the environment decides.

    On a machine with other load, spinning made a detection take 10.4 s instead of 0.7 s (2 cores).
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def read_metadata(folder: Path) -> dict[str, Any]:
    """The checked metadata of a bundle; ModelError where it is missing or does not fit the schema."""
    path = folder / "configs" / "metadata.json"
    metadata = read_json(path, ModelError, _REMEDY)
    require_schema(metadata, "model", path, ModelError, _REMEDY)
    return metadata


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _network_without_memory(architecture: str, options: Mapping[str, Any]) -> torch.nn.Module:
    """The network with shapes only: whatever widths a bundle names, it never takes more memory than its file's size."""
    import torch

    with torch.device("meta"):
        return build_network(architecture, options)


def read_weights(folder: Path, expected: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of a bundle's weight file, after its size and hash were compared; nothing in it is executed.

    Args:
        expected: ``weights`` of the metadata: the file's path in the bundle, and its SHA-256.

    Raises:
        ModelError: the file is missing, too large, of another hash, or damaged.
    """
    path = _checked_weights(folder, expected)
    try:
        return read_tensors(path, _REMEDY)
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise ModelError(reason, source=str(path), remedy=_REMEDY) from error


def _checked_weights(folder: Path, expected: Mapping[str, Any]) -> Path:
    """The weight file, after its size and hash were compared with ``expected``; ModelError where they differ."""
    path = (folder / expected["file"]).resolve()
    if folder.resolve() not in path.parents:
        raise ModelError(f"weight file {expected['file']} lies outside the bundle", source=str(folder), remedy=_REMEDY)
    require_regular(path, ModelError, _REMEDY, most_bytes=LARGEST_WEIGHTS_BYTES)
    try:
        found = sha256_of(path)
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise ModelError(reason, source=str(path), remedy=_REMEDY) from error
    if found != expected["sha256"]:
        raise ModelError("weights differ from the hash in metadata.json", source=str(path), remedy=_REMEDY)
    return path


def _mirror_indices(landmarks: list[Mapping[str, Any]], folder: Path) -> np.ndarray:
    index = {entry["name"]: i for i, entry in enumerate(landmarks)}
    partners = [entry.get("mirror") or entry["name"] for entry in landmarks]
    if len(index) < len(landmarks) or any(partner not in index for partner in partners):
        raise ModelError("landmark names repeat or name an unknown partner", source=str(folder), remedy=_REMEDY)
    mirror = np.array([index[partner] for partner in partners])
    if (mirror[mirror] != np.arange(len(mirror))).any():
        raise ModelError("left/right partners do not name each other", source=str(folder), remedy=_REMEDY)
    return mirror


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """The text of a metadata file."""
    return json.dumps(metadata, indent=2) + "\n"
