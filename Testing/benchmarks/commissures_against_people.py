"""How far the planned AC and PC lie from where human raters placed them, and what axes through them would gain.

Run: ``python Testing/benchmarks/commissures_against_people.py POINTS [SCOUTS] [--pose FILE] [--model NAME|DIR]`` with
POINTS the raters' points of the head (CSV, RAS mm of its volume), SCOUTS scouts of that head, and the pose the JSON
file with the matrix from the volume to the scouts. Without SCOUTS: the sample study (Colin27) and its ``truth.json``.

Axes through the expected AC and PC are worth it only where both lie within 0.75 mm of the raters' along superior, in
more than a few heads.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib import api  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol import line_axes  # noqa: E402
from AutoVolumeCalibrationLib.core.errors import ProtocolError  # noqa: E402
from AutoVolumeCalibrationLib.core.files.json_files import read_json  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.point_files import read_points  # noqa: E402
from LandmarkTrainingLib.core.reference_heads.poses import move_named  # noqa: E402

SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts"
COMMISSURES = ("AC", "PC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path)
    parser.add_argument("scouts", type=Path, nargs="?", default=SAMPLE / "dicom")
    parser.add_argument("--pose", type=Path, default=SAMPLE / "truth.json")
    parser.add_argument("--model", default="brain-scout")
    parser.add_argument("--anatomy", type=Path, metavar="FILE", help="another anatomy file than the shipped one")
    arguments = parser.parse_args()
    pose = np.array(json.loads(arguments.pose.read_text(encoding="utf-8"))["pose"]["matrix"], dtype=float)
    people = move_named(pose, read_points(arguments.points))
    protocol, model = api.load_protocol("BrainAcPc"), api.load_model(arguments.model)
    if arguments.anatomy:
        anatomy = read_json(arguments.anatomy, ProtocolError, "Correct the anatomy file.")
        protocol = replace(protocol, constellation=constellation_from_dict(anatomy, arguments.anatomy))
    plan = api.calibrate(api.read_scouts([arguments.scouts]), protocol, model)
    frame = plan.frame
    seen = {mark.name: mark.position_mm for mark in plan.landmarks}
    rows = []
    for name in COMMISSURES:
        for kind, places in (("detected", seen), ("expected", frame.expected_mm)):
            off = frame.axes @ (places[name] - people[name])
            rows.append([name, kind, *(f"{part:+.2f}" for part in off), f"{np.linalg.norm(off):.2f}"])
    print(markdown_table(["landmark", "position", "right", "anterior", "superior, mm", "distance"], rows))
    through = line_axes(frame.axes, protocol.frame.line, frame.expected_mm)
    pitches = [_pitch(axes, line_axes(axes, protocol.frame.line, people)) for axes in (frame.axes, through)]
    print(
        f"raters' line against the axes: {pitches[0]:+.2f} deg; against the line through the expected AC and PC: ",
        end="",
    )
    print(f"{pitches[1]:+.2f} deg; stated sd {np.rad2deg(np.sqrt(frame.line_covariance[0, 0])):.2f} deg")


def _pitch(axes: np.ndarray, other: np.ndarray) -> float:
    """Degrees by which ``other``'s anterior axis points up in ``axes``."""
    anterior = other[1]
    return float(np.rad2deg(np.arctan2(anterior @ axes[2], anterior @ axes[1])))


if __name__ == "__main__":
    main()
