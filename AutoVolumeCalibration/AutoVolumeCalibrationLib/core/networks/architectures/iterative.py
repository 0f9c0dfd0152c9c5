"""Iterative landmark groups with implicit memory (Baumann 2020), round any network of the registry.

The landmarks are found in groups, and the heatmaps found so far are part of the next group's input. A landmark whose
place is given from outside, corrected by a user, is such a heatmap too: the others follow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from ..registry import build_network, inner_network
from .landmark_groups import fill_in, find_in_turn, given_landmarks, landmark_groups
from .stem import folding


class IterativeNetwork(torch.nn.Module):
    """One network for all groups; it sees the folded image and a map of every landmark, zero while unknown.

    The image's channels come first, and the weights are named ``network.<name in the plain network>``. So a plain
    network of the same stem, if it folds its images by it, is a start: its first filters, with zeros for the maps.

    In evaluation the groups are found in turn: a pass sees the network's own maps of all earlier groups, and gives
    those of its group. In training with ``truth`` there is one pass for all: each sample sees the true maps of a
    random number of first groups (uniform, none to all but the last, from torch's global generator) and answers with
    all landmarks. The maps it was shown are answered as they were shown, without gradient: true ones cost nothing.
    To train on the network's own predictions, hand them in as ``truth``.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark, k.
        inner: registered architecture of the network, one that is not sequential and answers with heatmaps.
        inner_options: its options but for channels and stem.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        group_size: landmarks per group.
        order: landmark indices in the order they are found; None: as they are numbered.

    Shape:
        (B, in_channels, H, W), H and W multiples of ``stem`` times the inner network's divisor
        -> (B, k, H / stem, W / stem). In training a list of those where the inner network gives a list.

    Raises:
        ModelError: the inner network or its options are not registered.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        inner: str,
        inner_options: Mapping[str, Any],
        stem: int,
        group_size: int,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.fold, channels = folding(in_channels, stem)
        self.landmarks = out_channels
        self.groups = landmark_groups(out_channels, group_size, order)
        self.network = build_network(*inner_network(inner, inner_options, channels + out_channels, out_channels))

    def forward(
        self, image: torch.Tensor, known: torch.Tensor | None = None, truth: torch.Tensor | None = None
    ) -> torch.Tensor | list[torch.Tensor]:
        """Heatmaps of all landmarks.

        Args:
            known: (B, k, h, w) heatmaps of landmarks that are given, on the grid of the outputs; zeros: not given.
                Given ones are seen from the first pass on and come back unchanged.
            truth: (B, k, h, w) target heatmaps, for training; without them training goes through the groups like
                evaluation, with gradients.
        """
        folded = self.fold(image)
        if self.training and truth is not None:
            return self._one_pass(folded, known, truth)
        return self._in_turn(folded, known)

    def _in_turn(self, folded: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        def answer(seen: torch.Tensor) -> torch.Tensor:
            maps = self._pass(folded, seen)
            return maps[-1] if isinstance(maps, list) else maps

        nothing = folded.new_zeros(len(folded), self.landmarks, *folded.shape[-2:])
        return find_in_turn(answer, self._groups_to_find(known), nothing, known)

    def _groups_to_find(self, known: torch.Tensor | None) -> list[list[int]]:
        """The groups with a landmark that some sample is not given: the others cost no pass."""
        if known is None:
            return self.groups
        everywhere = given_landmarks(known).all(dim=0).tolist()
        return [group for group in self.groups if not all(everywhere[index] for index in group)]

    def _one_pass(
        self, folded: torch.Tensor, known: torch.Tensor | None, truth: torch.Tensor
    ) -> torch.Tensor | list[torch.Tensor]:
        earlier = self._earlier_landmarks(len(folded)).to(folded.device)
        seen = fill_in(truth * earlier[:, :, None, None], known).detach()
        shown = earlier if known is None else earlier | given_landmarks(known)

        maps = self._pass(folded, seen)
        if isinstance(maps, list):
            return [_answered(level, seen, shown) for level in maps]
        return _answered(maps, seen, shown)

    def _earlier_landmarks(self, samples: int) -> torch.Tensor:
        """(samples, k) bool: the landmarks of a random number of first groups."""
        number = torch.empty(self.landmarks, dtype=torch.long)
        for place, group in enumerate(self.groups):
            number[group] = place
        return number < torch.randint(len(self.groups), (samples, 1))

    def _pass(self, folded: torch.Tensor, seen: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        return self.network(torch.cat([folded, seen], dim=1))


def _answered(maps: torch.Tensor, seen: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """``maps`` with those (B, k) that were shown as they were shown, at the size of ``maps``."""
    if maps.shape[-2:] != seen.shape[-2:]:
        seen = functional.interpolate(seen, maps.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
    return torch.where(shown[:, :, None, None], seen, maps)
