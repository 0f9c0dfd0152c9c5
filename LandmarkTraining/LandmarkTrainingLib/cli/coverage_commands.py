"""``autovolume coverage`` and ``autovolume risk``: measure what a model says of its own plans."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .run_arguments import at_least

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

    from ..core.coverage.calibration import Scores
    from ..core.coverage.risk.cases import RiskCase
    from ..core.evaluation.case_log import CaseResult


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    _register_risk(commands)
    coverage = commands.add_parser("coverage", description="Measure how well the stated uncertainty matches the errors")
    coverage.add_argument("--cases", required=True, type=Path, metavar="FILE", help="cases.jsonl of an evaluation")
    coverage.add_argument(
        "--data", type=Path, metavar="DIR", help="of heads: heads.csv with their subjects (without: evaluate --labels)"
    )
    coverage.add_argument(
        "--labels", required=True, type=Path, metavar="DIR", help="label maps: those of the cases, or to simulate heads"
    )
    coverage.add_argument(
        "--heads",
        type=int,
        nargs="+",
        default=[19, 20],
        metavar="NN",
        help="with --data: numbers of held-out label maps",
    )
    coverage.add_argument(
        "--corrected", action="store_true", help="PC, LVAC and LVPC of the truth where human raters place them"
    )
    coverage.add_argument(
        "--studies", type=at_least(1), default=240, help="with --data: simulated studies (default: 240)"
    )
    coverage.add_argument("--split", default="validation", choices=("train", "validation"))
    coverage.add_argument("--model", metavar="NAME|DIR", help="default: the current one")
    coverage.add_argument("--protocol", default="BrainAcPc", metavar="NAME|FILE")
    coverage.add_argument("--box", metavar="NAME", help="one of the protocol's boxes, default: its first")
    coverage.add_argument("--output", required=True, type=Path, metavar="DIR", help="coverage.md and coverage.png")
    coverage.add_argument("--record", type=Path, metavar="BUNDLE", help="write the factors into this bundle's metadata")
    coverage.set_defaults(run=run_coverage)


def _register_risk(commands: argparse._SubParsersAction) -> None:
    risk = commands.add_parser("risk", description="Measure how probable it is that a plan of a model is wrong")
    risk.add_argument("--labels", required=True, type=Path, metavar="DIR", help="label maps of several people")
    risk.add_argument("--volumes", type=Path, metavar="DIR", help="heads.csv and heads/: those of split train are cut")
    risk.add_argument("--studies", type=at_least(1), default=800, help="simulated and cut (default: 800)")
    risk.add_argument("--model", metavar="NAME|DIR", help="default: the current one")
    risk.add_argument("--backend", default="auto", choices=("auto", "torch", "onnx"), help="default: auto")
    risk.add_argument("--protocol", default="BrainAcPc", metavar="NAME|FILE")
    risk.add_argument("--box", metavar="NAME", help="one of the protocol's boxes, default: its first")
    risk.add_argument("--output", required=True, type=Path, metavar="DIR", help="plans.jsonl (resumed) and risk.md")
    risk.add_argument("--record", type=Path, metavar="BUNDLE", help="write the risk into this bundle's metadata")
    risk.set_defaults(run=run_risk)


def run_risk(arguments: argparse.Namespace) -> int:
    """``autovolume risk``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place
    from AutoVolumeCalibrationLib.core.models.anatomies import model_for
    from AutoVolumeCalibrationLib.core.models.bundle import load_model

    from ..core.coverage.risk import measurement
    from ..core.training.bundle_export import record_risk

    protocol = load_protocol(arguments.protocol)
    model = load_model(arguments.model or model_for(protocol), backend=arguments.backend)
    source = measurement.study_source(arguments.labels, arguments.volumes, protocol, box_rule(protocol, arguments.box))
    require_place(arguments.output, overwrite=True)
    fitted, text = measurement.measure_risk(model, source, arguments.output, arguments.studies, _say)
    if arguments.record:
        record_risk(arguments.record, fitted.model, fitted.limits, model.sha256)
    print(text)
    return 0


def _say(case: RiskCase) -> None:
    """One line on stderr for each study planned."""
    error = "" if case.rotation_deg is None else f"{case.rotation_deg:.1f} deg, {case.center_mm:.1f} mm"
    outcome = "refused" if not case.planned else ("wrong " if case.wrong else "") + error
    print(f"{case.number}: {case.kind}, {case.person}, {case.slices} per plane: {outcome}", file=sys.stderr, flush=True)


def run_coverage(arguments: argparse.Namespace) -> int:
    """``autovolume coverage``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place
    from AutoVolumeCalibrationLib.core.models.anatomies import model_for
    from AutoVolumeCalibrationLib.core.models.bundle import load_model
    from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of

    from ..core.coverage import calibration as coverage_calibration
    from ..core.coverage import report as coverage_report
    from ..core.evaluation.case_log import has_corrected_truth, read_case_log
    from ..core.evaluation.methods import model_name
    from ..core.training.bundle_export import record_coverage

    protocol = load_protocol(arguments.protocol)
    model = load_model(arguments.model or model_for(protocol))
    rule = box_rule(protocol, arguments.box)
    if has_corrected_truth(arguments.cases) != arguments.corrected:
        raise UsageError(
            f"{arguments.cases} was measured {'without' if arguments.corrected else 'with'} corrected points",
            remedy="Evaluate and measure the coverage against the same truth.",
        )
    cases = [case for case in read_case_log(arguments.cases) if case.method == model_name(model)]
    if arguments.data:
        real, simulated = _of_heads(arguments, cases, protocol, model, rule)
        measured = coverage_calibration.measure_coverage([real, *simulated], rule)
    else:
        real, simulated = coverage_calibration.scores_of_maps(cases, arguments.labels), []
        measured = coverage_calibration.simulated_coverage(real, rule)
    require_place(arguments.output, overwrite=True)
    text = coverage_report.coverage_report(real, simulated, rule, measured, coverage_of(rule, ()))
    write_text(arguments.output / "coverage.md", text)
    coverage_report.draw_coverage(real, simulated, rule, arguments.output / "coverage.png")
    if arguments.record:
        record_coverage(arguments.record, measured)
    print(text)
    return 0


def _of_heads(
    arguments: argparse.Namespace,
    cases: list[CaseResult],
    protocol: Protocol,
    model: LandmarkModel,
    rule: BoxRule,
) -> tuple[Scores, list[Scores]]:
    """What real heads say, and what simulated ones do."""
    from ..core.coverage.calibration import scores_of
    from ..core.coverage.studies import simulated_cases
    from ..core.reference_heads.heads import list_heads
    from ..core.simulator.label_heads import load_label_heads

    real = scores_of(cases, {head.id: head.subject for head in list_heads(arguments.data, arguments.split)})
    label_heads = load_label_heads(
        arguments.labels, arguments.heads, protocol.constellation.names, corrected=arguments.corrected
    )
    studies = list(simulated_cases(model, label_heads, protocol, rule, studies=arguments.studies))
    return real, [scores_of(studies, {case.head: case.head for case in studies})]
