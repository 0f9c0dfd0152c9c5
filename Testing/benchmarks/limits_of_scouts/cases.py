"""Put real heads into the scanner under each condition, plan, and keep the errors; what is kept is not done again.

Each condition has a log of its own: conditions may be run in several processes, and one that is changed is
measured anew while the others stay.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import Volume, cut_three_planes
from LandmarkTrainingLib.core.evaluation.case_log import CaseKey, CaseResult, append_case, open_case_log, read_case_log
from LandmarkTrainingLib.core.evaluation.evaluation import Conditions, Truth, add_noise, case_pose, measure, true_plan
from LandmarkTrainingLib.core.evaluation.methods import Method
from LandmarkTrainingLib.core.reference_heads.heads import Head
from LandmarkTrainingLib.core.reference_heads.poses import head_to_scanner, posed_volume

from .conditions import Condition

SEED = 0

#: How a patient moves between two planes: 5 deg about an oblique axis, and 5 mm.
MOVEMENT = np.eye(4)
MOVEMENT[:3, :3] = Rotation.from_rotvec(np.full(3, 5.0 / np.sqrt(3)), degrees=True).as_matrix()
MOVEMENT[:3, 3] = 5.0 * np.array([0.0, 0.6, 0.8])


@dataclass(frozen=True, eq=False)
class Measured:
    """What is measured.

    Attributes:
        name: under which results are kept; a model's tells its weights.
        seeing: the method, which tells what single slices show.
        blind: the same without telling. Where a slice's plane is not that of the head which it shows, or nothing is
            true, what it shows cannot be measured.
    """

    name: str
    seeing: Method
    blind: Method
    protocol: Protocol


class ScannedHead:
    """One head under whatever conditions; its image is read once, and clean scouts are cut once for each geometry."""

    def __init__(self, head: Head, protocol: Protocol) -> None:
        self._head, self._protocol = head, protocol
        self._volume: Volume | None = None
        self._cut: dict[tuple, list[ScoutStack]] = {}

    def case(self, condition: Condition, pose_number: int) -> tuple[list[ScoutStack], Truth]:
        """The scouts of a case, and what a perfect method would make of them."""
        transform = self._transform(condition, pose_number)
        truth = true_plan(self._head, transform, self._protocol)
        rng = np.random.default_rng([SEED, _number(self._head.id), pose_number, _number(condition.name)])
        stacks = self._clean(condition, pose_number, transform)
        for effect in condition.effects:
            stacks = effect(stacks, rng)
        return add_noise(stacks, condition.noise, rng), truth

    def _transform(self, condition: Condition, pose_number: int) -> np.ndarray:
        limits = Conditions(SEED, condition.max_rotation_deg, condition.max_shift_mm)
        # By a quarter turn of the same pose the same images would be seen again, in other planes.
        who = self._head.id if condition.turn is None else f"{self._head.id} {condition.turn}"
        pose = case_pose(who, pose_number, limits)
        transform = head_to_scanner(pose, self._head.origin_mm, self._head.axes)
        if condition.turn is None:
            return transform
        axes, degrees = condition.turn
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler(axes, [degrees] * len(axes), degrees=True).as_matrix()
        return turn @ transform

    def _clean(self, condition: Condition, pose_number: int, transform: np.ndarray) -> list[ScoutStack]:
        c = condition
        key = (pose_number, c.geometry, c.sagittal, c.turn, c.max_rotation_deg, c.max_shift_mm, c.moved)
        if key not in self._cut:
            self._volume = self._volume or self._head.volume()
            stacks = []
            for plane in PLANES:
                geometry = c.sagittal if c.sagittal and plane == "sagittal" else c.geometry
                place = MOVEMENT @ transform if plane == c.moved else transform
                stacks += cut_three_planes(posed_volume(self._volume, place), geometry, np.zeros(3), planes=(plane,))
            self._cut[key] = stacks
        return self._cut[key]


def run_conditions(
    conditions: Sequence[Condition],
    heads: Mapping[str | None, Sequence[Head]],
    measured: Measured,
    folder: Path,
    *,
    poses: int | None = None,
    say: Callable[[CaseResult], None] = lambda case: None,
) -> None:
    """Measure every case of ``conditions`` that the logs in ``folder`` do not hold yet.

    Args:
        heads: contrast of a condition -> its heads; ``chosen_heads`` of them are used.
        poses: per head, in place of the conditions' own.
        say: told every new case.

    Raises:
        InputError: a head cannot be read, or a log is damaged or of another condition of that name.
    """
    known = {c.name: open_case_log(log_path(folder, c.name), {"condition": repr(c)}) for c in conditions}
    for contrast, group in heads.items():
        for head in group:
            mine = [c for c in conditions if c.contrast == contrast and head in chosen_heads(group, c.heads)]
            scanned = ScannedHead(head, measured.protocol)
            for condition in mine:
                for pose in range(poses or condition.poses):
                    key = (head.id, pose, condition.name, measured.name)
                    if key not in known[condition.name]:
                        method = measured.blind if condition.turn else measured.seeing
                        result = _planned(key, method, *scanned.case(condition, pose), measured.protocol)
                        append_case(log_path(folder, condition.name), result)
                        say(result)


def chosen_heads(heads: Sequence[Head], most: int | None) -> list[Head]:
    """At most so many of the heads, evenly along the list."""
    count = min(len(heads), most or len(heads))
    return [heads[i * len(heads) // count] for i in range(count)]


def run_non_heads(
    name: str,
    inputs: Iterator[tuple[str, Callable[[], Sequence[ScoutStack]]]],
    measured: Measured,
    folder: Path,
    say: Callable[[CaseResult], None] = lambda case: None,
) -> None:
    """Plan on what is no head: refused, or what level of finding."""
    known = open_case_log(log_path(folder, name), {"condition": f"must be flagged: {name}"})
    for source, read in inputs:
        key = (source, 0, name, measured.name)
        if key in known:
            continue
        try:
            result = _planned(key, measured.blind, read(), NO_TRUTH, measured.protocol)
        except AutoVolumeError as error:
            result = CaseResult(*key, failure=str(error))
        append_case(log_path(folder, name), result)
        say(result)


#: Of what is no head nothing is true.
NO_TRUTH = Truth({}, None, None, None)


def _planned(
    key: CaseKey, method: Method, stacks: Sequence[ScoutStack], truth: Truth, protocol: Protocol
) -> CaseResult:
    try:
        plan = method(stacks)
    except AutoVolumeError as error:  # a refusal is a result
        return CaseResult(*key, failure=str(error))
    return measure(key, plan, truth, stacks, protocol)


def log_path(folder: Path, condition_name: str) -> Path:
    """The log of one condition."""
    return folder / f"cases_{re.sub('[^a-z0-9]+', '_', condition_name.lower()).strip('_')}.jsonl"


def kept_cases(folder: Path, condition_name: str, method_name: str) -> list[CaseResult]:
    """The cases of one condition measured so far with one method; none where there is no log."""
    path = log_path(folder, condition_name)
    return [case for case in read_case_log(path) if case.method == method_name] if path.exists() else []


def _number(name: str) -> int:
    """A number for a name that is the same in every run (``hash`` is not)."""
    return zlib.crc32(name.encode())
