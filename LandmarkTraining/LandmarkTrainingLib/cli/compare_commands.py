"""``autovolume compare``, ``promote`` and ``roll-back``: choose the default model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .run_arguments import at_least

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol

    from ..core.experiments.comparison_run import Contestants
    from ..core.experiments.model_comparison import Comparison

DEFAULT_PROTOCOL = "BrainAcPc"


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    compare = commands.add_parser("compare", description="Compare models on the same cases")
    compare.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="names or bundle folders; current: the anatomy's default",
    )
    data = compare.add_mutually_exclusive_group(required=True)
    data.add_argument("--dataset", type=Path, metavar="DIR", help="a data set that no model learnt from")
    data.add_argument("--data", type=Path, metavar="DIR", help="real heads (heads.csv) in random poses, as evaluate")
    compare.add_argument(
        "--protocol",
        metavar="NAME|FILE",
        help=f"default: the one that the studies of --dataset were planned with, else {DEFAULT_PROTOCOL}",
    )
    compare.add_argument(
        "--box", metavar="NAME", help="one of the protocol's boxes (default: the studies', or its first)"
    )
    compare.add_argument("--poses", type=at_least(1), default=2, help="random poses per head of --data (default: 2)")
    compare.add_argument(
        "--slices", type=int, nargs="+", default=[5, 1], choices=(1, 3, 5), help="per plane, of --data (default: 5 1)"
    )
    compare.add_argument("--heads", nargs="+", metavar="ID", help="only these heads of --data")
    compare.add_argument(
        "--corrected", action="store_true", help="of --data: PC, LVAC and LVPC where human raters place them"
    )
    compare.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    compare.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="cases.jsonl (resumed), comparison.json and .md"
    )
    compare.set_defaults(run=run_compare)

    promote = commands.add_parser("promote", description="Make a model the default, if a comparison shows it is better")
    promote.add_argument("bundle", type=Path, metavar="BUNDLE")
    promote.add_argument("--comparison", required=True, type=Path, metavar="FILE", help="comparison.json of compare")
    promote.add_argument(
        "--anyway",
        action="store_true",
        help="also a model that was not shown to be better (too few people, no gain beyond noise); the decision is "
        "recorded in its metadata. Not one that was shown to be worse",
    )
    promote.set_defaults(run=run_promote)

    back = commands.add_parser("roll-back", description="Restore the previous default model")
    back.add_argument("--anatomy", default="brain", metavar="NAME", help="whose model (default: brain)")
    back.set_defaults(run=run_roll_back)


def run_compare(arguments: argparse.Namespace) -> int:
    """``autovolume compare``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.experiments.comparison_report import markdown, write_comparison
    from ..core.experiments.comparison_run import compare_on_dataset, load_contestants

    name, box = _protocol_and_box(arguments)
    protocol = load_protocol(name)
    box = box_rule(protocol, box).name
    contestants = load_contestants(arguments.models, protocol, arguments.device, box)
    if arguments.dataset:
        if arguments.corrected:
            raise UsageError("the points of a data set stay as they are", remedy="Choose real heads (--data).")
        comparison = compare_on_dataset(
            contestants, protocol, arguments.dataset, arguments.output, box=box, progress=_say
        )
    else:
        comparison = _compare_on_heads(contestants, protocol, box, arguments)
    path = write_comparison(arguments.output, comparison)
    print(markdown(comparison))
    print(f"written {path}")
    return 0


def _protocol_and_box(arguments: argparse.Namespace) -> tuple[str, str | None]:
    """The protocol and box that are named, else those that the data set was planned with, else the defaults."""
    if arguments.protocol or not arguments.dataset:
        return arguments.protocol or DEFAULT_PROTOCOL, arguments.box
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import list_protocols
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.experiments.comparison_run import planned_in

    protocol, box = planned_in(arguments.dataset)
    if protocol and protocol not in {shipped.name for shipped in list_protocols()}:
        raise UsageError(
            f"its studies were planned with {protocol}, which is not a shipped protocol",
            source=str(arguments.dataset),
            remedy="Name its file with --protocol.",
        )
    return protocol or DEFAULT_PROTOCOL, arguments.box or box


def _compare_on_heads(
    contestants: Contestants, protocol: Protocol, box: str, arguments: argparse.Namespace
) -> Comparison:
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.evaluation.evaluation import GEOMETRIES, Conditions
    from ..core.experiments.comparison_run import compare_on_heads
    from ..core.reference_heads.heads import list_heads, with_corrected_points

    heads = {head.id: head for head in list_heads(arguments.data, "validation")}
    unknown = sorted(set(arguments.heads or ()) - set(heads))
    if unknown:
        raise UsageError(f"no head {unknown[0]} in {arguments.data}", remedy=f"Choose one of: {', '.join(heads)}.")
    chosen = [heads[name] for name in arguments.heads or heads]
    if arguments.corrected:
        chosen = [with_corrected_points(head) for head in chosen]
    return compare_on_heads(
        contestants,
        protocol,
        arguments.data,
        chosen,
        arguments.output,
        poses_per_head=arguments.poses,
        geometries={f"P{n}": GEOMETRIES[f"P{n}"] for n in arguments.slices},
        conditions=Conditions(box=None if box == protocol.boxes[0].name else box),
    )


def run_promote(arguments: argparse.Namespace) -> int:
    """``autovolume promote``."""
    from AutoVolumeCalibrationLib.core.models.store import bundle_anatomy

    from ..core.experiments.promotion import CONSEQUENCE, history, promote

    folder = promote(arguments.bundle, arguments.comparison, anyway=arguments.anyway)
    anatomy = bundle_anatomy(folder)
    reason = history()[-1].reason
    print("\n".join(reason["reasons"]))
    if reason["anyway"]:
        print(f"Promoted anyway: it was not shown to be better. {CONSEQUENCE}")
    print(f"{folder.name} is now the default model of {anatomy}: {folder}")
    print(f"autovolume roll-back --anatomy {anatomy} restores the previous state")
    return 0


def run_roll_back(arguments: argparse.Namespace) -> int:
    """``autovolume roll-back``."""
    from ..core.experiments.promotion import roll_back

    restored = roll_back(arguments.anatomy)
    print(f"{restored} is the default model again" if restored else f"{arguments.anatomy} has no default model again")
    return 0


def _say(done: int, studies: int) -> None:
    print(f"study {done} of {studies}", flush=True)
