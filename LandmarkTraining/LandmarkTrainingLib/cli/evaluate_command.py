"""``autovolume evaluate``: errors of a model on a data set, on real heads, or on simulated scouts of label maps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .run_arguments import at_least

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

    from ..core.evaluation.baselines import Template
    from ..core.evaluation.case_log import CaseResult

#: Files of each protocol in the output folder.
LOG, REPORT = "cases.jsonl", "report.md"


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = "Measure a model on a data set, heads or label maps"
    evaluate = commands.add_parser("evaluate", description=text)
    data = evaluate.add_mutually_exclusive_group(required=True)
    data.add_argument(
        "--dataset", type=Path, metavar="DIR", help="data set of any anatomy that the model did not learn"
    )
    data.add_argument("--data", type=Path, metavar="DIR", help="heads in random poses: heads.csv and heads/")
    data.add_argument(
        "--labels", type=Path, metavar="DIR", help="label maps of any anatomy that the model did not learn, simulated"
    )
    evaluate.add_argument("--split", default="validation", choices=("train", "validation"))
    evaluate.add_argument("--model", metavar="NAME|DIR", help="default: the current one")
    evaluate.add_argument(
        "--protocol",
        nargs="+",
        default=["BrainAcPc"],
        metavar="NAME|FILE",
        help="of several each has its own folder in DIR",
    )
    evaluate.add_argument("--box", metavar="NAME", help="of the protocol, not with --data (default: its first)")
    evaluate.add_argument("--poses", type=at_least(1), default=5, help="random poses per head or map (default: 5)")
    evaluate.add_argument("--slices", type=int, nargs="+", default=[5, 1], choices=(1, 3, 5), help="per plane")
    evaluate.add_argument("--heads", nargs="+", metavar="ID", help="only these heads or label maps")
    evaluate.add_argument(
        "--corrected", action="store_true", help="PC, LVAC and LVPC of the truth where human raters place them"
    )
    evaluate.add_argument("--template", metavar="ID", help="head of split train for the registration baseline")
    evaluate.add_argument("--rotation", type=float, default=20.0, metavar="DEG")
    evaluate.add_argument("--shift", type=float, default=25.0, metavar="MM")
    evaluate.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    evaluate.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="cases.jsonl (resumed) and report.md; of label maps also pictures of ten cases",
    )
    evaluate.add_argument("--record", type=Path, metavar="BUNDLE", help="write the errors into this bundle's metadata")
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(arguments: argparse.Namespace) -> int:
    """``autovolume evaluate``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.models.anatomies import model_for
    from AutoVolumeCalibrationLib.core.models.bundle import load_model
    from AutoVolumeCalibrationLib.core.models.store import model_folder

    protocols = [load_protocol(name) for name in arguments.protocol]
    arguments.model = arguments.model or model_for(protocols[0])
    model_folder(arguments.model)  # an unknown one is refused before PyTorch is loaded

    from ..core.evaluation import methods
    from ..core.evaluation.evaluation_report import measured_errors
    from ..core.training.bundle_export import record_measurement

    model = load_model(arguments.model, arguments.device)
    measured: dict[str, Any] = {}
    for protocol in protocols:
        folder = arguments.output / protocol.name if len(protocols) > 1 else arguments.output
        results = _measured(arguments, protocol, model, folder)
        measured[protocol.name] = measured_errors(results, methods.model_name(model))
    if arguments.record:
        record_measurement(arguments.record, measured if len(protocols) > 1 else measured[protocols[0].name])
    return 0


def _measured(
    arguments: argparse.Namespace, protocol: Protocol, model: LandmarkModel, folder: Path
) -> list[CaseResult]:
    """The results of one protocol, and its report."""
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

    from ..core.evaluation.evaluation_report import report

    measure = _on_dataset if arguments.dataset else _on_label_maps if arguments.labels else _on_heads
    results = measure(arguments, protocol, model, folder)
    text = report(results)
    if arguments.corrected:
        text += "\nTruth: PC, LVAC and LVPC moved to where human raters place them.\n"
    write_text(folder / REPORT, text)
    print(text)
    return results


