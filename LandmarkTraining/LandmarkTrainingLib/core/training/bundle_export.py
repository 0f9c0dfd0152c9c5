"""Write a trained network as a MONAI bundle that AutoVolumeCalibration can load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from AutoVolumeCalibrationLib import __version__
from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.detection.model_limits import ModelLimits
from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS, LARGEST_SIZE
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import PeakUncertainty
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata, sha256_of
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import Coverage
from AutoVolumeCalibrationLib.core.planning.risk.model import RiskModel

from ..config import TrainingConfig
from ..export.bundle_facts import EVIDENCE, UNMEASURED, measured_on
from ..runs.checkpoints import save_checkpoint
from ..simulator.slice_planes import SliceSettings
from ..slices.targets import slice_settings
from .learner import network_options

#: A lower peak means that the landmark is absent. Of the bundled network's peaks on simulated slices of unseen
#: heads, 85 % of those more than 30 mm from their landmark stay below, and 99 % of those within 8 mm reach it.
DEFAULT_THRESHOLD = 0.2


def export_bundle(
    folder: Path,
    network: torch.nn.Module,
    config: TrainingConfig,
    constellation: Constellation,
    uncertainty: PeakUncertainty,
    facts: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Write ``folder``: weights, metadata, inference and training configuration.

    Model card (docs/README.md), docs/data_license.txt and LICENSE are texts for users; existing ones are kept.

    Args:
        facts: more metadata, kept as it is (what the network was trained on, ``export.bundle_facts.anatomy_facts``). Of
            ``export.bundle_facts.EVIDENCE`` what was measured, the rest is stated as assumed.

    Raises:
        UsageError: the folder holds a bundle and ``overwrite`` is False.
    """
    metadata_path = folder / "configs" / "metadata.json"
    if metadata_path.exists() and not overwrite:
        raise UsageError(
            "holds a bundle already", source=str(folder), remedy="Allow overwriting, or choose another folder."
        )
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    weights = folder / "models" / "model.pt"
    save_checkpoint(weights, {key: value.contiguous() for key, value in network.state_dict().items()})
    metadata = _metadata(config, constellation, uncertainty, facts, sha256_of(weights))
    write_text(folder / "configs" / "inference.json", json_text(_inference(metadata)))
    write_text(folder / "configs" / "train.json", json_text(_training(config)))
    write_text(metadata_path, json_text(metadata))


def record_measurement(folder: Path, measured: Mapping[str, Any]) -> None:
    """Put measured errors into a bundle's metadata; the weights and their hash stay.

    Raises:
        ModelError: the folder holds no bundle.
    """
    metadata = {**read_metadata(folder), "measured": dict(measured)}
    write_text(folder / "configs" / "metadata.json", json_text(metadata))


def record_coverage(folder: Path, measured: Coverage) -> None:
    """Put the factors of one box into a bundle's metadata, in place of earlier ones for such a box.

    Raises:
        ModelError: the folder holds no bundle.
    """
    metadata = read_metadata(folder)
    others = [entry for entry in metadata.get("coverage", ()) if entry["rule"] != measured.rule]
    metadata = {**metadata, "coverage": [*others, measured.to_dict()]}
    metadata[EVIDENCE] = {**metadata.get(EVIDENCE, {}), "coverage": measured_on(measured.heads, "people")}
    write_text(folder / "configs" / "metadata.json", json_text(metadata))


def record_risk(folder: Path, measured: RiskModel, limits: ModelLimits, weights_sha256: str) -> None:
    """Put the measured risk and limits into the metadata of the bundle with those weights, in place of earlier ones.

    Raises:
        ModelError: the folder holds no bundle.
        UsageError: the risk is that of other weights.
    """
    metadata = read_metadata(folder)
    if metadata["weights"]["sha256"] != weights_sha256:
        raise UsageError(
            "holds other weights than those that the risk was measured with",
            source=str(folder),
            remedy="Name the same bundle as model and as the one to record it in.",
        )
    evidence = {**metadata.get(EVIDENCE, {}), "limits": measured_on(int(measured.facts.get("people", 0)), "people")}
    metadata = {**metadata, "limits": limits.to_dict(), "risk": measured.to_dict(), EVIDENCE: evidence}
    write_text(folder / "configs" / "metadata.json", json_text(metadata))


