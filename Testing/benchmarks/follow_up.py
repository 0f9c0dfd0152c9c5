"""Does the box of the baseline come back at the follow-up? Real heads at two visits, against a plan by landmarks alone.

Run: ``python Testing/benchmarks/follow_up.py DATA --output FOLDER [--split train]``, DATA holding ``heads.csv`` and
``heads/``. Each head is scanned twice: poses of up to 15 deg and 15 mm, slices elsewhere, gaps and thickness of another
scanner, 2 % and 3 % of noise. Both visits are planned by the model; the box of the first one, moved as the head moved,
is what the second one should show. Two people are brought together too, which must be found out. Writes
``cases.jsonl`` (what is in it is not computed again) and ``report.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining")]

import numpy as np  # noqa: E402
from registered_heads import between_heads  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text  # noqa: E402
from AutoVolumeCalibrationLib.core.follow_up.follow_up import between_boxes  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.follow_up_plan import follow  # noqa: E402
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate  # noqa: E402
from LandmarkTrainingLib.core.evaluation.evaluation import add_noise  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.heads import Head, list_heads  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.poses import head_to_scanner, posed_volume, random_pose  # noqa: E402

#: Slices of both visits.
VISITS = {
    "5 slices": (ScoutGeometry(5, 12.0, 6.0), ScoutGeometry(5, 10.0, 5.0)),
    "1 slice": (ScoutGeometry(1, 0.0, 6.0), ScoutGeometry(1, 0.0, 5.0)),
}

#: Poses, how far the middle of the stacks lies from the middle of the head, and the noise of both visits.
MOST_DEG, MOST_MM, OFF_CENTRE_MM, NOISE = 15.0, 15.0, 6.0, (0.02, 0.03)

#: Another contrast, at 0, 0.2, ... 1.2 times the 99th percentile: dark fluid becomes bright, white matter dark.
CONTRAST_STEP, CONTRAST = 0.2, (0.0, 1.0, 0.75, 0.55, 0.35, 0.7, 0.8)

#: Middle and radius in mm, in the AC-PC frame, of what is new at the follow-up, and its brightness.
LESION = ((35.0, -25.0, 25.0), 15.0, 1.0)
RESECTION = ((-35.0, 40.0, 25.0), 22.0, 0.15)


def other_contrast(volume: Volume, _: Head) -> Volume:
    """Made up: the values of a T1-weighted image as a T2-weighted one may have them."""
    bright = float(np.percentile(volume.array, 99))
    steps = np.arange(len(CONTRAST)) * CONTRAST_STEP
    return replace(volume, array=np.interp(volume.array / bright, steps, CONTRAST).astype(np.float32) * bright)


def painted(volume: Volume, head: Head, ball: tuple[Sequence[float], float, float]) -> Volume:
    """A ball of one brightness in the head."""
    place, radius, brightness = ball
    center = head.origin_mm + np.asarray(place) @ head.axes
    grid = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"), axis=-1)
    points = grid @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    values = volume.array.copy()
    values[np.linalg.norm(points - center, axis=-1) < radius] = brightness * np.percentile(values, 99)
    return replace(volume, array=values)


#: Condition -> what happened to the head between the visits.
CHANGES: dict[str, Callable[[Volume, Head], Volume]] = {
    "unchanged": lambda volume, head: volume,
    "another contrast": other_contrast,
    "a lesion": lambda volume, head: painted(volume, head, LESION),
    "a resection": lambda volume, head: painted(volume, head, RESECTION),
}


#: The second visit is that of the next person: errors say nothing, but all must be flagged. Averages of many people,
#: which are much alike, are left out.
ANOTHER_PERSON, AVERAGE = "another person", "average"


#: Heads under three names that are three visits of one person: registered rigidly they correlate by 0.85 to 0.88, with
#: another one of that study by 0.45, and by eye every sulcus is the same.
THREE_VISITS = ("nichart_s08_t1", "nichart_s09_t1", "nichart_s10_t1")

#: The second visit is another one of theirs; the truth is the registration of both whole volumes.
REAL_VISIT = "another visit (real)"

#: The second visit is that of the same average in another contrast.
REAL_CONTRAST = "another contrast (real)"


def main() -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--split", default="validation", choices=("train", "validation"))
    parser.add_argument("--pairs", type=int, default=2, help="pairs of visits per head")
    parser.add_argument("--heads", nargs="+", metavar="ID")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    heads = [h for h in list_heads(arguments.data, arguments.split) if not arguments.heads or h.id in arguments.heads]
    log = arguments.output / "cases.jsonl"
    known = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    done = {tuple(case["key"]) for case in known}
    with open(log, "a", encoding="utf-8") as file:
        for case in _cases(heads, arguments.pairs, done):
            known.append(case)
            file.write(json.dumps(case) + "\n")
            file.flush()
    write_text(arguments.output / "report.md", report(known))
    print(report(known))
    return 0


def _cases(heads: Sequence[Head], pairs: int, done: set[tuple]) -> Iterator[dict]:
    model, protocol = load_model("brain-scout"), load_protocol("BrainAcPc")
    for head in heads:
        volume, others, contrasts = None, _others(head, heads), _contrasts(head, heads)
        visits = [one for one in heads if head.id in THREE_VISITS and one.id in THREE_VISITS and one.id != head.id]
        offered = {REAL_VISIT: visits, REAL_CONTRAST: contrasts, ANOTHER_PERSON: others}
        changes = [*CHANGES, *(change for change, seconds in offered.items() if seconds)]
        for pair in range(pairs):
            for slices, change in ((s, c) for s in VISITS for c in changes):
                key = (head.id, pair, slices, change)
                if key in done:
                    continue
                volume = volume or head.volume()
                rng = np.random.default_rng([pair, zlib.crc32(f"{head.id} {slices}".encode())])
                plans, poses = [], []
                if change in offered:
                    other = offered[change][pair % len(offered[change])]
                    second = (other.volume(), head if change == REAL_CONTRAST else other)
                else:
                    second = (CHANGES[change](volume, head), head)
                for visit, (changed, who) in enumerate([(volume, head), second]):
                    pose = head_to_scanner(random_pose(rng, MOST_DEG, MOST_MM), who.origin_mm, who.axes)
                    middle = rng.uniform(-OFF_CENTRE_MM, OFF_CENTRE_MM, 3)
                    clean = cut_three_planes(posed_volume(changed, pose), VISITS[slices][visit], middle)
                    stacks = [replace(stack, volume="") for stack in add_noise(clean, NOISE[visit], rng)]
                    poses.append(pose @ between_heads(head, who) if change == REAL_VISIT and visit else pose)
                    plans.append((stacks, model, protocol))
                yield {"key": key, **_compared([calibrate(s, p, m) for s, m, p in plans], poses)}


def _others(head: Head, heads: Sequence[Head]) -> list[Head]:
    """Heads of other people, from the one after ``head`` on; none for an average."""
    if AVERAGE in head.subject:
        return []
    place = next(number for number, one in enumerate(heads) if one.id == head.id)
    after = [*heads[place + 1 :], *heads[:place]]
    return [one for one in after if _person(one) != _person(head) and AVERAGE not in one.subject]


def _contrasts(head: Head, heads: Sequence[Head]) -> list[Head]:
    """The same anatomy in the same places in another contrast, which data show of averages only."""
    same = [one for one in heads if AVERAGE in one.subject and one.subject == head.subject and one.id != head.id]
    return [one for one in same if one.id.rpartition("_")[0] == head.id.rpartition("_")[0]]


def _person(head: Head) -> str:
    """``S-CR`` of ``probably S-CR``, ``NC01`` of ``NC01 (elderly)``."""
    if head.id in THREE_VISITS:
        return THREE_VISITS[0]
    return head.subject.removeprefix("probably ").partition(" (")[0]


def _compared(plans: Sequence[Calibration], poses: Sequence[np.ndarray]) -> dict:
    """Errors of the second visit's box, by landmarks alone and with the baseline."""
    baseline, now = plans
    moved = poses[1] @ np.linalg.inv(poses[0])
    wanted = replace(
        baseline.box,
        center_mm=moved[:3, :3] @ baseline.box.center_mm + moved[:3, 3],
        axes=baseline.box.axes @ moved[:3, :3].T,
    )
    case: dict = {"landmarks": _error(wanted, now.box)}
    started = time.perf_counter()
    try:
        plan = follow(now, baseline, "baseline")
    except AutoVolumeError as error:
        return {**case, "failure": str(error)}
    found = plan.follow_up
    assert found is not None
    return {
        **case,
        "follow_up": _error(wanted, plan.box),
        "seconds": time.perf_counter() - started,
        "stated": [found.sd_deg, found.sd_mm],
        "correlation": found.correlation,
        "chi_square": found.chi_square,
        "level": plan.level,
        "findings": [check.name for check in plan.checks],
    }


