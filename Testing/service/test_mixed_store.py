"""A store of mixed series with kills in between; ``Testing/benchmarks/thousand_series.py`` is the same at full size."""

from __future__ import annotations

import os

import pytest

from service.killed_node import SERVICE, WORKER, Kill, KilledNode, assert_nothing_lost
from service.mixed_series import write_series
from service.peers import archive, free_port, needs_dcmtk, wait_until

pytest.importorskip("pynetdicom", reason="needs pynetdicom (the extra service)")
pytest.importorskip("highdicom", reason="needs highdicom (the extra dicom)")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    needs_dcmtk,
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX"),
]


def test_of_mixed_series_each_localizer_is_planned_once_and_nothing_is_lost(tmp_path):
    pytest.importorskip("distributed", reason="needs dask.distributed (the extra cluster): a worker of its own")
    series = write_series(tmp_path / "series", 20)
    studies = {one.study for one in series if one.study}
    port = free_port()
    node = KilledNode(tmp_path / "node", port, quiet_s=2.0)
    kills = [Kill(SERVICE, sent=8), Kill(WORKER, sent=20, outcomes=3)]
    with archive(tmp_path / "archive", port), node.running():
        with node.killed_at(kills):
            for one in series:
                node.send(one)
        wait_until(lambda: node.is_done(len(studies)), 400)
    assert [what for _time, what in node.killed] == [SERVICE, WORKER]
    assert_nothing_lost(series, node.spool, tmp_path / "archive")
