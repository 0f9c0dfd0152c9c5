"""What a second look at turned stacks gains, and what raises the suspicion of a half turn: on heads at known angles.

Usage: ``.venv/bin/python Testing/benchmarks/second_look.py DATA [--model NAME|DIR] [--angles 0 5 10 ...]`` with DATA
holding ``heads.csv`` and ``labels/``. The heads are those of split train and painted label maps, never those of
validation; each is turned about a random axis. It is the basis of the limits ``turned_deg`` and ``profile_peak`` of
``core.detection.model_limits``; measure anew with every model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from limits_of_scouts.conditions import FIVE, ONE
from limits_of_scouts.label_heads import CONTRASTS, painted_heads
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.reorientation import is_turned
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import cut_three_planes
from AutoVolumeCalibrationLib.core.workflow.localization import (
    HALF_TURNS,
    LocalizationResult,
    StudyLocalizer,
    sagittal_peak,
)
from LandmarkTrainingLib.core.evaluation.evaluation import Truth, add_noise, true_plan
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table
from LandmarkTrainingLib.core.reference_heads.heads import Head, list_heads
from LandmarkTrainingLib.core.reference_heads.poses import Pose, head_to_scanner, posed_volume

GEOMETRIES = {"5 slices": FIVE, "1 slice": ONE}

#: Largest shift of a head, mm; noise as in an evaluation; the angle at which half turns are tried, deg.
SHIFT_MM, NOISE, HALF_TURN_ANGLE = 15.0, 0.02, 8.0

#: Stacks turned by more than so many degrees get a second look: all of them, then fewer, then none.
LIMITS = (0.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 180.0)

#: Lower edges of the rows of the table by angle, deg.
BINS = (0, 3, 6, 9, 13, 18, 91)


@dataclass(frozen=True, eq=False)
class Case:
    """One study: the largest angle of the head in its slices, and the errors (rotation deg, landmarks mm) by limit."""

    geometry: str
    angle_deg: float
    errors: dict[float, tuple[float, float]]
    stacks: dict[float, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="default: the current one")
    parser.add_argument("--angles", type=float, nargs="+", default=[0, 5, 8, 12, 16, 20, 30])
    parser.add_argument("--heads", type=int, help="use only so many, evenly chosen")
    arguments = parser.parse_args()
    protocol, model = load_protocol("BrainAcPc"), load_model(arguments.model, "cpu")
    heads = _heads(arguments.data, protocol)
    if arguments.heads:
        heads = [heads[i] for i in np.linspace(0, len(heads) - 1, arguments.heads).round().astype(int)]
    cases: list[Case] = []
    peaks: dict[tuple[str, str], list[float]] = {}
    for number, head in enumerate(heads):
        for geometry, stacks, truth, turned in _studies(head, number, arguments.angles):
            localizer = StudyLocalizer(stacks, protocol, model)
            first = localizer.detect(None)
            frame = localizer.frame_of(first)
            # Low peaks start the search over all orientations: both questions arise where they are high.
            if frame is None or localizer.has_low_peaks(first):
                peaks.setdefault((geometry, turned), []).append(np.nan)
                continue
            peaks.setdefault((geometry, turned), []).append(sagittal_peak(first.detections))
            if turned == "upright":
                cases.append(_case(geometry, localizer, stacks, first, frame, truth))
        print(f"{number + 1} of {len(heads)}: {head.id}", flush=True)
    for geometry in GEOMETRIES:
        chosen = [case for case in cases if case.geometry == geometry]
        if chosen:
            print(f"\n{geometry}: {len(chosen)} studies\n\n{_by_angle(chosen)}\n\n{_by_limit(chosen)}")
    limits = model.limits
    print(f"\n{_of_peaks(peaks, limits.profile_peak)}")
    print(f"\n{model.name} {model.sha256[:8]}: {limits.turned_deg:g} deg, sagittal peaks {limits.profile_peak:g}")


def _heads(data: Path, protocol: Protocol) -> list[Head]:
    painted = painted_heads(data / "labels", protocol.constellation.names, list(CONTRASTS))
    return [*list_heads(data, "train"), *(head for heads in painted.values() for head in heads)]


def _studies(head: Head, number: int, angles: Sequence[float]) -> Iterator[tuple[str, list[ScoutStack], Truth, str]]:
    """Geometry, scouts, truth, and "upright" or the half turn that the head was given besides."""
    protocol, volume = load_protocol("BrainAcPc"), head.volume()
    names = ("about right", "about anterior", "about superior")
    poses = [(angle, np.eye(3), "upright") for angle in angles]
    poses += [(HALF_TURN_ANGLE, turn, name) for turn, name in zip(HALF_TURNS, names, strict=True)]
    for pose_number, (angle, turn, name) in enumerate(poses):
        rng = np.random.default_rng((number, pose_number))
        axis = rng.normal(size=3)
        rotation = Rotation.from_rotvec(np.deg2rad(angle) * axis / np.linalg.norm(axis)).as_matrix()
        pose = Pose(turn @ rotation, rng.uniform(-SHIFT_MM, SHIFT_MM, 3))
        transform = head_to_scanner(pose, head.origin_mm, head.axes)
        truth = true_plan(head, transform, protocol)
        for geometry, scouts in GEOMETRIES.items():
            clean = cut_three_planes(posed_volume(volume, transform), scouts, np.zeros(3))
            yield geometry, add_noise(clean, NOISE, rng), truth, name


def _case(
    geometry: str,
    localizer: StudyLocalizer,
    stacks: Sequence[ScoutStack],
    first: LocalizationResult,
    frame: AnatomicalFrame,
    truth: Truth,
) -> Case:
    second = localizer.detect(frame.axes)
    errors, counts = {}, {}
    for limit in LIMITS:
        turned = [is_turned(stack, frame.axes, limit) for stack in stacks]
        pairs = zip(turned, first.detections, second.detections, strict=True)
        errors[limit] = _errors(localizer, localizer.fused([b if again else a for again, a, b in pairs]), truth)
        counts[limit] = sum(turned)
    angle = next((a for a in np.arange(0.0, 90.0, 0.5) if not any(is_turned(s, frame.axes, a) for s in stacks)), 90.0)
    return Case(geometry, float(angle), errors, counts)


def _errors(localizer: StudyLocalizer, found: LocalizationResult, truth: Truth) -> tuple[float, float]:
    """Rotation of the frame, deg, and the landmarks' median distance, mm."""
    frame = localizer.frame_of(found)
    if frame is None or truth.frame is None:
        return np.nan, np.nan
    known = [mark for mark in found.landmarks if mark.position_mm is not None and mark.name in truth.points]
    distances = [np.linalg.norm(mark.position_mm - truth.points[mark.name]) for mark in known]
    return float(np.linalg.norm(rotation_angles_deg(truth.frame.axes, frame.axes))), float(np.median(distances))


