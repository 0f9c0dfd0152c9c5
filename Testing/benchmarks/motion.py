"""Which motion of the head between the scouts is found, and how often motion is stated where there was none.

Run: ``python Testing/benchmarks/motion.py DATA [--slices 5 1] [--cases 60] [--real] [--plans]``, DATA holding
``labels/`` (and ``heads.csv`` for ``--real``), or label maps of another anatomy with their ``scene.json`` and
``--protocol``. Without ``--plans`` no network runs: motion is found in the images alone. With it the studies are
planned with the model, too, and the box is compared with that of the study at rest.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import InputError  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_vector  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.motion.motion import FOUND, NOT_COMPARABLE  # noqa: E402
from AutoVolumeCalibrationLib.core.motion.search import find_motion  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow import pipeline  # noqa: E402
from benchmarks.motion_cases.cases import GEOMETRIES, MotionCase, Size, cut_cases, simulated_cases  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.heads import list_heads  # noqa: E402
from LandmarkTrainingLib.core.simulator.label_heads import LabelHeads, find_heads, load_label_heads  # noqa: E402
from LandmarkTrainingLib.core.simulator.label_maps import find_label_maps, load_simulated_anatomy  # noqa: E402
from LandmarkTrainingLib.core.simulator.scenes.scene import SCENE_FILE  # noqa: E402

SIZES = (Size(), Size(1, 0), Size(2, 0), Size(4, 0), Size(0, 1), Size(0, 2), Size(0, 4), Size(2, 2), Size(4, 3))

HEADER = (
    "| slices | motion | studies | found | right plane | not comparable | log odds: least, median, most | "
    "detectable | s |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Print one row of a table for each number of slices and size of motion."""
    arguments = _arguments()
    protocol = load_protocol(arguments.protocol)
    heads = None if arguments.real else _label_maps(arguments.data, protocol.constellation.names)
    real = list_heads(arguments.data, arguments.split) if arguments.real else []
    sizes = [Size(*map(float, text.split(","))) for text in arguments.sizes] if arguments.sizes else SIZES
    print(HEADER)
    for slices in arguments.slices:
        for size in sizes:
            if heads is None:
                cases: Iterable[MotionCase] = islice(cut_cases(real, slices, size, arguments.seed), arguments.cases)
            else:
                cases = simulated_cases(heads, protocol.constellation, slices, size, arguments.cases, arguments.seed)
            print(_row(slices, size, cases), flush=True)
    if arguments.plans:
        _plans(arguments, protocol, heads)


def _label_maps(data: Path, names: Sequence[str]) -> LabelHeads:
    if (data / SCENE_FILE).is_file():
        return load_simulated_anatomy(data, sorted(find_label_maps(data)), names)
    return load_label_heads(data / "labels", find_heads(data / "labels"), names)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--slices", type=int, nargs="+", choices=list(GEOMETRIES), default=[5, 1])
    parser.add_argument("--sizes", nargs="+", metavar="MM,DEG", help="0,0 is at rest; default: a series of both")
    parser.add_argument("--cases", type=int, default=60, help="studies for each row")
    parser.add_argument("--real", action="store_true", help="real heads of heads.csv, each cut once, not label maps")
    parser.add_argument("--split", default="validation", help="of the real heads")
    parser.add_argument("--plans", action="store_true", help="plan the studies, too (label maps only)")
    parser.add_argument("--protocol", default="BrainAcPc", help="whose label maps they are")
    parser.add_argument("--model", help="for --plans; default: the current one")
    parser.add_argument("--seed", type=int, default=12)
    return parser.parse_args()


def _row(slices: int, size: Size, cases: Iterable[MotionCase]) -> str:
    results, seconds = [], []
    for case in cases:
        started = time.process_time()
        results.append((case, find_motion(case.stacks)))
        seconds.append(time.process_time() - started)
    found = [(case, motion) for case, motion in results if motion.state == FOUND]
    right = sum([offset.stack for offset in motion.offsets] == [case.moved] for case, motion in found)
    odds = [motion.log_odds for _, motion in results if motion.state != NOT_COMPARABLE] or [np.nan]
    smallest = [(m.detectable_mm, m.detectable_deg) for _, m in results if m.detectable_mm is not None]
    shift, rotation = np.median(smallest, axis=0) if smallest else (np.nan, np.nan)
    cells = (
        slices,
        size,
        len(results),
        f"{len(found) / max(1, len(results)):.0%}",
        f"{right / len(found):.0%}" if found and size != Size() else "-",
        len(results) - len([m for _, m in results if m.state != NOT_COMPARABLE]),
        f"{min(odds):.1f}, {np.median(odds):.1f}, {max(odds):.1f}",
        f"{shift:.1f} mm, {rotation:.1f} deg",
        f"{np.median(seconds):.2f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _plans(arguments: argparse.Namespace, protocol, heads) -> None:  # noqa: ANN001
    """The box of studies with motion against that of the same studies at rest, with and without correction."""
    model = load_model(arguments.model, backend="onnx")
    print("\n| slices | motion | studies | box turned, deg | centre off, mm | without correction: deg | mm |")
    print("|---|---|---|---|---|---|---|")
    for slices in arguments.slices:
        for size in (Size(2, 2), Size(4, 3)):
            make = (heads, protocol.constellation, slices)
            pairs = zip(
                simulated_cases(*make, Size(), arguments.cases, arguments.seed),
                simulated_cases(*make, size, arguments.cases, arguments.seed),
                strict=True,
            )
            # The head is stated to lie where the stacks at rest show it.
            errors = [e for rest, moved in pairs if (e := _box_errors(rest, moved, protocol, model)) is not None]
            medians = np.median(errors, axis=0) if errors else np.full(4, np.nan)
            print(
                f"| {slices} | {size} | {len(errors)} | " + " | ".join(f"{m:.2f}" for m in medians) + " |", flush=True
            )


def _box_errors(rest: MotionCase, moved: MotionCase, protocol, model) -> Sequence[float] | None:  # noqa: ANN001
    try:
        still = pipeline.calibrate(rest.stacks, protocol, model)
        plan = pipeline.calibrate(moved.stacks, protocol, model)
        # Stacks of one volume cannot move: nothing is looked for and nothing corrected.
        tied = [replace(stack, volume="one") for stack in moved.stacks]
        plain = pipeline.calibrate(tied, protocol, model)
    except InputError:
        return None
    errors = []
    for other in (plan, plain):
        turn = rotation_vector(other.box.axes @ still.box.axes.T)
        errors += [np.rad2deg(np.linalg.norm(turn)), np.linalg.norm(other.box.center_mm - still.box.center_mm)]
    return errors


if __name__ == "__main__":
    main()
