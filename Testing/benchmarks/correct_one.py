"""How much the other landmarks gain when a person corrects a few: re-predicted by a guided model, and merely refitted.

Usage: ``.venv/bin/python Testing/benchmarks/correct_one.py DATA --model BUNDLE [--heads ID ...]`` with DATA holding
``heads.csv``. Heads, poses and noise are those of ``autovolume evaluate``. The true places of 1, 2 and 4 landmarks are
given: those that the guided model placed worst, or random ones. All errors are of landmarks that were not given, so
that the rows of one block are about the same landmarks; the lesser error of "re-predicted" is what guidance is worth.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, refit, repredict
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.evaluation import (
    GEOMETRIES,
    Conditions,
    Truth,
    add_noise,
    case_pose,
    measure,
    true_plan,
)
from LandmarkTrainingLib.core.evaluation.methods import Plan, SliceDetections, detect_slices
from LandmarkTrainingLib.core.evaluation.statistics import bootstrap_interval, compare_paired
from LandmarkTrainingLib.core.reference_heads.brain_extremes import NORMAL_AXIS
from LandmarkTrainingLib.core.reference_heads.heads import Head, list_heads
from LandmarkTrainingLib.core.reference_heads.poses import head_to_scanner, posed_volume

NUMBERS = (1, 2, 4)
AGAIN, REFIT = "re-predicted", "refit"
COLUMNS = ("3D mean, mm", "3D median, mm", "in plane median, mm", "pitch, deg", "roll, deg", "yaw, deg")


@dataclass(frozen=True, eq=False)
class Case:
    """Scouts of a posed head, their truth, and what both models make of them before anybody corrects."""

    stacks: Sequence[ScoutStack]
    truth: Truth
    protocol: Protocol
    guided: Calibration
    guided_sights: Sequence[SliceDetections]
    plain: Calibration
    plain_sights: Sequence[SliceDetections]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", required=True, help="guided bundle")
    parser.add_argument("--beside", default="brain-scout", help="the model without guidance (default: %(default)s)")
    parser.add_argument("--heads", nargs="+", metavar="ID", help="default: all of split validation")
    parser.add_argument("--poses", type=int, default=1, help="per head (default: %(default)s)")
    parser.add_argument("--geometry", default="P5", choices=GEOMETRIES)
    arguments = parser.parse_args()
    protocol = load_protocol("BrainAcPc")
    guided, plain = load_model(arguments.model), load_model(arguments.beside)
    rows: dict[tuple[str, str, str], list[tuple[str, list[float]]]] = defaultdict(list)
    for head in list_heads(arguments.data, "validation"):
        if arguments.heads and head.id not in arguments.heads:
            continue
        for pose_number in range(arguments.poses):
            try:
                case = _case(head, pose_number, arguments.geometry, protocol, guided, plain)
                measured = list(_rows(case, head.id, pose_number, guided, plain.name))
            except AutoVolumeError as error:
                print(f"{head.id}, pose {pose_number}, left out: {error}", flush=True)
                continue
            for row, values in measured:
                rows[row].append((head.subject, values))
    _print_table(rows)
    _print_differences(rows)


def _case(
    head: Head, pose_number: int, geometry: str, protocol: Protocol, guided: LandmarkModel, plain: LandmarkModel
) -> Case:
    conditions = Conditions()
    transform = head_to_scanner(case_pose(head.id, pose_number, conditions), head.origin_mm, head.axes)
    clean = cut_three_planes(posed_volume(head.volume(), transform), GEOMETRIES[geometry], np.zeros(3))
    stacks = add_noise(clean, conditions.noise, np.random.default_rng(pose_number))
    seen = [(calibrate(stacks, protocol, model), detect_slices(stacks, protocol, model)) for model in (guided, plain)]
    return Case(stacks, true_plan(head, transform, protocol), protocol, *seen[0], *seen[1])


def _rows(
    case: Case, head_id: str, pose_number: int, guided: LandmarkModel, plain_name: str
) -> Iterator[tuple[tuple[str, str, str], list[float]]]:
    """((given, chosen, method), values of COLUMNS) of one case."""

    def measured(calibration: Calibration, sights: Sequence[SliceDetections], given: Sequence[str]) -> list[float]:
        plan = Plan(calibration.landmarks, calibration.frame, calibration.box, calibration.checks, sights)
        key = (head_id, pose_number, "", "")
        return _values(measure(key, plan, case.truth, case.stacks, case.protocol), given)

    yield ("0", "", guided.name), measured(case.guided, case.guided_sights, ())
    yield ("0", "", plain_name), measured(case.plain, case.plain_sights, ())
    for chosen, choose in (("worst", _worst_first), ("random", _at_random)):
        names = choose(case, head_id, pose_number)
        for number in NUMBERS:
            given = names[:number]
            placed = [Landmark(name).corrected(case.truth.points[name]) for name in given]
            sights = detect_slices(case.stacks, case.protocol, guided, placed)
            row = (str(number), chosen)
            yield (
                (*row, f"{guided.name}, re-predicted"),
                measured(repredict(case.guided, placed, guided), sights, given),
            )
            yield (*row, f"{guided.name}, refit"), measured(refit(case.guided, placed), case.guided_sights, given)
            yield (*row, f"{plain_name}, refit"), measured(refit(case.plain, placed), case.plain_sights, given)


def _worst_first(case: Case, _head_id: str, _pose_number: int) -> list[str]:
    places = {mark.name: mark.position_mm for mark in case.guided.predicted if mark.status == PREDICTED}
    names = [name for name in _points_with_truth(case) if name in places]
    return sorted(names, key=lambda name: -np.linalg.norm(places[name] - case.truth.points[name]))


def _at_random(case: Case, head_id: str, pose_number: int) -> list[str]:
    rng = np.random.default_rng([*head_id.encode(), pose_number])
    return rng.permutation(_points_with_truth(case)).tolist()


def _points_with_truth(case: Case) -> list[str]:
    """Landmarks whose true place is known along all axes."""
    names = case.protocol.constellation.names
    return [name for name in names if name in case.truth.points and name not in NORMAL_AXIS]


def _values(result: CaseResult, given: Sequence[str]) -> list[float]:
    """COLUMNS of a case over the landmarks that were not given; not found: left out in 3D, far off in plane."""
    in_space = [e for name, e in result.landmarks_mm.items() if name not in NORMAL_AXIS and name not in given]
    in_plane = [
        np.inf if error is None else error
        for names in result.in_plane_mm.values()
        for name, errors in names.items()
        if name not in given
        for error in errors
    ]
    angles = np.abs(result.frame_angles_deg).tolist() if result.frame_angles_deg else [np.nan] * 3
    return [_statistic(np.mean, in_space), _statistic(np.median, in_space), _statistic(np.median, in_plane), *angles]


def _statistic(statistic: Callable[[Sequence[float]], np.floating], values: Sequence[float]) -> float:
    return float(statistic(values)) if values else float("nan")


def _print_table(rows: dict[tuple[str, str, str], list[tuple[str, list[float]]]]) -> None:
    """A row for each way, means over the cases with bootstrap intervals by subject."""
    print("| given | chosen | method | " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (3 + len(COLUMNS)))
    for row, cases in rows.items():
        subjects = [subject for subject, _ in cases]
        cells = []
        for column in range(len(COLUMNS)):
            interval = bootstrap_interval([values[column] for _, values in cases], subjects)
            cells.append(f"{interval.estimate:.2f} ({interval.low:.2f}-{interval.high:.2f})")
        print("| " + " | ".join([*row, *cells]) + " |")
    cases = next(iter(rows.values()), [])
    print(f"\n{len(cases)} cases of {len({subject for subject, _ in cases})} subjects; mean (95 % interval).")


def _print_differences(rows: dict[tuple[str, str, str], list[tuple[str, list[float]]]]) -> None:
    """What re-predicting changes against the refit of the same model, case by case."""
    print(f"\n| given | chosen | {AGAIN} less {REFIT}: " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (2 + len(COLUMNS)))
    for (number, chosen, method), cases in rows.items():
        if not method.endswith(AGAIN):
            continue
        before = rows[number, chosen, method.replace(AGAIN, REFIT)]
        cells = []
        for column in range(len(COLUMNS)):
            first, second = ([values[column] for _, values in part] for part in (cases, before))
            gain = compare_paired(first, second, [subject for subject, _ in cases]).difference
            cells.append(f"{gain.estimate:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})")
        print("| " + " | ".join([number, chosen, *cells]) + " |")


if __name__ == "__main__":
    main()
