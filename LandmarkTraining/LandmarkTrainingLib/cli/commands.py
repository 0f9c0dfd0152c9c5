"""The commands of LandmarkTraining: ``render``, ``evaluate``, and those of the files beside this one.

A command imports its implementation when it runs, so that registering it costs nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from . import (
    anatomy_command,
    compare_commands,
    coverage_commands,
    crossvalidate_commands,
    dataset_commands,
    inspect_commands,
    knee_commands,
    new_anatomy_commands,
    rate_commands,
    search_commands,
    training_commands,
    xray_commands,
)
from .run_arguments import at_least

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

    from ..core.evaluation.baselines import Template
    from ..core.evaluation.case_log import CaseResult


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    _register_render(commands)
    training_commands.register(commands)
    dataset_commands.register(commands)
    _register_evaluate(commands)
    coverage_commands.register(commands)
    compare_commands.register(commands)
    search_commands.register(commands)
    crossvalidate_commands.register(commands)
    rate_commands.register(commands)
    inspect_commands.register(commands)
    xray_commands.register(commands)
    anatomy_command.register(commands)
    knee_commands.register(commands)
    new_anatomy_commands.register(commands)


def _register_render(commands: argparse._SubParsersAction) -> None:
    render = commands.add_parser("render", description="Simulate scout studies with exactly known landmarks")
    source = render.add_mutually_exclusive_group(required=True)
    source.add_argument("--labels", type=Path, metavar="DIR", help="label maps: random contrast, pose and shape")
    source.add_argument("--volumes", type=Path, metavar="DIR", help="real volumes (heads.csv): random poses")
    render.add_argument("--protocol", default="BrainAcPc", metavar="NAME|FILE", help="whose landmarks, of label maps")
    render.add_argument("--split", default="train", choices=("train", "validation"), help="of the volumes")
    render.add_argument("--output", required=True, type=Path, metavar="DIR")
    render.add_argument("--count", type=at_least(1), default=10, help="studies (default: 10)")
    render.add_argument("--slices", type=at_least(1), default=5, help="per plane (default: 5)")
    render.add_argument("--seed", type=at_least(0), default=0)
    render.set_defaults(run=run_render)


def _register_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", description="Measure the errors of a model on a data set or real heads")
    data = evaluate.add_mutually_exclusive_group(required=True)
    data.add_argument(
        "--dataset", type=Path, metavar="DIR", help="data set of any anatomy that the model did not learn"
    )
    data.add_argument("--data", type=Path, metavar="DIR", help="heads in random poses: heads.csv and heads/")
    evaluate.add_argument("--split", default="validation", choices=("train", "validation"))
    evaluate.add_argument("--model", metavar="NAME|DIR", help="default: the current one")
    evaluate.add_argument("--protocol", default="BrainAcPc", metavar="NAME|FILE")
    evaluate.add_argument("--box", metavar="NAME", help="of the protocol, with --dataset (default: its first)")
    evaluate.add_argument("--poses", type=at_least(1), default=5, help="random poses per head (default: 5)")
    evaluate.add_argument("--slices", type=int, nargs="+", default=[5, 1], choices=(1, 3, 5), help="per plane")
    evaluate.add_argument("--heads", nargs="+", metavar="ID", help="only these heads")
    evaluate.add_argument(
        "--corrected", action="store_true", help="PC, LVAC and LVPC of the truth where human raters place them"
    )
    evaluate.add_argument("--template", metavar="ID", help="head of split train for the registration baseline")
    evaluate.add_argument("--rotation", type=float, default=20.0, metavar="DEG")
    evaluate.add_argument("--shift", type=float, default=25.0, metavar="MM")
    evaluate.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    evaluate.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="cases.jsonl (resumed) and report.md"
    )
    evaluate.add_argument("--record", type=Path, metavar="BUNDLE", help="write the errors into this bundle's metadata")
    evaluate.set_defaults(run=run_evaluate)


def run_render(arguments: argparse.Namespace) -> int:
    """``autovolume render``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
    from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset

    from ..core.simulator import study_rendering as rendering

    constellation = load_protocol(arguments.protocol).constellation
    geometry = ScoutGeometry(slices=arguments.slices)
    if arguments.labels:
        studies = rendering.studies_of_labels(
            arguments.labels, constellation, geometry, arguments.count, arguments.seed
        )
    else:
        studies = rendering.studies_of_volumes(
            arguments.volumes, arguments.split, constellation, geometry, arguments.count, arguments.seed
        )
    written = write_dataset(arguments.output, studies, constellation)
    print(f"{written} studies in {arguments.output}")
    return 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    """``autovolume evaluate``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
    from AutoVolumeCalibrationLib.core.models.anatomies import model_for
    from AutoVolumeCalibrationLib.core.models.bundle import load_model

    from ..core.evaluation import methods
    from ..core.evaluation.evaluation_report import measured_errors, report
    from ..core.training.bundle_export import record_measurement

    protocol = load_protocol(arguments.protocol)
    arguments.model = arguments.model or model_for(protocol)
    model = load_model(arguments.model, arguments.device)
    measure = _on_dataset if arguments.dataset else _on_heads
    results = measure(arguments, protocol, model)
    if arguments.record:
        record_measurement(arguments.record, measured_errors(results, methods.model_name(model)))
    text = report(results)
    if arguments.corrected:
        text += "\nTruth: PC, LVAC and LVPC moved to where human raters place them.\n"
    write_text(arguments.output / "report.md", text)
    print(text)
    return 0


def _on_dataset(arguments: argparse.Namespace, protocol: Protocol, model: LandmarkModel) -> list[CaseResult]:
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
    require_place(arguments.output, overwrite=True)
    return measure_on_dataset(
        methods.standard_methods(model, protocol, None, arguments.box),
        protocol,
        arguments.dataset,
        chosen,
        box=arguments.box,
        log=arguments.output / "cases.jsonl",
    )


def _on_heads(arguments: argparse.Namespace, protocol: Protocol, model: LandmarkModel) -> list[CaseResult]:
    """The model and the baselines on real heads in random poses."""
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place

    from ..core.evaluation import evaluation, methods
    from ..core.reference_heads.heads import list_heads, with_corrected_points

    template = _template(arguments) if arguments.template else None
    chosen = [h for h in list_heads(arguments.data, arguments.split) if h.id in (arguments.heads or [h.id])]
    if arguments.corrected:
        chosen = [with_corrected_points(head) for head in chosen]
    require_place(arguments.output, overwrite=True)
    return evaluation.evaluate(
        methods.standard_methods(model, protocol, template),
        protocol,
        chosen,
        poses_per_head=arguments.poses,
        geometries={f"P{n}": evaluation.GEOMETRIES[f"P{n}"] for n in arguments.slices},
        conditions=evaluation.Conditions(max_rotation_deg=arguments.rotation, max_shift_mm=arguments.shift),
        log=arguments.output / "cases.jsonl",
    )


def _template(arguments: argparse.Namespace) -> Template:
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.evaluation.baselines import Template
    from ..core.reference_heads.heads import list_heads

    heads = {head.id: head for head in list_heads(arguments.data, "train")}
    if arguments.template not in heads:
        raise UsageError(f"no head {arguments.template} in split train", remedy=f"Choose one of: {', '.join(heads)}.")
    head = heads[arguments.template]
    return Template(head.volume(), head.points)
