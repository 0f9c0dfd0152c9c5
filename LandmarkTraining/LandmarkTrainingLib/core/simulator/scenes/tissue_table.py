"""A small table of the tissues in label maps, and random MR contrasts for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tissues import Contrast

#: Share of contrasts without any rule (domain randomisation), and of those that lie between two sequences.
ANY_SHARE, BLENDED_SHARE = 0.3, 0.3

#: Standard deviation of the logarithm of a tissue's signal round that of its sequence.
SIGNAL_LOG_SD = 0.15


@dataclass(frozen=True)
class Likeness:
    """``tissue`` looks like ``like`` in ``share`` of the contrasts, up to a log-normal ``spread``."""

    tissue: int
    like: int
    share: float
    spread: float


@dataclass(frozen=True, eq=False)
class TissueTable:
    """The tissues of a label map, number 0 is air.

    Attributes:
        names: of the tissues.
        labels: numbers of each tissue in the label maps.
        sequences: (s, tissues) signals, 0-255; shares: (s,) how often each sequence is drawn.
        likenesses: applied in this order.
        varied: tissues that take any signal in ``varied_share`` of the contrasts: flowing blood.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    sequences: np.ndarray
    shares: np.ndarray
    likenesses: tuple[Likeness, ...] = ()
    varied: tuple[int, ...] = ()
    varied_share: float = 0.0

    def lookup(self, largest: int) -> np.ndarray:
        """(largest + 1,) uint8: label number -> tissue; a number that is not listed is air."""
        table = np.zeros(largest + 1, np.uint8)
        for tissue, numbers in enumerate(self.labels):
            table[[number for number in numbers if number <= largest]] = tissue
        return table

    def random_contrast(self, rng: np.random.Generator) -> Contrast:
        """Mean and standard deviation of each tissue's signal."""
        count = len(self.names)
        mean = rng.uniform(5, 250, count) if rng.random() < ANY_SHARE else self._of_sequence(rng)
        for likeness in self.likenesses:
            if rng.random() < likeness.share:
                mean[likeness.tissue] = mean[likeness.like] * np.exp(rng.normal(0, likeness.spread))
        if rng.random() < self.varied_share:
            mean[list(self.varied)] = rng.uniform(5, 255, len(self.varied))
        mean[0] = rng.uniform(0, 8)
        sd = rng.uniform(2, 14, count)
        sd[0] = rng.uniform(0, 2)
        return Contrast(np.clip(mean, 0, 400), sd)

    def _of_sequence(self, rng: np.random.Generator) -> np.ndarray:
        first, second = rng.choice(len(self.sequences), 2, p=self.shares / self.shares.sum())
        part = rng.uniform(0, 0.6) if rng.random() < BLENDED_SHARE else 0.0
        mean = (1 - part) * self.sequences[first] + part * self.sequences[second]
        return mean * np.exp(rng.normal(0, SIGNAL_LOG_SD, len(mean)))

    def to_dict(self, sequence_names: Sequence[str]) -> dict[str, Any]:
        """The table as JSON."""
        names = self.names
        return {
            "tissues": [{"name": n, "labels": list(numbers)} for n, numbers in zip(names, self.labels, strict=True)],
            "sequences": [
                {"name": name, "share": float(share), "signals": [float(v) for v in signals]}
                for name, share, signals in zip(sequence_names, self.shares, self.sequences, strict=True)
            ],
            "likenesses": [
                {"tissue": names[e.tissue], "like": names[e.like], "share": e.share, "spread": e.spread}
                for e in self.likenesses
            ],
            "varied": {"tissues": [names[i] for i in self.varied], "share": self.varied_share},
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> TissueTable:
        """The table of ``to_dict``.

        Raises:
            KeyError, ValueError: an entry is absent, or a name is not a tissue.
        """
        names = tuple(entry["name"] for entry in data["tissues"])
        varied = data.get("varied", {"tissues": [], "share": 0.0})
        signals = np.array([entry["signals"] for entry in data["sequences"]], dtype=float)
        if signals.shape[1:] != (len(names),):
            raise ValueError("every sequence needs one signal for each tissue")
        return TissueTable(
            names,
            tuple(tuple(entry["labels"]) for entry in data["tissues"]),
            signals,
            np.array([entry["share"] for entry in data["sequences"]], dtype=float),
            tuple(
                Likeness(names.index(e["tissue"]), names.index(e["like"]), float(e["share"]), float(e["spread"]))
                for e in data.get("likenesses", [])
            ),
            tuple(names.index(name) for name in varied["tissues"]),
            float(varied["share"]),
        )
