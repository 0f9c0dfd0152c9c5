"""Iterative landmark groups with implicit memory (Baumann 2020), round any network of the registry.

The landmarks are found in groups, and the heatmaps found so far are part of the next group's input. A landmark
that the user corrected is such a heatmap too: the others follow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..registry import build_network, inner_network
from .landmark_groups import find_in_turn, given_landmarks, landmark_groups
from .stem import folding


class IterativeNetwork(torch.nn.Module):
    """One network for all groups; its input is the folded image and a map of every landmark, zero while unknown.

    The image's channels come first, and the weights are named ``network.<name in the plain network>``. So a plain
    network of the same stem, if it folds its images by it, is a start: its first filters, with zeros for the maps.

    The groups are found in turn, in training too: a pass takes the maps of all earlier groups, and gives those of its
    group. Every group has its loss in every step, as in the authors' training; a step takes as many passes as there are
    groups. In training with ``truth`` the earlier maps are the true ones for the samples that are ``taught`` (teacher
    forcing), and the network's own for the others, through which the gradient runs.

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
        self,
        image: torch.Tensor,
        known: torch.Tensor | None = None,
        truth: torch.Tensor | None = None,
        taught: torch.Tensor | None = None,
    ) -> torch.Tensor | list[torch.Tensor]:
        """Heatmaps of all landmarks.

        Args:
            known: (B, k, h, w) heatmaps of known landmarks, on the grid of the outputs; zeros: not known.
                Known ones are input from the first pass on and are returned unchanged.
            truth: (B, k, h, w) target heatmaps, used in training only; None: every pass takes the network's own maps.
            taught: (B,) bool, the samples whose passes take ``truth``; None: all.
        """
        folded = self.fold(image)

        def answer(inputs: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
            return self.network(torch.cat([folded, inputs], dim=1))

        # Of a size that an exported graph takes from its input.
        nothing = torch.zeros_like(folded[:, :1]).repeat(1, self.landmarks, 1, 1)
        levels = find_in_turn(
            answer, self._groups_to_find(known), nothing, known, truth if self.training else None, taught
        )
        return levels if self.training and len(levels) > 1 else levels[-1]

    def _groups_to_find(self, known: torch.Tensor | None) -> list[list[int]]:
        """The groups with a landmark that is unknown in some sample: the others cost no pass."""
        if known is None:
            return self.groups
        everywhere = given_landmarks(known).all(dim=0).tolist()
        return [group for group in self.groups if not all(everywhere[index] for index in group)]
