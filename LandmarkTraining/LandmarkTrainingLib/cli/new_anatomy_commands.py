"""``autovolume anatomy new`` and ``anatomy scene``, and ``protocol new``: what a new anatomy needs before training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.new_anatomy.draft import Draft

_AXES = ("right", "anterior", "superior")


def register_anatomy(kinds: argparse._SubParsersAction) -> None:
    """Add ``new`` and ``scene`` to the sub-commands of ``anatomy``."""
    text = "Name the landmarks of a new anatomy, and write a point list to place them with in Slicer"
    new = kinds.add_parser("new", help=text, description=text)
    new.add_argument("name", metavar="NAME", help="of the anatomy: letters, digits and _")
    source = new.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--table", type=Path, metavar="FILE.csv", help="columns name, title, definition, mirror, planes (name suffices)"
    )
    source.add_argument("--points", nargs="+", type=Path, metavar="FILE|DIR", help="the names of points placed before")
    new.add_argument("--title", help="what users read (default: NAME)")
    new.add_argument("--output", required=True, type=Path, metavar="FILE.json")
    new.set_defaults(run=run_new)

    text = "Describe a folder of label maps, so that train --labels simulates scouts of them"
    scene = kinds.add_parser("scene", help=text, description=text)
    scene.add_argument("folder", type=Path, metavar="LABELS", help="NAME_01.nii.gz with NAME_01.csv, ...")
    scene.add_argument(
        "--table",
        required=True,
        type=Path,
        metavar="FILE.csv",
        help="columns tissue, labels, and a signal per sequence",
    )
    scene.add_argument("--anatomy", required=True, metavar="NAME|FILE", help="measured anatomy of the landmarks")
    scene.set_defaults(run=run_scene)


def register(commands: argparse._SubParsersAction) -> None:
    """Add ``protocol``."""
    protocol = commands.add_parser("protocol", description="Make a protocol from a box drawn on one case")
    kinds = protocol.add_subparsers(required=True, metavar="COMMAND")
    text = "Write a protocol whose box lies round the landmarks as one that you drew"
    new = kinds.add_parser("new", help=text, description=text)
    new.add_argument("name", metavar="NAME", help="of the protocol: letters, digits and _")
    new.add_argument("--anatomy", required=True, metavar="NAME|FILE", help="measured anatomy")
    new.add_argument("--points", required=True, type=Path, metavar="FILE", help="landmarks of the case")
    new.add_argument("--box", required=True, type=Path, metavar="FILE.mrk.json", help="ROI drawn on the same case")
    new.add_argument("--title", help="what users read (default: NAME)")
    new.add_argument("--slice-axis", choices=_AXES, default="superior", help="slices are stacked along it")
    new.add_argument("--phase-axis", choices=_AXES, default="right", help="of phase encoding, another one")
    new.add_argument("--thickness", type=float, default=3.0, metavar="MM", help="of a slice (default: 3)")
    new.add_argument("--gap", type=float, default=0.0, metavar="MM", help="edge to edge (default: 0)")
    new.add_argument("--output", required=True, type=Path, metavar="FILE.json")
    new.set_defaults(run=run_protocol_new)


def run_new(arguments: argparse.Namespace) -> int:
    """``autovolume anatomy new``."""
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

    from ..core.new_anatomy.draft import pairs_text, template_text

    draft = _draft(arguments)
    template = arguments.output.with_name(f"{arguments.output.stem}.mrk.json")
    for path in (arguments.output, template):
        _require_new(path)
    write_text(arguments.output, draft.text())
    write_text(template, template_text(draft))
    print(f"{len(draft.names)} landmarks; {pairs_text(draft.names, draft.mirror)}")
    print(f"written {arguments.output}: the draft, without positions until anatomy --points --update measures them")
    print(f"written {template}: load it in Slicer, place all points, and save it with each case's image")
    return 0


def run_scene(arguments: argparse.Namespace) -> int:
    """``autovolume anatomy scene``."""
    from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

    from ..core.new_anatomy.anatomy_file import read_measured_anatomy
    from ..core.new_anatomy.drawn_protocol import origin_of
    from ..core.simulator.label_maps import find_label_maps
    from ..core.simulator.scenes.named_tissues import scene_text
    from ..core.simulator.scenes.scene import SCENE_FILE, read_scene

    anatomy = read_measured_anatomy(arguments.anatomy)
    origin = origin_of(anatomy.constellation)
    if origin is None:
        raise UsageError(
            f"no landmark of {anatomy.name} lies at zero",
            source=str(arguments.anatomy),
            remedy="Measure it again with anatomy --points ... --origin NAME.",
        )
    if not arguments.folder.is_dir() or not find_label_maps(arguments.folder):
        raise InputError(
            "holds no label map NAME_01.nii.gz",
            source=str(arguments.folder),
            remedy="Number the label maps at the end.",
        )
    target = arguments.folder / SCENE_FILE
    write_text(target, scene_text(arguments.table, anatomy.constellation, origin))
    scene = read_scene(arguments.folder)
    print(f"{len(scene.table.names)} tissues with air, origin {scene.origin}")
    print(f"written {target}")
    return 0


def run_protocol_new(arguments: argparse.Namespace) -> int:
    """``autovolume protocol new``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
    from AutoVolumeCalibrationLib.core.storage.markups import read_scan_box

    from ..core.datasets.file_pairs import points_in, read_point_file
    from ..core.new_anatomy.anatomy_file import read_measured_anatomy
    from ..core.new_anatomy.drawn_protocol import Slices, drawn_protocol

    _require_new(arguments.output)
    anatomy = read_measured_anatomy(arguments.anatomy)
    if not anatomy.constellation.lines:
        raise UsageError(
            "does not say along which line its anterior axis runs",
            source=str(arguments.anatomy),
            remedy="Measure it again with anatomy --points ... --origin NAME --line FROM TO.",
        )
    text = drawn_protocol(
        arguments.name,
        arguments.title or arguments.name,
        anatomy.name,
        anatomy.constellation,
        points_in(read_point_file(arguments.points)),
        read_scan_box(arguments.box),
        Slices(arguments.slice_axis, arguments.phase_axis, arguments.thickness, arguments.gap),
    )
    write_text(arguments.output, text)
    protocol = load_protocol(arguments.output)
    rule = protocol.boxes[0]
    margins = ", ".join(f"{name} {face.margin_mm:.0f}" for name, face in rule.faces.items())
    tilts = ", ".join(f"{axis} {angle:.0f}" for axis, angle in zip(_AXES, rule.tilt_deg, strict=True))
    print(f"margins beyond the outermost landmarks, mm: {margins}")
    print(f"tilt about the anatomy's axes, deg: {tilts}")
    print(f"written {arguments.output}")
    return 0


def _draft(arguments: argparse.Namespace) -> Draft:
    from ..core.new_anatomy.names_table import draft_of_names, draft_of_table
    from ..core.reference_heads.point_sets import common_names, read_point_sets

    title = arguments.title or arguments.name
    if arguments.table:
        return draft_of_table(arguments.table, arguments.name, title)
    names = common_names(read_point_sets(arguments.points))
    return draft_of_names(names, arguments.name, title, arguments.points[0])


def _require_new(path: Path) -> None:
    from AutoVolumeCalibrationLib.core.errors import UsageError

    if path.suffix != ".json":
        raise UsageError("is not a valid file name", source=str(path), remedy="Let it end in .json.")
    if path.exists():
        raise UsageError("already exists", source=str(path), remedy="Give another file, or remove it.")
