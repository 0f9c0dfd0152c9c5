"""How a model fails, for its model card: the sample study degraded, and drawn against the plan of the sample as it is.

Run: ``python Testing/benchmarks/failures_of_sample.py [--model NAME|DIR] [--output FOLDER]``. Prints a Markdown table
of all degradations and draws ``MOST_PICTURES`` of them into FOLDER: first what is wrong and goes unnoticed, then what
is furthest off. Pictures that an earlier run drew of the others are removed. It takes a minute.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

from AutoVolumeCalibrationLib.cli.exit_codes import error_exit_code  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.resources import resource_path  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.planning.checks.check import OK  # noqa: E402
from AutoVolumeCalibrationLib.core.report.content import worst_level  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from benchmarks.limits_of_scouts.effects import Effect  # noqa: E402
from benchmarks.sample_failures.degradations import DEGRADATIONS  # noqa: E402
from LandmarkTrainingLib.core.evaluation.evaluation_report import (  # noqa: E402
    WRONG_CENTER_MM,  # noqa: E402
    WRONG_ROTATION_DEG,  # noqa: E402
)
from LandmarkTrainingLib.core.evaluation.metrics import (  # noqa: E402
    BoxErrors,  # noqa: E402
    box_errors,  # noqa: E402
    markdown_table,  # noqa: E402
)
from LandmarkTrainingLib.core.evaluation.simulated.plan_picture import Reference, draw_plan  # noqa: E402

SEED = 0
MOST_PICTURES = 6
MODEL = "brain-scout"
PICTURES = ROOT / "Resources" / "Models" / MODEL / "docs" / "failures"

#: A face further off than this is wrong too; turn and centre as everywhere.
WRONG_FACE_MM = 8.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """A plan and how far it is off; ``refusal`` says why there is none."""

    plan: Calibration | None = None
    errors: BoxErrors | None = None
    refusal: str = ""

    @property
    def badness(self) -> float:
        """How far the plan is off, above 1 where it is wrong; a refusal is not."""
        if self.errors is None:
            return 0.0
        turn, centre = self.errors.rotation_deg / WRONG_ROTATION_DEG, self.errors.center_mm / WRONG_CENTER_MM
        return max(turn, centre, self.worst_face_mm / WRONG_FACE_MM)

    @property
    def worst_face_mm(self) -> float:
        return float(np.abs(self.errors.faces_mm).max())

    @property
    def unnoticed(self) -> bool:
        """Wrong, and no check says so."""
        return self.badness > 1 and worst_level(self.plan) == OK


def main() -> int:
    """Exit code 0, or that of the error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="NAME|DIR", default=MODEL, help="default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=PICTURES, help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        _run(arguments.model, arguments.output)
    except AutoVolumeError as error:
        print(error, file=sys.stderr)
        return error_exit_code(error)
    return 0


def _run(model_name: str, folder: Path) -> None:
    protocol, model = load_protocol("BrainAcPc"), load_model(model_name, "cpu")
    sample = read_scouts([resource_path("SampleData", "ColinScouts", "dicom")])

    def plan(stacks: Sequence[ScoutStack]) -> Calibration:
        return calibrate(stacks, protocol, model)

    reference = plan(sample)
    outcomes = {name: _outcome(sample, effects, plan, reference) for name, (_, effects) in DEGRADATIONS.items()}
    drawn = _draw(outcomes, reference.box, folder)
    rows = [["nothing (reference)", *_cells(_outcome(sample, (), plan, reference)), "-"]]
    for name, outcome in outcomes.items():
        link = f"[{name}]({folder.name}/{name}.png)" if name in drawn else "-"
        rows.append([DEGRADATIONS[name][0], *_cells(outcome), link])
    header = ["what was done", "turn, deg", "centre, mm", "worst face, mm", "level", "findings", "picture"]
    print(markdown_table(header, rows))


def _outcome(
    sample: Sequence[ScoutStack],
    effects: Sequence[Effect],
    plan: Callable[[Sequence[ScoutStack]], Calibration],
    reference: Calibration,
) -> Outcome:
    rng, stacks = np.random.default_rng(SEED), list(sample)
    for effect in effects:
        stacks = effect(stacks, rng)
    try:
        planned = plan(stacks)
    except AutoVolumeError as error:
        return Outcome(refusal=str(error))
    return Outcome(planned, box_errors(planned.box, reference.box))


def _draw(outcomes: dict[str, Outcome], reference: OrientedBox, folder: Path) -> list[str]:
    """Draw the most instructive plans, and give their names."""
    folder.mkdir(parents=True, exist_ok=True)
    planned = [name for name, outcome in outcomes.items() if outcome.plan]
    chosen = sorted(planned, key=lambda name: (outcomes[name].unnoticed, outcomes[name].badness), reverse=True)
    chosen = chosen[:MOST_PICTURES]
    for name, outcome in outcomes.items():
        path = folder / f"{name}.png"
        if name in chosen:
            draw_plan(
                outcome.plan,
                Reference(reference, "planned on the scouts as they were"),
                DEGRADATIONS[name][0].capitalize(),
                _errors(outcome),
                path,
                wrong=outcome.badness > 1,
            )
        else:
            path.unlink(missing_ok=True)
    return chosen


def _errors(outcome: Outcome) -> str:
    e = outcome.errors
    turn, centre = f"turned by {e.rotation_deg:.1f} deg", f"centre off by {e.center_mm:.1f} mm"
    return f"{turn}, {centre}, worst face by {outcome.worst_face_mm:.1f} mm"


def _cells(outcome: Outcome) -> list[str]:
    if outcome.plan is None:
        return ["-", "-", "-", "refused", outcome.refusal]
    e, level = outcome.errors, worst_level(outcome.plan)
    findings = " ".join(check.message for check in outcome.plan.checks if check.level != OK) or "-"
    return [
        f"{e.rotation_deg:.1f}",
        f"{e.center_mm:.1f}",
        f"{outcome.worst_face_mm:.1f}",
        f"**{level}, unnoticed**" if outcome.unnoticed else level,
        findings,
    ]


if __name__ == "__main__":
    sys.exit(main())
