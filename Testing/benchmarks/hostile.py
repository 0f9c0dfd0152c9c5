"""What damaged and hostile inputs do to the command line: each must be planned, or refused in one clean line.

Run: ``python Testing/benchmarks/hostile.py [--mutants N] [--seed S] [--kinds NAME ...] [--output DIR]``. A mutant is
a sound input with seeded damage, read by the command that a user would run, in a forked process with limits of time
and memory. Counted are exit codes, tracebacks, signals, time-outs, leftover files, words of other libraries, header
values, control characters and memory. Detection is replaced by fixed landmarks: it never sees the inputs' form.

What fails is kept in DIR, one folder each. Needs Linux.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import pkgutil
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process in which threads of torch run cannot be forked

if TYPE_CHECKING:
    from benchmarks.hostile_inputs.sandbox import Outcome

#: The picture takes longer than all the rest: it is drawn for one in so many.
DRAWN = 100


@dataclass
class Tally:
    """Counts of one kind of input."""

    codes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    most_mb: float = 0.0

    def count(self, outcome: Outcome, found: list[str]) -> None:
        """Add one mutant."""
        self.codes[f"-{outcome.signal}" if outcome.signal else str(outcome.code)] += 1
        self.faults.update(found)
        self.slowest_s = max(self.slowest_s, outcome.seconds)
        self.most_mb = max(self.most_mb, outcome.memory_mb)


def main() -> None:
    """Try the mutants, print the counts, end with 1 where one of them was not handled cleanly."""
    from benchmarks.hostile_inputs.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=5000, help="default: %(default)s, in equal parts per kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="NAME")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to keep what fails")
    arguments = parser.parse_args()
    tallies = try_mutants(arguments.kinds, arguments.mutants, arguments.seed, arguments.output)
    print(table(tallies))
    sys.exit(any(tally.faults for tally in tallies.values()))


def try_mutants(kinds: list[str], mutants: int, seed: int, output: Path | None = None) -> dict[str, Tally]:
    """Mutant n is of kind n modulo the number of kinds, and has a seed of its own: any can be repeated alone.

    The first of each kind is the sound input itself, which must be planned.
    """
    from benchmarks.hostile_inputs.sandbox import run_all

    _load_everything()
    tallies = {kind: Tally() for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="hostile-") as work:
        trial = _Trial(Path(work), kinds, output)
        jobs = [f"{seed}/{kinds[number % len(kinds)]}/{number // len(kinds)}" for number in range(mutants)]
        for job, outcome, found in run_all(jobs, trial.folder, trial.prepare, trial.finish):
            tallies[job.split("/")[1]].count(outcome, found)
            if found:
                print(f"{job}: {', '.join(found)} (exit code {outcome.code})", file=sys.stderr)
                print(ascii(outcome.err[-1500:]), file=sys.stderr)
    return tallies


class _Trial:
    """Mutants by their names, ``seed/kind/number``, each in the same folder."""

    def __init__(self, work: Path, kinds: list[str], output: Path | None) -> None:
        from benchmarks.hostile_inputs.targets import TARGETS

        self.folder, self._output = work / "mutant", output
        self._sound = {kind: work / "sound" / str(number) for number, kind in enumerate(kinds)}
        for kind, folder in self._sound.items():
            folder.mkdir(parents=True)
            TARGETS[kind].make(folder)

    def prepare(self, job: str) -> list[str]:
        """Write the mutant; returns the arguments of the command that reads it."""
        from benchmarks.hostile_inputs.targets import TARGETS, damage

        kind = job.split("/")[1]
        target, rng = TARGETS[kind], random.Random(job)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._sound[kind], self.folder)
        if not job.endswith("/0"):
            damage(rng, target, self.folder)
        _replace_detection(real_model=target.real_model, real_picture=rng.randrange(DRAWN) == 0)
        return target.arguments(self.folder)

    def finish(self, job: str, outcome: Outcome) -> list[str]:
        """The faults of a mutant, which is kept where there are any and an output folder was named."""
        from benchmarks.hostile_inputs.sandbox import faults
        from benchmarks.hostile_inputs.targets import TARGETS

        kind = job.split("/")[1]
        found = faults(outcome, self.folder, self._sound[kind], TARGETS[kind].report)
        if job.endswith("/0") and TARGETS[kind].plannable and outcome.code not in (0, 5):
            found.append("sound input refused")
        if found and self._output is not None:
            shutil.copytree(self.folder, self._output / job.replace("/", "_").replace(" ", "_"), dirs_exist_ok=True)
        return found


def _load_everything() -> None:
    """What the commands import, so that the forked processes need not."""
    import AutoVolumeCalibrationLib
    import LandmarkTrainingLib

    for package in (AutoVolumeCalibrationLib, LandmarkTrainingLib):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.split(".")[1] in ("core", "cli") and not found.ispkg:
                importlib.import_module(found.name)
    for name in ("SimpleITK", "jsonschema", "matplotlib.backends.backend_agg", "monai.networks.nets", "pydicom.pixels"):
        importlib.import_module(name)

    import torch

    from AutoVolumeCalibrationLib.core.models import bundle
    from AutoVolumeCalibrationLib.core.report import overview

    torch.set_num_threads(1)
    _kept["model"] = bundle.load_model("brain-scout", "cpu")
    _kept["load_model"], _kept["draw_overview"] = bundle.load_model, overview.draw_overview
    gc.freeze()  # else the collector of each forked process would copy all of this


_kept: dict[str, object] = {}


def _replace_detection(*, real_model: bool, real_picture: bool) -> None:
    """Fixed landmarks instead of a network's; the shipped model instead of the named one, unless ``real_model``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.models import bundle
    from AutoVolumeCalibrationLib.core.report import overview
    from AutoVolumeCalibrationLib.core.workflow import pipeline
    from AutoVolumeCalibrationLib.core.workflow.localization import LocalizationResult
    from fake_detection import predictions

    landmarks = tuple(predictions(load_protocol("BrainAcPc")))
    setattr(pipeline, "locate", lambda *_, **__: LocalizationResult(landmarks, (), ()))  # noqa: B010
    bundle.load_model = _kept["load_model"] if real_model else lambda *_: _kept["model"]
    overview.draw_overview = (
        _kept["draw_overview"] if real_picture else lambda calibration, path: path.write_bytes(b"picture")
    )


def table(tallies: dict[str, Tally]) -> str:
    """The counts as Markdown."""
    rows = ["| Input | Mutants | Exit codes | Faults | Slowest s | Most memory MB |", "|---|---|---|---|---|---|"]
    for kind, tally in tallies.items():
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(tally.codes.items()))
        found = ", ".join(f"{fault}: {count}" for fault, count in sorted(tally.faults.items())) or "none"
        rows.append(
            f"| {kind} | {tally.codes.total()} | {codes} | {found} | {tally.slowest_s:.1f} | {tally.most_mb:.0f} |"
        )
    total = sum(tally.codes.total() for tally in tallies.values())
    return "\n".join([*rows, f"\n{total} mutants, {sum(t.faults.total() for t in tallies.values())} faults."])


if __name__ == "__main__":
    main()
