"""Guidance maps for networks with guidance in training."""

from __future__ import annotations

import numpy as np
import torch

from .targets import Targets


def given_maps(targets: Targets, fraction: float, seed: tuple[int, ...]) -> torch.Tensor | None:
    """(b, k, h, w) true maps of the landmarks given as guidance, zero for the others; None if none are given.

    A share ``fraction`` of the slices has some: of k landmarks 1, 2, 4, ... up to k / 2, each number equally likely,
    because a user who corrects starts with a few.
    """
    slices, landmarks = targets.known.shape
    rng = np.random.default_rng(seed)
    numbers = 2 ** rng.integers(0, max(1, int(np.log2(max(landmarks, 2)))), slices)
    numbers = np.where(rng.random(slices) < fraction, numbers, 0)
    if not numbers.any():
        return None
    ranks = rng.random((slices, landmarks)).argsort(axis=1).argsort(axis=1)
    given = torch.from_numpy(ranks < numbers[:, None]).to(targets.known.device) & targets.known
    return targets.heatmaps * given[..., None, None]


def taught_maps(targets: Targets, own: torch.Tensor, teacher_forcing: float, seed: tuple[int, ...]) -> torch.Tensor:
    """(b, k, h, w) the maps of earlier groups: per slice the true ones with probability ``teacher_forcing``, else the
    network's ``own``."""
    taught = np.random.default_rng(seed).random(len(own)) < teacher_forcing
    return torch.where(torch.from_numpy(taught).to(own.device)[:, None, None, None], targets.heatmaps, own)
