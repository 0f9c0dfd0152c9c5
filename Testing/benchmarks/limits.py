"""What a model can bear: real heads under many conditions of scanning, and what is no head at all.

Run: ``python Testing/benchmarks/limits.py DATA --output FOLDER``, DATA holding ``heads.csv``, ``heads/``, ``labels/``
and ``localizers/``. Writes a log for each condition (what is in it is not computed again), ``report.md`` and pictures
of all that FOLDER holds of this model. Conditions may be run in several processes with one FOLDER, each with conditions
of its own; a last run without ``--conditions`` then only writes the report. Results are kept by the model's weights and
the condition: after a change of the code name another FOLDER.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from AutoVolumeCalibrationLib.cli.exit_codes import error_exit_code  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import (  # noqa: E402
    AutoVolumeError,  # noqa: E402
    UsageError,  # noqa: E402
)
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from benchmarks.limits_of_scouts import non_heads  # noqa: E402
from benchmarks.limits_of_scouts.cases import (  # noqa: E402
    Measured,
    chosen_heads,
    kept_cases,
    run_conditions,
    run_non_heads,
)
from benchmarks.limits_of_scouts.conditions import CONDITIONS, Condition, chosen_names  # noqa: E402
from benchmarks.limits_of_scouts.figures import draw_errors, draw_flags  # noqa: E402
from benchmarks.limits_of_scouts.gallery import draw_least_flagged, draw_worst, worst_by_kind  # noqa: E402
from benchmarks.limits_of_scouts.label_heads import painted_heads  # noqa: E402
from benchmarks.limits_of_scouts.report import Results, report  # noqa: E402
from LandmarkTrainingLib.cli.run_arguments import at_least  # noqa: E402
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult  # noqa: E402
from LandmarkTrainingLib.core.evaluation.methods import (  # noqa: E402
    SliceDetections,  # noqa: E402
    model_method,  # noqa: E402
    model_name,  # noqa: E402
)
from LandmarkTrainingLib.core.reference_heads.heads import (  # noqa: E402
    Head,  # noqa: E402
    list_heads,  # noqa: E402
)

#: Kind of the inputs that must be flagged, and how many heads are looked at below.
NO_HEADS, NECKS = "no-heads", 10

#: Name -> its inputs, from the data folder and the real heads.
MUST_BE_FLAGGED = {
    "empty scouts": lambda data, heads: non_heads.empty_scouts(),
    "phantoms": lambda data, heads: non_heads.phantoms(data),
    "drawn shapes": lambda data, heads: non_heads.drawn_shapes(),
    "below the head": lambda data, heads: non_heads.below_heads(chosen_heads(heads, NECKS)),
}

NAMES = [*((c.name, c.kind) for c in CONDITIONS), *((name, NO_HEADS) for name in MUST_BE_FLAGGED)]


def main() -> int:
    """Exit code 0, or that of the error."""
    arguments = _arguments()
    try:
        _run(arguments)
    except AutoVolumeError as error:
        print(error, file=sys.stderr)
        return error_exit_code(error)
    return 0


def _arguments() -> argparse.Namespace:
    kinds = {kind: [name for name, of in NAMES if of == kind] for _, kind in NAMES}
    lines = (f"  {kind}: {', '.join(names)}" for kind, names in kinds.items())
    listed = "\n".join(textwrap.fill(line, 110, subsequent_indent="    ") for line in lines)
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"kinds and conditions:\n{listed}", formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--model", metavar="NAME|DIR", help="default: the current one")
    parser.add_argument("--conditions", nargs="+", metavar="NAME", help="conditions or kinds of them; default: all")
    parser.add_argument("--heads", nargs="+", metavar="ID", help="only these real heads")
    parser.add_argument(
        "--poses", type=at_least(1), metavar="N", help="per head, instead of the conditions' own numbers"
    )
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> None:
    names = chosen_names(arguments.conditions, NAMES)
    chosen = [c for c in CONDITIONS if c.name in names]
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    protocol, model = load_protocol("BrainAcPc"), load_model(arguments.model)
    name = model_name(model)
    heads = _heads(arguments, chosen, protocol)
    inputs = {row: partial(make, arguments.data, heads[None]) for row, make in MUST_BE_FLAGGED.items()}

    seeing = model_method(model, protocol)
    blind = model_method(model, protocol, look=_without_looking)
    measured, say = Measured(name, seeing, blind, protocol), _Progress()
    run_conditions(chosen, heads, measured, folder, poses=arguments.poses, say=say)
    for row in (row for row in inputs if row in names):
        run_non_heads(row, inputs[row](), measured, folder, say)

    def replan(stacks: Sequence[ScoutStack]) -> Calibration:
        return calibrate(stacks, protocol, model)

    results = {c.name: kept_cases(folder, c.name, name) for c in CONDITIONS}
    results = {row: cases for row, cases in results.items() if cases}
    flagged = {row: kept_cases(folder, row, name) for row in MUST_BE_FLAGGED}
    title = f"Limits of {name}"
    parts = (
        report(title, CONDITIONS, results, heads[None], flagged),
        _pictures(results, flagged, title, folder),
        draw_worst(worst_by_kind(CONDITIONS, results), heads, protocol, replan, folder),
        draw_least_flagged(flagged, inputs, replan, folder),
    )
    write_text(folder / "report.md", "\n".join(filter(None, parts)))
    print(f"{folder / 'report.md'} written")


def _pictures(results: Results, flagged: Results, title: str, folder: Path) -> str:
    draw_flags(results, flagged, title, folder / "flags.png")
    if not results:
        return "![flags](flags.png)\n"
    draw_errors(results, title, folder / "errors.png")
    return "![errors](errors.png)\n\n![flags](flags.png)\n"


def _without_looking(
    stacks: Sequence[ScoutStack], protocol: Protocol, model: LandmarkModel
) -> tuple[SliceDetections, ...]:
    """Nothing seen: ``Measured.blind``."""
    return ()


def _heads(
    arguments: argparse.Namespace, conditions: Sequence[Condition], protocol: Protocol
) -> dict[str | None, list[Head]]:
    """Contrast of the conditions -> heads; None -> the real ones."""
    real = list_heads(arguments.data, "validation")
    if arguments.heads:
        unknown = set(arguments.heads) - {head.id for head in real}
        if unknown:
            raise UsageError(f"there is no head {', '.join(sorted(unknown))}", remedy="Name heads of split validation.")
        real = [head for head in real if head.id in arguments.heads]
    contrasts = list(dict.fromkeys(c.contrast for c in conditions if c.contrast))
    return {None: real} | painted_heads(arguments.data / "labels", protocol.constellation.names, contrasts)


class _Progress:
    """A line for each new case."""

    def __init__(self) -> None:
        self._started, self._count = time.perf_counter(), 0

    def __call__(self, case: CaseResult) -> None:
        self._count += 1
        minutes = (time.perf_counter() - self._started) / 60
        plan = f"turned {case.box.rotation_deg:.1f} deg, centre {case.box.center_mm:.1f} mm" if case.box else "planned"
        outcome = (
            f"refused: {case.failure}"[:70] if case.failure else f"{plan}, {case.level} {', '.join(case.findings)}"
        )
        print(f"{minutes:5.1f} min {self._count:4d}  {case.geometry}, {case.head} {case.pose}: {outcome}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
