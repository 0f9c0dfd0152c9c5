"""Landmarks that a run does not learn, named once with a remedy."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from .run_watch import flat_landmarks

logger = logging.getLogger(__name__)

#: What helps, in the order in which to try it.
REMEDY = (
    "Check that these points are marked at the same place in all images. If they are, train for more steps, or let "
    'peaks count more: losses=[{"name": "peak_weighted_mse", "peak_weight": 50}].'
)


class FlatChannels:
    """Warns of a landmark when its channel is flat at two checkpoints in a row; of each landmark once."""

    def __init__(self) -> None:
        self._before: set[str] = set()
        self._named: set[str] = set()

    def report(self, line: Mapping[str, Any]) -> None:
        """Take a checkpoint's line of the log."""
        flat = flat_landmarks(line)
        staying = [name for name in flat if name in self._before and name not in self._named]
        self._before = set(flat)
        self._named |= set(staying)
        if staying:
            logger.warning(
                "step %s: the heatmap of %s stays flat, other landmarks are found. %s",
                line["step"],
                ", ".join(staying),
                REMEDY,
            )
