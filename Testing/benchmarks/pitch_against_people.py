"""The frame's pitch against the AC-PC line that human raters placed, with simulated detections.

Run: ``python Testing/benchmarks/pitch_against_people.py FOLDER [--cross]`` with FOLDER holding one
point file of each person (CSV with label, x, y, z in RAS mm). Detections are the raters' points with the errors of a
row: standard deviation within the slice and along its normal (mm), a turn that all share (degrees, about each axis),
10 % missing. Pitch is positive where the line points up in the frame's axes. "over stated" is the root mean square of
error / stated standard deviation; "alone" leaves out how a person's line differs from the typical one.

``--cross`` takes the typical places and the line's variation from the people of one pattern and tests on those of the
other, both ways, so that nobody is measured by a mean that he or she is part of.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, line_axes  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import ProtocolError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.json_files import read_json  # noqa: E402
from AutoVolumeCalibrationLib.core.files.resources import resource_path  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about  # noqa: E402
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame, fit_frame  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.people import measure_people  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.point_sets import (  # noqa: E402
    PointSet,
    common_names,
    read_point_sets,
    with_names_of,
)
from LandmarkTrainingLib.core.reference_heads.points_anatomy import (  # noqa: E402
    line_variation,
    pairs_of,
    with_line,
    with_places_of,
)
from LandmarkTrainingLib.core.reference_heads.shape_frame import AC_PC  # noqa: E402

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
    parser.add_argument("--cross", action="store_true", help="measure on the people of one pattern, test on the others")
    parser.add_argument("--rounds", type=int, default=10, help="simulated detections of each person (default: 10)")
    arguments = parser.parse_args()
    groups = [read_point_sets(sorted(arguments.folder.glob(pattern))) for pattern in arguments.pattern]
    anatomy = arguments.anatomy or resource_path("Anatomies", "brain.json")
    data = read_json(anatomy, ProtocolError, "Correct the anatomy file.")
    tests = crossed(groups, data) if arguments.cross else [(sum(groups, []), data)]
    rows = []
    for errors in ROWS:
        found = [
            pitches([each.points for each in people], with_anatomy(content), errors, arguments.rounds)
            for people, content in tests
        ]
        rows.append([errors.name, *cells(np.concatenate(found))])
    print(f"{sum(len(people) for people, _ in tests)} people, {arguments.rounds} rounds")
    print(markdown_table(["errors", "bias", "sd", "p95", "largest", "stated", "over stated", "alone"], rows))


def with_anatomy(data: Mapping[str, Any]) -> Protocol:
    """The protocol on an anatomy with this content."""
    return replace(load_protocol("BrainAcPc"), constellation=constellation_from_dict(data, "anatomy"))


def crossed(
    groups: Sequence[list[PointSet]], data: Mapping[str, Any]
) -> list[tuple[list[PointSet], Mapping[str, Any]]]:
    """Each group with the anatomy whose places and line are those of all others."""
    tests = []
    for tested in groups:
        others = [each for group in groups if group is not tested for each in group]
        known = constellation_from_dict(data, "anatomy")
        sets, _ = with_names_of(others, known.names)
        placed = common_names(sets)
        names = [name for name in known.names if name in placed]
        people = measure_people(sets, names, pairs_of(known, names), AC_PC)
        content = with_places_of(data, people, "anatomy", keep_variation=True)
        variation, _ = line_variation(sets, constellation_from_dict(content, "anatomy"), AC_PC, "anatomy")
        tests.append((tested, with_line(content, variation)))
    return tests


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
