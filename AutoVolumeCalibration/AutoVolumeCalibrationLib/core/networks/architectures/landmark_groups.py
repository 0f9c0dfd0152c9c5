"""Landmarks found one group after another: which come when, and which are given from outside.

Shared by the networks that are flagged ``sequential`` in the registry.
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
    """(B, k) bool: which of the maps (B, k, h, w) tell a place; a map of zeros means not given."""
    return known.flatten(2).ne(0).any(dim=2)


def fill_in(maps: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
    """``maps`` (B, k, h, w) with those that are given in ``known`` (the same shape) put in their place."""
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
    """Maps of all landmarks, one group after another, each from the pass that has seen the groups before it.

    Args:
        answer: one pass of the network: the maps seen so far (B, k, h, w) -> maps of all landmarks.
        nothing: (B, k, h, w) zeros.
        known: maps given from outside or None; they are seen from the first pass on and come back unchanged.
        truth: shown instead of what was found to the passes that follow, or None.
    """
    seen = found = fill_in(nothing, known)
    for group in groups:
        given = None if known is None else known[:, group]
        index = torch.tensor(group, device=nothing.device)
        own = fill_in(answer(seen)[:, group].to(nothing.dtype), given)
        found = found.index_copy(1, index, own)
        shown = own if truth is None else fill_in(truth[:, group].to(nothing.dtype), given)
        seen = seen.index_copy(1, index, shown)
    return found
