"""The rounds as a table and a picture."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.report import style

from .measured import MEASURE_EVERY, Run
from .state import Round, State

#: Ways of planning: the bare call in a number of processes, the engine with a number of workers.
BARE, ENGINE = "bare", "batch"

_COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE)


def way(kind: str, count: int) -> str:
    """The name of a way of planning."""
    return f"{kind} {count}"


def round_line(number: int, rounds: int, one: Round) -> str:
    """A round while the benchmark runs: studies per second of each way."""
    rates = ", ".join(f"{name}: {run.studies / run.wall_s:.2f}/s" for name, run in one.runs.items())
    return f"round {number}/{rounds}, load {one.load:.1f}: {rates}"


def write_report(state: State, counts: Sequence[int], folder: Path) -> str:
    """Write ``batch_speed.md`` and ``batch_speed.png``; returns the text."""
    text = _text(state, counts)
    (folder / "batch_speed.md").write_text(text, encoding="utf-8")
    _draw(state, counts, folder / "batch_speed.png")
    return text


def _text(state: State, counts: Sequence[int]) -> str:
    loads = [one.load for one in state.rounds]
    lines = [
        "# Batch against the bare call",
        "",
        f"{len(state.rounds)} rounds of {state.settings['round']} studies, one slice per plane each, all different; "
        f"{os.cpu_count()} cores ({platform.machine()}), OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}. "
        f"Load {min(loads):.1f} to {max(loads):.1f}: more than the number of workers means that other programs ran.",
        "",
        "| | studies | studies/s | per processor second | of 1 bare process x N | of N bare processes |"
        " processor time of bare |",
        "|---|---|---|---|---|---|---|",
        *(_row(state.rounds, kind, count) for kind in (BARE, ENGINE) for count in counts),
        "",
        "Studies per second: all studies by all seconds. Ratios: the median of the rounds (in brackets their 10th and "
        "90th percentile), because what else the machine does meets all ways of a round alike.",
        "",
        *(_memory_line(state, count) for count in counts),
        "",
        "![memory and speed](batch_speed.png)",
        "",
    ]
    return "\n".join(lines)


def _row(rounds: Sequence[Round], kind: str, count: int) -> str:
    runs = [one.runs[way(kind, count)] for one in rounds]
    studies = sum(run.studies for run in runs)
    speed = studies / sum(run.wall_s for run in runs), studies / sum(run.processor_s for run in runs)
    one, same = _ratio(rounds, kind, count, 1, count), _ratio(rounds, kind, count, count, 1)
    title = f"{'bare call, processes' if kind == BARE else '`batch`, workers'}: {count}"
    return f"| {title} | {studies} | {speed[0]:.2f} | {speed[1]:.2f} | {one} | {same} | {_processor(rounds, runs)} |"


def _ratio(rounds: Sequence[Round], kind: str, count: int, processes: int, times: int) -> str:
    """Studies per second against ``times`` those of the bare call in ``processes``."""
    ratios = [
        _speed(one.runs[way(kind, count)]) / (times * _speed(one.runs[way(BARE, processes)]))
        for one in rounds
        if way(BARE, processes) in one.runs
    ]
    return _spread(ratios)


def _processor(rounds: Sequence[Round], runs: Sequence[Run]) -> str:
    """Processor time per study against that of one bare process."""
    bare = [one.runs[way(BARE, 1)] for one in rounds]
    return _spread(
        [run.processor_s / run.studies * b.studies / b.processor_s for run, b in zip(runs, bare, strict=True)]
    )


def _spread(values: Sequence[float]) -> str:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.2f} ({low:.2f} - {high:.2f})"


def _speed(run: Run) -> float:
    return run.studies / run.wall_s


def _memory_line(state: State, count: int) -> str:
    """Memory since the last start, with the codes of all studies."""
    runs = [one.runs[way(ENGINE, count)] for one in state.rounds if one.begun == state.rounds[-1].begun]
    memory = np.concatenate([run.worker_mb for run in runs])
    middle = len(memory) // 2
    codes = sum((Counter(one.runs[way(ENGINE, count)].codes) for one in state.rounds), Counter())
    listed = ", ".join(f"{code}: {number}" for code, number in sorted(codes.items()))
    return (
        f"- `batch`, workers: {count}: resident memory of the largest worker {memory[0]:.0f} MiB at first, "
        f"{memory[middle]:.0f} halfway, {memory[-1]:.0f} at the end, {memory.max():.0f} at most"
        f"{_slope(memory[middle:])}. The process that hands them out: "
        f"{runs[0].command_mb:.0f} -> {runs[-1].command_mb:.0f} MiB. Studies by exit code: {listed}."
    )


def _slope(memory: np.ndarray) -> str:
    if len(memory) < 2:
        return ""
    slope = 1000 * float(np.polyfit(np.arange(len(memory)) * MEASURE_EVERY, memory, 1)[0])
    return f"; in the second half it changes by {slope:+.1f} MiB per 1,000 studies"


def _draw(state: State, counts: Sequence[int], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    memory, speed = figure.subplots(2, 1, sharex=True)
    size = int(state.settings["round"])
    for colour, count in zip(_COLOURS, counts, strict=False):
        runs = [one.runs[way(ENGINE, count)] for one in state.rounds]
        where = [
            size * number + MEASURE_EVERY * (index + 1)
            for number, run in enumerate(runs)
            for index in range(len(run.worker_mb))
        ]
        memory.plot(where, [mb for run in runs for mb in run.worker_mb], color=colour, label=f"workers: {count}")
        ends = [size * (n + 1) for n in range(len(runs))]
        speed.plot(ends, [_speed(run) for run in runs], color=colour, marker="o", label=f"batch, workers: {count}")
        bare = [_speed(one.runs[way(BARE, count)]) for one in state.rounds]
        speed.plot(ends, bare, color=colour, marker="x", linestyle=":", label=f"bare call, processes: {count}")
    for number, (before, after) in enumerate(zip(state.rounds, state.rounds[1:], strict=False), start=1):
        if before.begun != after.begun:
            memory.axvline(size * number, color="0.6", linewidth=1)
    memory.set(ylabel="resident memory of the\nlargest worker, MiB")
    speed.set(ylabel="studies per second", xlabel="studies")
    for axes in (memory, speed):
        axes.set_ylim(0, 1.2 * axes.dataLim.y1)
        axes.legend(frameon=False, ncols=2, loc="lower right")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
