"""``autovolume anatomy``: measure where the landmarks of an anatomy lie, from label maps or from people's points."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .new_anatomy_commands import register_anatomy

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation

    from ..core.new_anatomy.draft import Draft
    from ..core.reference_heads.people import PeopleShape
    from ..core.reference_heads.point_sets import PointSet
    from ..core.reference_heads.shape_frame import ShapeFrame

_REMEDY = "Correct the anatomy file."


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    anatomy = commands.add_parser("anatomy", description="Name the landmarks of an anatomy, measure where they lie")
    register_anatomy(anatomy.add_subparsers(metavar="COMMAND", help="before people's points are there"))
    source = anatomy.add_mutually_exclusive_group()
    source.add_argument(
        "--labels", type=Path, metavar="DIR", help="folder with head_NN.nii.gz and .csv, or with *_NNv.nii.gz of knees"
    )
    source.add_argument(
        "--points", nargs="+", type=Path, metavar="FILE|DIR", help="one file per person: .csv, .fcsv, .mrk.json"
    )
    target = anatomy.add_mutually_exclusive_group()
    target.add_argument(
        "--update", type=Path, metavar="FILE", help="anatomy JSON (or draft of anatomy new) whose numbers to replace"
    )
    target.add_argument("--create", type=Path, metavar="FILE", help="write a new anatomy JSON of all points")
    anatomy.add_argument(
        "--keep-variation", action="store_true", help="with --update: replace the mean positions and leave the rest"
    )
    anatomy.add_argument("--output", type=Path, metavar="FILE", help="write the measurement with all standard errors")
    anatomy.add_argument("--origin", metavar="NAME", help="landmark at zero (default: AC where there are AC and PC)")
    anatomy.add_argument(
        "--line", nargs=2, metavar=("FROM", "TO"), help="landmarks along +anterior (default: PC AC where there are)"
    )
    anatomy.set_defaults(run=run_anatomy)


def run_anatomy(arguments: argparse.Namespace) -> int:
    """``autovolume anatomy``."""
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.reference_heads.constellation import update_anatomy
    from ..core.reference_knees.constellation import describes_knee, update_knee

    if arguments.points:
        return _measure_points(arguments)
    if not arguments.labels:
        raise UsageError("nothing to measure is named", remedy="Give --points or --labels, or anatomy new NAME.")
    if not arguments.update:
        raise UsageError("label maps are measured for an anatomy file", remedy="Give --update FILE.")
    update = update_knee if describes_knee(arguments.update) else update_anatomy
    update(arguments.update, arguments.labels)
    print(f"measured {arguments.update}")
    return 0


def _measure_points(arguments: argparse.Namespace) -> int:
    from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict

    from ..core.new_anatomy.anatomy_file import read_any_anatomy
    from ..core.new_anatomy.draft import pairs_text
    from ..core.reference_heads import point_sets, points_anatomy
    from ..core.reference_heads.people import measure_people

    if arguments.update and (draft := read_any_anatomy(arguments.update).draft):
        return _measure_draft(arguments, draft)
    data = _read_anatomy(arguments.update) if arguments.update else None
    known = constellation_from_dict(data, arguments.update) if data else None
    sets = point_sets.read_point_sets(arguments.points)
    if known:
        sets, others = point_sets.with_names_of(sets, known.names)
        if others:
            print(f"left out, not in {arguments.update.name}: {', '.join(others)}")
        placed = point_sets.common_names(sets)
        names = [name for name in known.names if name in placed]
        mirror = points_anatomy.pairs_of(known, names)
        reference = dict(zip(known.names, known.reference_mm, strict=True))
    else:
        names = point_sets.common_names(sets)
        sets, _ = point_sets.with_names_of(sets, names)
        mirror, reference = points_anatomy.pairs_by_name(names), None
        print(pairs_text(names, mirror))
    frame = _frame(arguments, names)
    point_sets.require_alike(sets, names, mirror, frame, reference)
    people = measure_people(sets, names, mirror, frame, known)
    written, pitches = _anatomy_of(arguments, data, people, sets, frame)
    _write(arguments, people, written, pitches)
    return 0


def _measure_draft(arguments: argparse.Namespace, draft: Draft) -> int:
    """Turn the draft of ``anatomy new`` into an anatomy, in its own file."""
    from AutoVolumeCalibrationLib.core.errors import InputError, shortened

    from ..core.new_anatomy.draft import measured
    from ..core.reference_heads import point_sets
    from ..core.reference_heads.people import measure_people

    sets, others = point_sets.with_names_of(point_sets.read_point_sets(arguments.points), draft.names)
    if others:
        print(f"left out, not in {arguments.update.name}: {', '.join(others)}")
    unplaced = [name for name in draft.names if not any(name in each.points for each in sets)]
    if unplaced:
        raise InputError(
            f"nobody placed {shortened(unplaced)}",
            source=str(arguments.points[0]),
            remedy=f"Place these points too, or take them out of {arguments.update.name}.",
        )
    names, frame = list(draft.names), _frame(arguments, draft.names)
    point_sets.require_alike(sets, names, draft.mirror, frame)
    people = measure_people(sets, names, draft.mirror, frame, None)
    content, pitches = _anatomy_of(arguments, None, people, sets, frame)
    _write(arguments, people, measured(draft, content), pitches)
    return 0


def _anatomy_of(
    arguments: argparse.Namespace,
    data: Mapping[str, Any] | None,
    people: PeopleShape,
    sets: Sequence[PointSet],
    frame: ShapeFrame,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of the anatomy file, and what was measured of the line (empty without one)."""
    import numpy as np

    from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict

    from ..core.reference_heads import points_anatomy

    name = (arguments.create or Path("anatomy")).stem
    if data:
        content = points_anatomy.with_places_of(data, people, arguments.update, keep_variation=arguments.keep_variation)
    else:
        content = points_anatomy.new_anatomy(people, name, f"Points of {people.people} people.")
    if frame.line is None or frame.origin is None:
        return content, {}
    fitted: Constellation = constellation_from_dict(content, arguments.update or name)
    variation, pitches = points_anatomy.line_variation(sets, fitted, frame, arguments.update or name)
    count = len(pitches)
    found = {
        "from": list(frame.line[0]),
        "to": list(frame.line[1]),
        "pitch_mean_deg": round(float(pitches.mean()), 3),
        "pitch_mean_se_deg": round(variation.pitch_sd_deg / count**0.5, 3),
        "pitch_sd_deg": round(variation.pitch_sd_deg, 3),
        "pitch_sd_se_deg": round(variation.pitch_sd_deg / (2 * (count - 1)) ** 0.5, 3),
        "pitch_p95_deg": round(float(np.quantile(np.abs(pitches), 0.95)), 3),
    }
    return points_anatomy.with_line(content, variation), found


