"""Landmarks found one group after another: their order, and which of them are known beforehand.

Shared by the networks that are flagged ``guided`` in the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


def landmark_groups(landmarks: int, group_size: int, order: Sequence[int] | None = None) -> list[list[int]]:
    """Landmark indices in groups of ``group_size`` (the last one may be smaller), by default as they are numbered.

    Raises:
        ValueError: ``order`` does not name each of the landmarks once.
    """
    sequence = list(range(landmarks)) if order is None else list(order)
    if sorted(sequence) != list(range(landmarks)):
        raise ValueError(f"order does not name each of the {landmarks} landmarks once")
    return [sequence[start : start + group_size] for start in range(0, landmarks, group_size)]


def given_landmarks(known: torch.Tensor) -> torch.Tensor:
    """(B, k) bool: which of the maps (B, k, h, w) contain a landmark; a map of zeros means not known."""
    return known.flatten(2).ne(0).any(dim=2)


def fill_in(maps: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
    """``maps`` (B, k, h, w) with those that ``known`` (the same shape) contains replaced by them."""
    if known is None:
        return maps
    return torch.where(given_landmarks(known)[:, :, None, None], known, maps)


def find_in_turn(
    answer: Callable[[torch.Tensor], torch.Tensor],
    groups: Sequence[Sequence[int]],
    nothing: torch.Tensor,
    known: torch.Tensor | None,
    truth: torch.Tensor | None = None,
) -> torch.Tensor:
    """Maps of all landmarks, one group after another, each from a pass with the maps of the groups before it as input.

    Args:
        answer: one pass of the network: the maps so far (B, k, h, w) -> maps of all landmarks.
        nothing: (B, k, h, w) zeros.
        known: maps known beforehand or None; they are input from the first pass on and are returned unchanged.
        truth: input of later passes instead of the maps found, or None.
    """
    inputs = found = fill_in(nothing, known)
    for group in groups:
        guidance = None if known is None else known[:, group]
        index = torch.tensor(group, device=nothing.device)
        own = fill_in(answer(inputs)[:, group].to(nothing.dtype), guidance)
        found = found.index_copy(1, index, own)
        passed_on = own if truth is None else fill_in(truth[:, group].to(nothing.dtype), guidance)
        inputs = inputs.index_copy(1, index, passed_on)
    return found
