"""Studies per second of ``batch`` against the bare call in a loop, in one run, and the memory of its workers.

Run: ``python Testing/benchmarks/batch_speed.py --studies 2000 --output FOLDER``. Writes ``batch_speed.md`` and ``.png``
into FOLDER after every round of studies. A run that was stopped goes on where it was with the same command.

Each study is one slice per plane of the sample, with another pose, other slices and other noise. All ways of planning
do the same with it: read, detect, plan, write all files. They take turns in each round, so that what else the machine
does meets them alike, and all processes and their models stay from round to round: starting is not measured. The bare
call plans a part of each round only (``--bare``). N workers are compared with N times one bare process, and with N
bare processes at once, which share the memory and the processors as workers do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "Testing")]

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError  # noqa: E402
from benchmarks.batch_runs.bare import bare_loops  # noqa: E402
from benchmarks.batch_runs.engine import engine  # noqa: E402
from benchmarks.batch_runs.measured import Run  # noqa: E402
from benchmarks.batch_runs.report import BARE, ENGINE, round_line, way, write_report  # noqa: E402
from benchmarks.batch_runs.state import State, opened  # noqa: E402
from benchmarks.batch_runs.studies import make_study  # noqa: E402

#: Studies that each process plans before anything is measured.
_WARM_UP = 4

#: Way of planning -> what plans studies into a folder.
Ways = Mapping[str, Callable[[Sequence[Path], Path], Run]]


def main() -> int:
    """Exit code 0, or 2 where FOLDER holds another benchmark."""
    arguments = _arguments()
    settings = {"round": arguments.round, "bare": arguments.bare, "workers": arguments.workers}
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        state = opened(arguments.output / "batch_speed.json", settings)
        _measure(state, arguments)
    except AutoVolumeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--round", type=int, default=100, metavar="N", help="studies of a round (default: 100)")
    parser.add_argument("--bare", type=int, default=20, metavar="N", help="of them by the bare call (default: 20)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N", help="default: 1 2")
    return parser.parse_args()


def _measure(state: State, arguments: argparse.Namespace) -> None:
    rounds = -(-arguments.studies // arguments.round)
    counts = sorted({1, *arguments.workers})
    with ExitStack() as opened_, tempfile.TemporaryDirectory(prefix="batch-speed-") as folder:
        ways = {
            **{way(BARE, count): opened_.enter_context(bare_loops(count)).plan for count in counts},
            **{way(ENGINE, count): opened_.enter_context(engine(count)).plan for count in counts},
        }
        if len(state.rounds) < rounds:
            _plan_all(ways, _WARM_UP * max(counts), _WARM_UP * max(counts), 0, Path(folder))
        for number in range(len(state.rounds), rounds):
            runs = _plan_all(ways, arguments.round, arguments.bare, number, Path(folder))
            state.add(runs, os.getloadavg()[0])
            print(round_line(number + 1, rounds, state.rounds[-1]), flush=True)
            write_report(state, counts, arguments.output)
    print(write_report(state, counts, arguments.output))


def _plan_all(ways: Ways, studies: int, bare: int, number: int, folder: Path) -> dict[str, Run]:
    """Plan the studies of a round in every way; which way comes first changes from round to round."""
    made = [make_study(folder / "studies", number * studies + index) for index in range(studies)]
    names = list(ways)
    runs = {}
    for name in [*names[number % len(names) :], *names[: number % len(names)]]:
        runs[name] = ways[name](made[:bare] if name.startswith(BARE) else made, folder / "plans")
        shutil.rmtree(folder / "plans")
    shutil.rmtree(folder / "studies")
    return {name: runs[name] for name in names}


if __name__ == "__main__":
    sys.exit(main())
