"""The SpatialConfiguration-Net learns with its authors' optimiser, at their rates."""

from __future__ import annotations

import pytest

from benchmarks import scn_steps


@pytest.mark.slow
def test_the_published_steps_find_the_points_of_made_up_radiographs():
    *_, last = scn_steps.learn(width=32)
    assert last.median < 2.5 and last.height > 0.3
    assert last.sigma < 2.5  # the widths follow what is found
