"""Bundles with weights of their own, and comparisons that say how good they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from AutoVolumeCalibrationLib.core.models.bundle import read_metadata, sha256_of
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, shipped_models
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.experiments.comparison_report import write_comparison
from LandmarkTrainingLib.core.experiments.model_comparison import ComparedModel, ComparisonData, compare_models


def bundle(folder: Path, change: float = 1.0, name: str = "knee model 2") -> Path:
    """The shipped bundle with other weights."""
    shutil.copytree(shipped_models()[DEFAULT_MODEL], folder)
    weights = folder / "models" / "model.pt"
    state = torch.load(weights, weights_only=True)
    first = next(iter(state))
    torch.save({**state, first: state[first] + change}, weights)
    metadata = read_metadata(folder)
    metadata["name"], metadata["weights"]["sha256"] = name, sha256_of(weights)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder


def sha_of(folder: Path) -> str:
    """Hash of a bundle's weights."""
    return read_metadata(folder)["weights"]["sha256"]


def comparison(
    place: Path, new: Path, old: Path | None = None, turn_deg: float = 1.0, people: int = 8, box: bool = True
) -> Path:
    """A comparison of a bundle, whose boxes are turned by about ``turn_deg``, with the old one, turned by 2 deg.

    Each person has one study; without ``box`` its true box is unknown.
    """
    old = old or shipped_models()[DEFAULT_MODEL]
    models = [ComparedModel("old", "current", sha_of(old)), ComparedModel("new", str(new), sha_of(new))]
    cases = [
        CaseResult(f"s{i}", 0, "study", model, box=_turned(deg) if box else None, in_plane_mm={"axial": {"AC": [1.0]}})
        for i in range(people)
        for model, deg in (("old", 2.0 + i / 10), ("new", turn_deg + i / 20))
    ]
    data = ComparisonData("dataset", "set", "c" * 64, {f"s{i}": f"s{i}" for i in range(people)})
    place.mkdir(parents=True, exist_ok=True)
    return write_comparison(place, compare_models(models, cases, data, "BrainAcPc", "brain"))


def _turned(deg: float) -> BoxErrors:
    return BoxErrors((deg, 0.0, 0.0), deg, 1.0, (1.0,) * 6, 0.9)
