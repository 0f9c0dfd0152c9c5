"""Networks that are told where some landmarks are: made by hand, and the shipped model as a guided bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from AutoVolumeCalibrationLib.core.models.bundle import read_metadata, read_weights, sha256_of
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, shipped_models
from AutoVolumeCalibrationLib.core.networks.architectures.landmark_groups import fill_in, given_landmarks
from AutoVolumeCalibrationLib.core.networks.registry import build_network
from fake_models import STEM, KnowingNetwork


class Believer(torch.nn.Module):
    """Answers with what it is told and nothing else.

    Attributes:
        told: the maps of each call, None where it was called without.
    """

    def __init__(self, landmarks: int) -> None:
        super().__init__()
        self.landmarks, self.told = landmarks, []

    def forward(self, batch: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        self.told.append(known)
        return (
            torch.zeros(len(batch), self.landmarks, *(n // STEM for n in batch.shape[-2:])) if known is None else known
        )


class FollowingNetwork(KnowingNetwork):
    """Sees everything two heatmap pixels too far along rows and columns where it is told of nothing on the slice."""

    def forward(self, batch: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        right = super().forward(batch)
        wrong = right.roll((2, 2), (2, 3))
        if known is None:
            return wrong
        told = given_landmarks(known).any(dim=1)[:, None, None, None]
        return fill_in(torch.where(told, right, wrong), known)


def guided_bundle(folder: Path) -> Path:
    """The shipped model in a network that can be told of landmarks; what it is told changes none of the others."""
    shipped = shipped_models()[DEFAULT_MODEL]
    shutil.copytree(shipped, folder)
    metadata = read_metadata(folder)
    inner = dict(metadata["network"]["options"])
    given = {name: inner.pop(name) for name in ("in_channels", "out_channels", "stem")}
    options = {**given, "inner": "unet_plus_plus", "inner_options": inner, "group_size": given["out_channels"]}
    plain = read_weights(shipped, metadata["weights"])
    weights = build_network("iterative", options).state_dict()
    for name, tensor in weights.items():
        known = plain[name.removeprefix("network.")]
        # The image's channels come first, and the filters of the maps behind them are zero.
        whole = torch.zeros_like(tensor)
        whole[tuple(slice(n) for n in known.shape)] = known
        weights[name] = whole
    torch.save(weights, folder / "models" / "model.pt")
    metadata["name"], metadata["network"] = folder.name, {"architecture": "iterative", "options": options}
    metadata["weights"] = {"file": "models/model.pt", "sha256": sha256_of(folder / "models" / "model.pt")}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder
