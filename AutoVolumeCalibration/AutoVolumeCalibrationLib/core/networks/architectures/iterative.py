"""Iterative landmark groups with implicit memory (Baumann 2020), round any network of the registry.

The landmarks are found in groups, and the heatmaps found so far are part of the next group's input. A landmark
that the user corrected is such a heatmap too: the others follow it.
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
    """One network for all groups; its input is the folded image and a map of every landmark, zero while unknown.

    The image's channels come first, and the weights are named ``network.<name in the plain network>``. So a plain
    network of the same stem, if it folds its images by it, is a start: its first filters, with zeros for the maps.

    In evaluation the groups are found in turn: a pass takes the network's own maps of all earlier groups, and gives
    those of its group. In training with ``truth`` there is one pass for all: each sample takes the true maps of a
    random number of first groups (uniform, none to all but the last, from torch's global generator) and gives all
    landmarks. The maps of the input are returned as they are, without gradient: true ones add no loss.
    To train on the network's own predictions, pass them as ``truth``.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark, k.
        inner: registered architecture of the network, one that is not guided and outputs heatmaps.
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
            known: (B, k, h, w) heatmaps of known landmarks, on the grid of the outputs; zeros: not known.
                Known ones are input from the first pass on and are returned unchanged.
            truth: (B, k, h, w) target heatmaps, for training; without them training goes through the groups like
                evaluation, with gradients.
        """
        folded = self.fold(image)
        if self.training and truth is not None:
            return self._one_pass(folded, known, truth)
        return self._in_turn(folded, known)

    def _in_turn(self, folded: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        def answer(inputs: torch.Tensor) -> torch.Tensor:
            maps = self._pass(folded, inputs)
            return maps[-1] if isinstance(maps, list) else maps

        # Of a size that an exported graph takes from its input.
        nothing = torch.zeros_like(folded[:, :1]).repeat(1, self.landmarks, 1, 1)
        return find_in_turn(answer, self._groups_to_find(known), nothing, known)

    def _groups_to_find(self, known: torch.Tensor | None) -> list[list[int]]:
        """The groups with a landmark that is unknown in some sample: the others cost no pass."""
        if known is None:
            return self.groups
        everywhere = given_landmarks(known).all(dim=0).tolist()
        return [group for group in self.groups if not all(everywhere[index] for index in group)]

    def _one_pass(
        self, folded: torch.Tensor, known: torch.Tensor | None, truth: torch.Tensor
    ) -> torch.Tensor | list[torch.Tensor]:
        earlier = self._earlier_landmarks(len(folded)).to(folded.device)
        inputs = fill_in(truth * earlier[:, :, None, None], known).detach()
        is_input = earlier if known is None else earlier | given_landmarks(known)

        maps = self._pass(folded, inputs)
        if isinstance(maps, list):
            return [_with_inputs(level, inputs, is_input) for level in maps]
        return _with_inputs(maps, inputs, is_input)

    def _earlier_landmarks(self, samples: int) -> torch.Tensor:
        """(samples, k) bool: the landmarks of a random number of first groups."""
        number = torch.empty(self.landmarks, dtype=torch.long)
        for index, group in enumerate(self.groups):
            number[group] = index
        return number < torch.randint(len(self.groups), (samples, 1))

    def _pass(self, folded: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        return self.network(torch.cat([folded, inputs], dim=1))


def _with_inputs(maps: torch.Tensor, inputs: torch.Tensor, is_input: torch.Tensor) -> torch.Tensor:
    """``maps`` with those marked by ``is_input`` (B, k) replaced by ``inputs``, at the size of ``maps``."""
    if maps.shape[-2:] != inputs.shape[-2:]:
        inputs = functional.interpolate(inputs, maps.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
    return torch.where(is_input[:, :, None, None], inputs, maps)