def _by_angle(cases: Sequence[Case]) -> str:
    rows = []
    for low, high in zip(BINS, BINS[1:], strict=False):
        inside = [case for case in cases if low <= case.angle_deg < high]
        if inside:
            one, two = (np.array([case.errors[limit] for case in inside]) for limit in (LIMITS[-1], LIMITS[0]))
            gain = one[:, 0] - two[:, 0]
            uncertain = 2 * gain.std() / np.sqrt(len(gain))
            texts = [f"{np.nanmedian(look[:, 0]):.2f} deg, {np.nanmedian(look[:, 1]):.2f} mm" for look in (one, two)]
            rows.append([f"{low}-{high}", str(len(inside)), *texts, f"{gain.mean():+.2f} +- {uncertain:.2f} deg"])
    return markdown_table(["turned in a slice, deg", "studies", "one look", "two looks", "gain (mean)"], rows)


def _by_limit(cases: Sequence[Case]) -> str:
    rows = []
    for limit in LIMITS:
        errors = np.array([case.errors[limit] for case in cases])
        rotation = f"{np.nanmedian(errors[:, 0]):.2f} ({np.nanpercentile(errors[:, 0], 95):.2f})"
        stacks = np.mean([case.stacks[limit] for case in cases])
        mean = f"{np.nanmean(errors[:, 0]):.2f}"
        rows.append([f"{limit:g}", f"{stacks:.2f}", rotation, mean, f"{np.nanmedian(errors[:, 1]):.2f}"])
    columns = ["second look beyond, deg", "stacks", "rotation, deg: median (95 %)", "mean", "landmarks, mm"]
    return markdown_table(columns, rows)


def _of_peaks(peaks: dict[tuple[str, str], list[float]], limit: float) -> str:
    """Mean highest peaks in the sagittal slices, how many below ``limit``; those with low peaks are searched anyway."""
    rows = []
    for (geometry, turned), values in peaks.items():
        high = np.array([value for value in values if np.isfinite(value)])
        spread = f"{high.min():.2f} / {np.median(high):.2f} / {high.max():.2f}" if len(high) else "-"
        suspected = f"{(high < limit).sum()} of {len(high)}"
        rows.append([geometry, turned, str(len(values) - len(high)), suspected, spread])
    return markdown_table(
        ["scouts", "half turn", "low peaks", "suspected", "sagittal peak: least / median / most"], rows
    )


if __name__ == "__main__":
    main()
