"""Landmarks found one group after another: their order, and which of them are known beforehand.

Shared by the networks that are flagged ``guided`` in the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional


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
    answer: Callable[[torch.Tensor], torch.Tensor | list[torch.Tensor]],
    groups: Sequence[Sequence[int]],
    nothing: torch.Tensor,
    known: torch.Tensor | None,
    truth: torch.Tensor | None = None,
    taught: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """Maps of all landmarks, one group after another, each from a pass with the maps of the groups before it as input.

    In training every group is found in every step, so each has its loss in each; the passes cost as many times one
    network as there are groups. Gradients run through maps that are passed on.

    Args:
        answer: one pass of the network: the maps so far (B, k, h, w) -> maps of all landmarks, or a list of those for
            deep supervision, the last one its best.
        nothing: (B, k, h, w) zeros.
        known: maps known beforehand or None; they are input from the first pass on and are returned unchanged.
        truth: input of later passes instead of the maps found (teacher forcing), or None.
        taught: (B,) bool, the samples whose later passes take ``truth``; None: all.

    Returns:
        one (B, k, h, w) for each answer of a pass, at its size.
    """
    inputs = fill_in(nothing, known)
    found: list[torch.Tensor] = []
    for group in groups:
        index = torch.tensor(group, device=nothing.device)
        answers = answer(inputs)
        levels = answers if isinstance(answers, list) else [answers]
        found = found or [_resized(inputs, level.shape[-2:]) for level in levels]
        own = [_of_group(level.to(nothing.dtype), group, known) for level in levels]
        found = [maps.index_copy(1, index, part) for maps, part in zip(found, own, strict=True)]
        passed_on = own[-1] if truth is None else _taught(own[-1], truth.to(nothing.dtype), group, known, taught)
        inputs = inputs.index_copy(1, index, passed_on)
    return found or [inputs]


def _of_group(maps: torch.Tensor, group: Sequence[int], known: torch.Tensor | None) -> torch.Tensor:
    """The maps of a group, those that are known replaced, at the size of ``maps``."""
    part = maps[:, group]
    if known is None:
        return part
    own = known[:, group]
    return torch.where(given_landmarks(own)[:, :, None, None], _resized(own, part.shape[-2:]), part)


def _taught(
    own: torch.Tensor,
    truth: torch.Tensor,
    group: Sequence[int],
    known: torch.Tensor | None,
    taught: torch.Tensor | None,
) -> torch.Tensor:
    """A group's maps for the later passes: the true ones of the samples that are ``taught``, else ``own``."""
    true = _of_group(truth, group, known)
    return true if taught is None else torch.where(taught[:, None, None, None], true, own)


def _resized(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    if maps.shape[-2:] == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=False, antialias=True)