def _write(
    arguments: argparse.Namespace, people: PeopleShape, anatomy: dict[str, Any], line: Mapping[str, Any]
) -> None:
    """The files that were asked for, and the tables on the console."""
    from AutoVolumeCalibrationLib.core.errors import ProtocolError
    from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
    from AutoVolumeCalibrationLib.core.files.json_files import json_text, require_schema

    target = arguments.update or arguments.create
    texts = {}
    if target:
        require_schema(anatomy, "anatomy", target, ProtocolError, "Choose a file name of letters, digits and _.")
        texts[target] = json_text(anatomy)
    if arguments.output:
        texts[arguments.output] = json_text({**people.to_dict(), "line": line or None})
    for path, text in texts.items():
        write_text(path, text)
    print(_table(people))
    if line:
        print(
            f"line {', '.join(line['from'])} -> {', '.join(line['to'])}: pitched by {line['pitch_mean_deg']:+.2f} "
            f"+- {line['pitch_mean_se_deg']:.2f} deg against the fitted shape, sd {line['pitch_sd_deg']:.2f} "
            f"+- {line['pitch_sd_se_deg']:.2f} deg"
        )
    for path in texts:
        print(f"written {path}")


def _table(people: PeopleShape) -> str:
    """Places, deviations and asymmetry with standard errors, one landmark a row."""
    from ..core.evaluation.metrics import markdown_table

    def cell(values: Any, errors: Any) -> str:
        return ", ".join(f"{value:.1f} ({error:.1f})" for value, error in zip(values, errors, strict=True))

    shape = people.aligned
    rows = [
        [
            name,
            int(people.counts[i]),
            cell(shape.mean_mm[i], people.mean_se_mm[i]),
            cell(shape.sd_mm[i], people.sd_se_mm[i]),
            cell(people.asymmetry_mm[i], people.asymmetry_se_mm[i]),
        ]
        for i, name in enumerate(people.names)
    ]
    header = [f"right, anterior, superior mm (standard error), {people.people} people", "people", "mean", "sd"]
    return markdown_table([*header, "asymmetry"], rows)


def _frame(arguments: argparse.Namespace, names: Sequence[str]) -> ShapeFrame:
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.reference_heads.shape_frame import AC_PC, ShapeFrame

    if arguments.line and not arguments.origin:
        raise UsageError("a line needs an origin", remedy="Give --origin NAME too.")
    if arguments.origin:
        line = tuple((end,) for end in arguments.line) if arguments.line else None
        frame = ShapeFrame(arguments.origin, (line[0], line[1]) if line else None)
    else:
        frame = AC_PC if set(AC_PC.landmarks) <= set(names) else ShapeFrame()
    unknown = [name for name in frame.landmarks if name not in names]
    if unknown:
        raise UsageError(f"no landmark {unknown[0]} among the points", remedy=f"Choose one of: {', '.join(names)}.")
    return frame


def _read_anatomy(path: Path) -> dict[str, Any]:
    from AutoVolumeCalibrationLib.core.errors import ProtocolError
    from AutoVolumeCalibrationLib.core.files.json_files import read_json, require_schema

    data: dict[str, Any] = read_json(path, ProtocolError, _REMEDY)
    require_schema(data, "anatomy", path, ProtocolError, _REMEDY)
    return data
