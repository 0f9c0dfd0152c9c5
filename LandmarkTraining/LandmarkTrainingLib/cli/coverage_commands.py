"""``autovolume coverage``: measure how often a model's stated uncertainty holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from .run_arguments import at_least


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    coverage = commands.add_parser("coverage", description="Measure how well the stated uncertainty matches the errors")
    coverage.add_argument("--cases", required=True, type=Path, metavar="FILE", help="cases.jsonl of an evaluation")
    coverage.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="heads.csv with the subjects of the heads"
    )
    coverage.add_argument("--labels", required=True, type=Path, metavar="DIR", help="label maps to simulate heads from")
    coverage.add_argument(
        "--heads", type=int, nargs="+", default=[19, 20], metavar="NN", help="numbers of held-out label maps"
    )
    coverage.add_argument(
        "--corrected", action="store_true", help="PC, LVAC and LVPC of the truth where human raters place them"
    )
    coverage.add_argument("--studies", type=at_least(1), default=240, help="simulated studies (default: 240)")
    coverage.add_argument("--split", default="validation", choices=("train", "validation"))
    coverage.add_argument("--model", metavar="NAME|DIR", help="default: the current one")
    coverage.add_argument("--protocol", default="BrainAcPc", metavar="NAME|FILE")
    coverage.add_argument("--box", metavar="NAME", help="one of the protocol's boxes, default: its first")
    coverage.add_argument("--output", required=True, type=Path, metavar="DIR", help="coverage.md and coverage.png")
    coverage.add_argument("--record", type=Path, metavar="BUNDLE", help="write the factors into this bundle's metadata")
    coverage.set_defaults(run=run_coverage)


def run_coverage(arguments: argparse.Namespace) -> int:
    """``autovolume coverage``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place
    from AutoVolumeCalibrationLib.core.models.bundle import load_model
    from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of

    from ..core.coverage import calibration as coverage_calibration
    from ..core.coverage import report as coverage_report
    from ..core.coverage.studies import simulated_cases
    from ..core.evaluation.case_log import has_corrected_truth, read_case_log
    from ..core.evaluation.methods import model_name
    from ..core.reference_heads.heads import list_heads
    from ..core.simulator.label_heads import load_label_heads
    from ..core.training.bundle_export import record_coverage

    protocol, model = load_protocol(arguments.protocol), load_model(arguments.model)
    rule = box_rule(protocol, arguments.box)
    if has_corrected_truth(arguments.cases) != arguments.corrected:
        raise UsageError(
            f"{arguments.cases} was measured {'without' if arguments.corrected else 'with'} corrected points",
            remedy="Evaluate and measure the coverage against the same truth.",
        )
    subjects = {head.id: head.subject for head in list_heads(arguments.data, arguments.split)}
    cases = [case for case in read_case_log(arguments.cases) if case.method == model_name(model)]
    real = coverage_calibration.scores_of(cases, subjects)
    label_heads = load_label_heads(
        arguments.labels, arguments.heads, protocol.constellation.names, corrected=arguments.corrected
    )
    studies = list(simulated_cases(model, label_heads, protocol, rule, studies=arguments.studies))
    simulated = [coverage_calibration.scores_of(studies, {case.head: case.head for case in studies})]
    measured = coverage_calibration.measure_coverage([real, *simulated], rule)
    require_place(arguments.output, overwrite=True)
    text = coverage_report.coverage_report(real, simulated, rule, measured, coverage_of(rule, ()))
    write_text(arguments.output / "coverage.md", text)
    coverage_report.draw_coverage(real, simulated, rule, arguments.output / "coverage.png")
    if arguments.record:
        record_coverage(arguments.record, measured)
    print(text)
    return 0