def _on_dataset(
    arguments: argparse.Namespace, protocol: Protocol, model: LandmarkModel, folder: Path
) -> list[CaseResult]:
    """The model and the typical anatomy on the studies that the model did not learn."""
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place
    from AutoVolumeCalibrationLib.core.models.store import model_folder

    from ..core.datasets.anatomy_fit import require_fit
    from ..core.datasets.frozen_set import unlearnt_studies
    from ..core.evaluation import methods
    from ..core.evaluation.dataset_measurement import measure_on_dataset

    if arguments.corrected or arguments.heads or arguments.template:
        raise UsageError("--corrected, --heads and --template are for heads (--data)", remedy="Leave them out.")
    require_fit(arguments.dataset, protocol)
    chosen = unlearnt_studies(arguments.dataset, [model_folder(arguments.model)])
    require_place(folder, overwrite=True)
    return measure_on_dataset(
        methods.standard_methods(model, protocol, None, arguments.box),
        protocol,
        arguments.dataset,
        chosen,
        box=arguments.box,
        log=folder / LOG,
    )


def _on_heads(
    arguments: argparse.Namespace, protocol: Protocol, model: LandmarkModel, folder: Path
) -> list[CaseResult]:
    """The model and the baselines on real heads in random poses."""
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place

    from ..core.evaluation import evaluation, methods
    from ..core.reference_heads.heads import list_heads, with_corrected_points

    template = _template(arguments) if arguments.template else None
    chosen = [h for h in list_heads(arguments.data, arguments.split) if h.id in (arguments.heads or [h.id])]
    if arguments.corrected:
        chosen = [with_corrected_points(head) for head in chosen]
    require_place(folder, overwrite=True)
    return evaluation.evaluate(
        methods.standard_methods(model, protocol, template),
        protocol,
        chosen,
        poses_per_head=arguments.poses,
        geometries={f"P{n}": evaluation.GEOMETRIES[f"P{n}"] for n in arguments.slices},
        conditions=evaluation.Conditions(max_rotation_deg=arguments.rotation, max_shift_mm=arguments.shift),
        log=folder / LOG,
    )


def _on_label_maps(
    arguments: argparse.Namespace, protocol: Protocol, model: LandmarkModel, folder: Path
) -> list[CaseResult]:
    """The model and the typical anatomy on simulated scouts, and pictures of some of them."""
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place

    from ..core.evaluation import methods
    from ..core.evaluation.evaluation import GEOMETRIES
    from ..core.evaluation.simulated import cases as simulated
    from ..core.evaluation.simulated.pictures import draw_cases

    if arguments.corrected or arguments.template:
        raise UsageError("--corrected and --template are for heads (--data)", remedy="Leave them out.")
    maps = simulated.chosen_maps(arguments.labels, arguments.heads)
    conditions = simulated.SimulatedConditions(
        max_rotation_deg=arguments.rotation, max_shift_mm=arguments.shift, box=arguments.box
    )
    geometries = {f"P{n}": GEOMETRIES[f"P{n}"] for n in arguments.slices}
    cases = simulated.LabelMapCases(arguments.labels, maps, protocol, conditions, geometries)
    require_place(folder, overwrite=True)
    results = simulated.evaluate_label_maps(
        methods.standard_methods(model, protocol, None, arguments.box),
        cases,
        poses=arguments.poses,
        log=folder / LOG,
        progress=_say,
    )
    draw_cases(results, cases, model, folder)
    return results


def _say(case: CaseResult) -> None:
    """One line on stderr for each case measured."""
    errors = f"{case.box.rotation_deg:.1f} deg, {case.box.center_mm:.1f} mm" if case.box else f"refused: {case.failure}"
    print(f"{case.head} pose {case.pose} {case.geometry}, {case.method}: {errors}", file=sys.stderr, flush=True)


def _template(arguments: argparse.Namespace) -> Template:
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.evaluation.baselines import Template
    from ..core.reference_heads.heads import list_heads

    heads = {head.id: head for head in list_heads(arguments.data, "train")}
    if arguments.template not in heads:
        raise UsageError(f"no head {arguments.template} in split train", remedy=f"Choose one of: {', '.join(heads)}.")
    head = heads[arguments.template]
    return Template(head.volume(), head.points)
