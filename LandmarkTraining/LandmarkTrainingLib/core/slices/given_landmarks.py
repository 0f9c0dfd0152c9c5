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


def taught_slices(slices: int, teacher_forcing: float, seed: tuple[int, ...]) -> torch.Tensor:
    """(slices,) bool: which show later groups the true maps of earlier ones, with probability ``teacher_forcing``.

    The later groups of the other slices see the network's own maps.
    """
    return torch.from_numpy(np.random.default_rng(seed).random(slices) < teacher_forcing)