def _metadata(
    config: TrainingConfig,
    constellation: Constellation,
    uncertainty: PeakUncertainty,
    facts: Mapping[str, Any],
    sha256: str,
) -> dict[str, Any]:
    import monai
    import numpy

    slices, landmarks = slice_settings(config), constellation.landmarks
    options = network_options(config, len(landmarks))
    return {
        "format": "AutoVolumeCalibration/model/1",
        "name": config.name,
        "title": f"Landmarks on scout slices ({config.architecture})",
        "version": __version__,
        "changelog": {__version__: "first release"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": numpy.__version__,
        "required_packages_version": {},
        "task": "Anatomical landmark localisation on 2D MRI scout slices",
        "description": "One heatmap per landmark on each slice of a three-plane scout.",
        "authors": "AutoVolumeCalibration contributors",
        "copyright": "AutoVolumeCalibration contributors",
        "intended_use": "Research use only. Not for clinical decisions.",
        "network": {"architecture": config.architecture, "options": options},
        "landmarks": [{"name": each.name, "mirror": each.mirror} for each in landmarks],
        "input": {
            "pixel_mm": slices.pixel_mm,
            "image_size": slices.matrix,
            "largest_size": LARGEST_SIZE,
            "planes": ["sagittal", "coronal", "axial"],
            "normalisation": "percentiles 1 and 99.5 to 0 and 1, capped at 1.2, then 2 x - 1",
        },
        "targets": {
            "sigma_mm": config.sigma_mm,
            "tau_mm": config.tau_mm,
            "sagittal_pairs": config.sagittal_pairs,
        },
        "threshold": DEFAULT_THRESHOLD,
        "limits": ModelLimits().to_dict(),
        "uncertainty": uncertainty.to_dict(),
        "weights": {"file": "models/model.pt", "sha256": sha256},
        "network_data_format": _data_format(slices, len(landmarks), options.get("stem", 1)),
        **facts,
        EVIDENCE: {**UNMEASURED, **facts.get(EVIDENCE, {})},
    }


def _data_format(slices: SliceSettings, landmarks: int, stem: int) -> dict[str, Any]:
    """MONAI's description of input and output, which ``verify_net_in_out`` checks."""
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": IN_CHANNELS,
        "spatial_shape": [slices.matrix, slices.matrix],
        "dtype": "float32",
        "value_range": [-1, 1.4],
        "is_patch_data": False,
        "channel_def": {"0": "slice", "1": "is sagittal", "2": "is coronal", "3": "is axial"},
    }
    heatmaps = {
        "type": "image",
        "format": "heatmap",
        "num_channels": landmarks,
        "spatial_shape": [slices.matrix // stem, slices.matrix // stem],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {},
    }
    return {"inputs": {"image": image}, "outputs": {"pred": heatmaps}}


def _inference(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """``python -m monai.bundle run --config_file configs/inference.json --scouts FOLDER`` calibrates a study."""
    return {
        "imports": ["$from AutoVolumeCalibrationLib.cli.main import main_or_exit"],
        "bundle_root": ".",
        "scouts": "scouts",
        "output_dir": "output",
        "network_def": {
            "_target_": "AutoVolumeCalibrationLib.core.networks.build_network",
            "name": metadata["network"]["architecture"],
            "options": metadata["network"]["options"],
        },
        "run": ["$main_or_exit(['calibrate', @scouts, '--output', @output_dir, '--model', @bundle_root])"],
    }


def _training(config: TrainingConfig) -> dict[str, Any]:
    """``python -m monai.bundle run --config_file configs/train.json --labels FOLDER`` trains the same network again."""
    return {
        "imports": ["$from AutoVolumeCalibrationLib.cli.main import main_or_exit"],
        "labels": "labels",
        "run_dir": "run",
        "config_file": "configs/train.json",
        "training": json.loads(json.dumps(asdict(config))),
        "run": ["$main_or_exit(['train', '--labels', @labels, '--output', @run_dir, '--config', @config_file])"],
    }
