"""A day's store in one go: mixed series sent to a node that is killed again and again, its memory, and its speed.

Localizers, diagnostic, derived, broken and phantom series are sent by ``storescu`` in random order, one association
each; ``storescp`` takes the results. The service is killed (SIGKILL) while it receives and while it plans, and so are
its workers. At the end every image must be kept, every study listed, and each localizer planned and sent once. Then
single localizers are sent to the warm node, one after the other, for the time from the last image to the result.

Usage: ``.venv/bin/python Testing/benchmarks/thousand_series.py [--series 1000] [--output DIR]``. Needs dcmtk.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from AutoVolumeCalibrationLib.core.report import style  # noqa: E402
from service.killed_node import FORMS, SERVICE, WORKER, Kill, KilledNode, assert_nothing_lost  # noqa: E402
from service.mixed_series import LOCALIZER, PHANTOM, Series, write_series  # noqa: E402
from service.peers import archive, free_port, outcomes, wait_until  # noqa: E402

_LONGEST_S = 6 * 3600.0
_SAMPLE_S = 2.0
_SINGLE = 10

#: Share of the series that were taken, or of the studies with an outcome, at which something is killed.
_KILLED_WHILE_SENDING = ((SERVICE, 0.1), (WORKER, 0.2), (SERVICE, 0.35), (SERVICE, 0.6), (WORKER, 0.8))
_KILLED_WHILE_PLANNING = ((SERVICE, 0.3), (WORKER, 0.35), (WORKER, 0.4), (SERVICE, 0.45), (SERVICE, 0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000, help="a multiple of 20; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="for thousand_series.png")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # pydicom objects to what is spoilt on purpose
    with tempfile.TemporaryDirectory(prefix="thousand-") as scratch:
        _run(Path(scratch), arguments.series, arguments.seed, arguments.output)


def _run(scratch: Path, count: int, seed: int, output: Path) -> None:
    series = write_series(scratch / "series", count, seed)
    single = [one for one in write_series(scratch / "single", 20 * _SINGLE, seed + 1) if one.kind == LOCALIZER]
    studies = {one.study for one in series if one.study}
    print(f"{count} series, {sum(len(one.files) for one in series)} images, {len(studies)} studies", flush=True)
    print(dict(Counter(one.kind for one in series)), flush=True)
    port = free_port()
    node = KilledNode(scratch / "node", port, quiet_s=10.0)
    with archive(scratch / "archive", port), node.running(), _memory_of(node) as memory:
        started = time.time()
        with node.killed_at(_kills(count, len(studies))):
            for one in series:
                node.send(one)
            sent = time.time()
            print(f"sent in {sent - started:.0f} s", flush=True)
        wait_until(lambda: node.is_done(len(studies)), _LONGEST_S, every_s=2.0)
        done = time.time()
        _report(series, node, scratch / "archive", (started, sent, done))
        _report_memory(memory, node, done)
        _draw(memory, node, (started, sent, done), output / "thousand_series.png")
        alone = [one for one in single if sum(other.study == one.study for other in single) == 1]
        _report_single(node, scratch / "archive", alone[:_SINGLE])


def _kills(series: int, studies: int) -> list[Kill]:
    sending = [Kill(what, sent=int(share * series)) for what, share in _KILLED_WHILE_SENDING]
    planning = [Kill(what, series, int(share * studies)) for what, share in _KILLED_WHILE_PLANNING]
    return [*sending, *planning]


@contextmanager
def _memory_of(node: KilledNode) -> Iterator[list[tuple[float, float]]]:
    """(time, resident MB of service and workers), every two seconds."""
    found: list[tuple[float, float]] = []
    stop = threading.Event()

    def measure() -> None:
        while not stop.wait(_SAMPLE_S):
            found.append((time.time(), node.memory_mb()))

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _report(series: Sequence[Series], node: KilledNode, folder: Path, times: tuple[float, float, float]) -> None:
    started, sent, done = times
    got = assert_nothing_lost(series, node.spool, folder)
    kills = Counter(what for _when, what in node.killed)
    codes = Counter((_kind_of(row["study"], series), row["exit_code"], row["light"]) for row in outcomes(node.spool))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; 1 worker")
    print(f"kills survived: {kills[SERVICE]} of the service, {kills[WORKER]} of its worker")
    print(f"all sent after {sent - started:.0f} s, all results in the archive after {done - started:.0f} s")
    print(f"{len(series) / (done - started):.2f} series/s")
    print(f"objects that came to the archive twice, under the same UID: {got.again}")
    for (kind, code, light), number in sorted(codes.items()):
        print(f"  {kind:20} exit code {code} {light:8} {number}")
    print("reasons of what was not planned:")
    for (kind, reason), number in sorted(_reasons(series, node).items()):
        print(f"  {number:4} {kind:12} {reason}")
    print("nothing lost", flush=True)


def _kind_of(study: str, series: Sequence[Series]) -> str:
    kinds = {one.kind for one in series if one.study == study}
    return next((kind for kind in (LOCALIZER, PHANTOM) if kind in kinds), "/".join(sorted(kinds)))


def _reasons(series: Sequence[Series], node: KilledNode) -> Counter[tuple[str, str]]:
    rows = [row for row in outcomes(node.spool) if row["exit_code"] != "0"]
    return Counter((_kind_of(row["study"], series), row["message"].rpartition(": ")[2][:90]) for row in rows)


def _report_memory(memory: Sequence[tuple[float, float]], node: KilledNode, done: float) -> None:
    """Over the time since the last kill, when one service and one worker run on and on."""
    print(f"memory, all processes of the service: at most {max(mb for _when, mb in memory):.0f} MB")
    last = max(when for when, _what in node.killed)
    since = [(when, mb) for when, mb in memory if last + 60.0 < when <= done]
    if len(since) < 8:
        print("too short for a statement about memory")
        return
    quarter = len(since) // 4
    first, end = (median(mb for _when, mb in part) for part in (since[:quarter], since[-quarter:]))
    print(f"memory over the last {(since[-1][0] - since[0][0]) / 60:.0f} min, all processes of the service:")
    print(
        f"  first quarter {first:.0f} MB, last quarter {end:.0f} MB; at most {max(m for _t, m in memory):.0f} MB ever"
    )


def _report_single(node: KilledNode, folder: Path, series: Sequence[Series]) -> None:
    """From the end of ``storescu`` to the last object of the study in the archive."""
    took = []
    for one in series:
        before = len(list(folder.iterdir()))
        node.send(one)
        sent = time.time()
        wait_until(lambda before=before: len(list(folder.iterdir())) == before + len(FORMS), 600)
        took.append(time.time() - sent)
    print(
        f"last image to result in the archive, warm, {len(took)} localizers, quiet time of {node.quiet_s:g} s included:"
    )
    print(f"  median {median(took):.1f} s, {min(took):.1f} to {max(took):.1f} s", flush=True)


def _draw(
    memory: Sequence[tuple[float, float]], node: KilledNode, times: tuple[float, float, float], path: Path
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    started, sent, _done = times
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    axes.plot([(t - started) / 60 for t, _mb in memory], [mb for _t, mb in memory], color=style.BLUE, lw=1)
    for what, color in ((SERVICE, style.VERMILLION), (WORKER, style.ORANGE)):
        for number, at in enumerate(when for when, killed in node.killed if killed == what):
            label = f"kill -9 of the {what}" if number == 0 else None
            axes.axvline((at - started) / 60, color=color, ls=":", lw=1.2, label=label)
    axes.axvline((sent - started) / 60, color="grey", lw=1, label="all series sent")
    axes.axhline(1024, color="black", ls="--", lw=0.8)
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, 1150), xlim=(0, None))
    axes.set_title("Memory of the service and its worker", loc="left")
    axes.legend(loc="lower right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
