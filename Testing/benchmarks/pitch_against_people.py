"""The frame's pitch against the AC-PC line that human raters placed, with simulated detections.

Run: ``python Testing/benchmarks/pitch_against_people.py FOLDER [--anatomy FILE] [--rounds N]`` with FOLDER holding one
point file of each person (CSV with label, x, y, z in RAS mm). Detections are the raters' points with the errors of a
row: standard deviation within the slice and along its normal (mm), a turn that all share (degrees, about each axis),
10 % missing. Pitch is positive where the line points up in the frame's axes. "over stated" is the root mean square of
error / stated standard deviation; "alone" leaves out how a person's line differs from the typical one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, constellation_from_dict  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, line_axes  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import ProtocolError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.json_files import read_json  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about  # noqa: E402
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame, fit_frame  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.point_files import read_points  # noqa: E402

Points = Mapping[str, np.ndarray]

MISSING_SHARE = 0.1


@dataclass(frozen=True)
class Errors:
    """Of simulated detections: within the slice and along its normal (mm), and the turn that all share (deg)."""

    name: str
    in_plane_mm: float
    depth_mm: float
    turn_deg: float = 0.0
    missing: float = 0.0


ROWS = (
    Errors("none", 0.05, 0.05),
    Errors("0.5 mm", 0.5, 0.5),
    Errors("1.0/2 mm", 1.0, 2.0, 0.5, MISSING_SHARE),
    Errors("1.5/2 mm", 1.5, 2.0, 0.5, MISSING_SHARE),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="point files of people")
    parser.add_argument("--pattern", nargs="+", default=["hcp_*.csv", "oasis_*.csv"], help="of their names")
    parser.add_argument("--anatomy", type=Path, metavar="FILE", help="another anatomy file than the shipped one")
    parser.add_argument("--rounds", type=int, default=10, help="simulated detections of each person (default: 10)")
    arguments = parser.parse_args()
    people = [read_points(path) for pattern in arguments.pattern for path in sorted(arguments.folder.glob(pattern))]
    protocol = load_protocol("BrainAcPc")
    if arguments.anatomy:
        protocol = replace(protocol, constellation=constellation_of(arguments.anatomy))
    rows = [[errors.name, *cells(pitches(people, protocol, errors, arguments.rounds))] for errors in ROWS]
    print(f"{len(people)} people, {arguments.rounds} rounds")
    print(markdown_table(["errors", "bias", "sd", "p95", "largest", "stated", "over stated", "alone"], rows))


def constellation_of(path: Path) -> Constellation:
    """The constellation of an anatomy file."""
    return constellation_from_dict(read_json(path, ProtocolError, "Correct the anatomy file."), path)


def pitches(people: Sequence[Points], protocol: Protocol, errors: Errors, rounds: int) -> np.ndarray:
    """(people * rounds, 3) deg: the pitch of the person's line, its stated deviation, and that of the fit alone."""
    rng = np.random.default_rng(0)
    shared = shared_covariance(errors)
    found = []
    for person in people:
        for marks in detections(person, protocol, errors, rounds, rng):
            frame = fit_frame(marks, protocol, shared)
            alone = np.sqrt(frame.covariance[0, 0])
            found.append([line_pitch(frame, protocol, person), stated_rad(frame), alone])
    return np.rad2deg(found)


def stated_rad(frame: AnatomicalFrame) -> float:
    """Stated standard deviation of the pitch of the protocol's line."""
    return float(np.sqrt(frame.line_covariance[0, 0]))


def line_pitch(frame: AnatomicalFrame, protocol: Protocol, points: Points) -> float:
    """Pitch (rad) of the person's line in the axes of the frame, positive up."""
    anterior = line_axes(frame.axes, protocol.frame.line, points)[1]
    return float(np.arctan2(anterior @ frame.axes[2], anterior @ frame.axes[1]))


def shared_covariance(errors: Errors) -> np.ndarray | None:
    """(7, 7) for ``fit_frame``; None where the detections share no turn."""
    if not errors.turn_deg:
        return None
    return np.diag([np.deg2rad(errors.turn_deg) ** 2] * 3 + [0.0] * 4)


def detections(
    person: Points, protocol: Protocol, errors: Errors, rounds: int, rng: np.random.Generator
) -> Iterator[list[Landmark]]:
    """The person's points as a network might find them, ``rounds`` times."""
    names = [name for name in protocol.constellation.names if name in person]
    points = np.array([person[name] for name in names])
    center = points[names.index(protocol.frame.origin)]
    for _ in range(rounds):
        turn = rotation_about(np.deg2rad(errors.turn_deg) * rng.normal(size=3))
        sd = np.full((len(names), 3), errors.in_plane_mm)
        sd[np.arange(len(names)), rng.integers(0, 3, len(names))] = errors.depth_mm
        seen = center + (points - center) @ turn.T + rng.normal(size=points.shape) * sd
        kept = rng.random(len(names)) >= errors.missing
        yield [
            Landmark(name, place, np.diag(deviation**2), 0.8, PREDICTED)
            for name, place, deviation, keep in zip(names, seen, sd, kept, strict=True)
            if keep
        ]


def cells(found: np.ndarray) -> list[str]:
    """Bias, deviation, 95th percentile and largest absolute value of the pitch; median stated; both ratios."""
    pitch, stated, alone = found.T
    numbers = [pitch.mean(), pitch.std(), np.quantile(np.abs(pitch), 0.95), np.abs(pitch).max(), np.median(stated)]
    ratios = [np.sqrt(np.mean((pitch / sd) ** 2)) for sd in (stated, alone)]
    return [f"{number:+.2f}" if i == 0 else f"{number:.2f}" for i, number in enumerate([*numbers, *ratios])]


if __name__ == "__main__":
    main()
