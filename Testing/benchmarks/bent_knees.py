"""The frame and the angle of people's knees that were bent, with a joint and with one rigid body.

Run: ``python Testing/benchmarks/bent_knees.py FOLDER`` with FOLDER holding the label maps of knees; the people that no
anatomy was measured from are taken (``reference_knees.people.KEPT_BACK``). Their tibia is bent about the line through
their own epicondyles, which is not the hinge that is fitted, and their patella by 0.6 of that. Half of the knees are
mirrored to the other side, all lie in the middle of the scanner in a pose turned by 15 degrees. "change" is the mean
of the error minus that of the same knees unbent: axes through the landmarks and the axes of the bones differ a little.
"stated" is of the axes as those through the landmarks, with what the anatomy states of people's own lines.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining"), str(ROOT / "Testing")]

import numpy as np  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.joint import LEFT, RIGHT  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol import FrameRule, Protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg, unit  # noqa: E402
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about  # noqa: E402
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.reference_knees.people import read_people, stacked  # noqa: E402
from posed_landmarks import Placement, landmarks_at, random_placement, with_errors  # noqa: E402

BENT_DEG, ERRORS_MM, REPEATS, PATELLA_FOLLOWS = (-15.0, 0.0, 15.0), (0.5, 2.0, 3.0), 4, 0.6


@dataclass(frozen=True, eq=False)
class Errors:
    """Of n fits: (n, 3) pitch, roll, yaw off the knee's own axes, deg; the angle found; shares of the right side."""

    axes_deg: np.ndarray
    stated_deg: np.ndarray
    angle_deg: np.ndarray
    side: float


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    people = read_people(parser.parse_args().folder, kept_back=True)
    joint = load_protocol("KneeSagittal")
    constellation = replace(joint.constellation, joint=None)
    rigid = replace(
        joint, constellation=constellation, frame=FrameRule("EMINENCE", joint.frame.line, joint.frame.lines)
    )
    names = joint.constellation.names
    knees = [stacked(knee, names) for visits in people.values() for knee in visits]
    rows = []
    for error_mm in ERRORS_MM:
        for title, protocol in (("joint", joint), ("one rigid body", rigid)):
            found = {bent: fitted(knees, joint, protocol, bent, error_mm) for bent in BENT_DEG}
            rows += [_row(title, error_mm, bent, found[bent], found[0.0]) for bent in BENT_DEG]
    print(f"{len(knees)} knees of {len(people)} people, {REPEATS} simulated detections each")
    head = ["Errors mm", "Fit", "Bent", "pitch: change", "sd", "stated", "roll sd", "yaw sd", "angle", "sd", "side"]
    print(markdown_table(head, rows))


def fitted(knees: list[np.ndarray], joint: Protocol, protocol: Protocol, bent_deg: float, error_mm: float) -> Errors:
    """The fits of all knees, with the same errors for every protocol."""
    rng = np.random.default_rng(0)
    axes, stated, angles, sides = [], [], [], []
    for knee in knees:
        for repeat in range(REPEATS):
            points, side = bent(knee, joint, bent_deg), (RIGHT, LEFT)[repeat % 2]
            if side == LEFT:
                points = (points * [-1, 1, 1])[joint.constellation.mirror_indices]
            placement = Placement(random_placement(repeat, angle_deg=15).turn, np.zeros(3))
            frame = fit_frame(with_errors(landmarks_at(joint, points, placement, error_mm), rng), protocol)
            axes.append(rotation_angles_deg(placement.turn.T, frame.axes))
            stated.append(np.rad2deg(np.sqrt(np.diagonal(frame.line_covariance)[:3])))
            angles.append(frame.angles["flexion"].deg if frame.angles else np.nan)
            sides.append(frame.side in ("", side))
    return Errors(np.array(axes), np.array(stated), np.array(angles), float(np.mean(sides)))


def bent(knee: np.ndarray, joint: Protocol, angle_deg: float) -> np.ndarray:
    """A right knee (n, 3), bent further about the line through its own epicondyles."""
    names, parts = joint.constellation.names, joint.constellation.joints[RIGHT].parts
    right, left = (knee[names.index(name)] for name in ("EPICOND_R", "EPICOND_L"))
    center, points = (right + left) / 2, knee.copy()
    for part, share in (("tibia", 1.0), ("patella", PATELLA_FOLLOWS)):
        turn = rotation_about(-unit(right - left) * np.deg2rad(angle_deg * share))
        points[parts[part]] = (knee[parts[part]] - center) @ turn.T + center
    return points


def _row(title: str, error_mm: float, bent_deg: float, found: Errors, straight: Errors) -> list[str]:
    change = found.axes_deg.mean(axis=0)[0] - straight.axes_deg.mean(axis=0)[0]
    sd, stated = found.axes_deg.std(axis=0), found.stated_deg.mean(axis=0)
    angle = found.angle_deg.mean() - straight.angle_deg.mean()
    numbers = [change, sd[0], stated[0], sd[1], sd[2], angle, found.angle_deg.std()]
    rigid = np.isnan(angle)
    texts = ["" if np.isnan(number) else f"{number:.1f}" for number in numbers]
    return [f"{error_mm:g}", title, f"{bent_deg:+g}", *texts, "" if rigid else f"{found.side:.0%}"]


if __name__ == "__main__":
    main()