def _error(wanted: OrientedBox, box: OrientedBox) -> list[float]:
    """Degrees, and mm of the centre."""
    rotation_deg, shift_mm = between_boxes(wanted, box)
    return [float(np.linalg.norm(rotation_deg)), float(np.linalg.norm(shift_mm))]


def report(cases: Sequence[dict]) -> str:
    """Median and 95th percentile of both errors by slices and condition."""
    lines = [
        "| Slices | Follow-up | n | baseline, deg | mm | landmarks alone, deg | mm | flagged | correlation | s |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for slices in VISITS:
        for change in (*CHANGES, REAL_VISIT, REAL_CONTRAST, ANOTHER_PERSON):
            own = [c for c in cases if c["key"][2:] == [slices, change] or tuple(c["key"][2:]) == (slices, change)]
            own = [c for c in own if "follow_up" in c]
            if not own:
                continue
            columns = []
            for kind in ("follow_up", "landmarks"):
                errors = np.array([c[kind] for c in own])
                columns += [f"{np.median(e):.2f} ({np.percentile(e, 95):.2f})" for e in errors.T]
            flagged = sum(c["level"] != "ok" for c in own)
            seconds = np.median([c["seconds"] for c in own])
            alike = [c["correlation"] for c in own]
            columns += [str(flagged), f"{min(alike):.2f} to {max(alike):.2f}", f"{seconds:.1f}"]
            lines.append(f"| {slices} | {change} | {len(own)} | {' | '.join(columns)} |")
    failed = sum("failure" in c for c in cases)
    return "\n".join([*lines, "", f"Median (95th percentile). Without a result: {failed}.", ""])


if __name__ == "__main__":
    sys.exit(main())
