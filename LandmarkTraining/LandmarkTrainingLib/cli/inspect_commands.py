"""``autovolume inspect``: pictures of a model's kernels, feature maps and heatmaps; ``export-onnx``: its graph."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from LandmarkTrainingLib.core.training.bundle_inspection import InspectedModel


def register(commands: argparse._SubParsersAction) -> None:
    """Add both commands."""
    parser = commands.add_parser("inspect", description="Draw the kernels, feature maps and heatmaps of a model")
    parser.add_argument("model", metavar="MODEL", help="name or bundle folder")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for the pictures")
    parser.add_argument("--scouts", nargs="+", metavar="SCOUT", help="DICOM folder or file, or image file")
    parser.add_argument("--plane", default="sagittal", choices=("sagittal", "coronal", "axial"), help="of the slice")
    parser.add_argument("--slice", type=int, metavar="N", help="number of the slice from 1 (default: the middle one)")
    parser.add_argument(
        "--layer", action="append", default=[], metavar="NAME", help="layer whose feature maps to draw (repeatable)"
    )
    parser.set_defaults(run=run_inspect)
    export = commands.add_parser("export-onnx", description="Add the ONNX graph to a bundle, to plan without PyTorch")
    export.add_argument("model", metavar="MODEL", help="name or bundle folder")
    export.set_defaults(run=run_export_onnx)


def run_export_onnx(arguments: argparse.Namespace) -> int:
    """``autovolume export-onnx``: runs again after the weights have changed."""
    from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
    from AutoVolumeCalibrationLib.core.models.store import model_folder
    from LandmarkTrainingLib.core.export.onnx_graph import FILE, add_graph, missing_packages

    if missing := missing_packages():
        raise UsageError(f"needs the package {missing[0]}", remedy=f"Install it: pip install {missing[0]}")
    folder = model_folder(arguments.model)
    if reason := add_graph(folder):
        raise ModelError(f"has no ONNX graph: {reason}", source=str(folder), remedy="Plan with backend torch.")
    print(f"written {folder / FILE}")
    return 0


def run_inspect(arguments: argparse.Namespace) -> int:
    """``autovolume inspect``: kernels always, feature maps and heatmaps with scouts."""
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from AutoVolumeCalibrationLib.core.files.output_folder import require_place
    from LandmarkTrainingLib.core.evaluation.pictures import kernel_picture
    from LandmarkTrainingLib.core.training.bundle_inspection import open_model

    if arguments.layer and not arguments.scouts:
        raise UsageError("feature maps need a slice", remedy="Give --scouts.")
    model = open_model(arguments.model)
    image = _read_slice(model, arguments) if arguments.scouts else None
    require_place(arguments.output, overwrite=True)
    written = [] if image is None else _draw_slice(model, image, arguments)
    written.append(arguments.output / "kernels.png")
    kernel_picture(model.network, written[-1])
    for path in written:
        print(f"written {path}")
    print(f"layers: {', '.join(model.layers())}")
    return 0


def _read_slice(model: InspectedModel, arguments: argparse.Namespace) -> torch.Tensor:
    from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
    from LandmarkTrainingLib.core.training.bundle_inspection import slice_as_seen

    stacks = read_scouts(arguments.scouts, force=True)
    return slice_as_seen(model, stacks, arguments.plane, arguments.slice)


def _draw_slice(model: InspectedModel, image: torch.Tensor, arguments: argparse.Namespace) -> list[Path]:
    from LandmarkTrainingLib.core.evaluation.heatmap_picture import heatmap_picture
    from LandmarkTrainingLib.core.evaluation.pictures import feature_picture

    maps = {name: arguments.output / f"features_{arguments.plane}_{name}.png" for name in arguments.layer}
    for name, path in maps.items():
        feature_picture(model.network, image, name, path)
    heatmaps = arguments.output / f"heatmaps_{arguments.plane}.png"
    title = f"{arguments.model}, {arguments.plane} slice: heatmaps and their peak values"
    heatmap_picture(model.network, image, model.targets, model.names, heatmaps, threshold=model.threshold, title=title)
    return [heatmaps, *maps.values()]
