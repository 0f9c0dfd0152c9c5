"""Measure the constellation of the knee: ``Resources/Anatomies/knee.json`` from the label maps of people.

The file holds two descriptions of the same people. ``landmarks`` and ``modes_mm`` are those of one rigid body without a
side: the mean of the knees and their mirror images, with a variation that allows for the side and for how far the knee
is bent. ``articulated`` is exact: a right knee with its bones in the neutral pose, with the variation of its shape
alone; ``parts`` and ``hinges`` say which landmarks belong to which bone and how far the bones move against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, constellation_from_dict
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json, require_schema

from .articulation import BASE, MOVING, ArticulatedShapes, articulated, fitted
from .landmarks import KneeLandmarks, knee_axes
from .own_lines import own_lines
from .people import read_people, stacked

#: Keep the modes that explain this part of the variance, at most so many.
EXPLAINED, MAX_MODES = 0.95, 10

#: What people who were not measured vary by beyond modes and deviations of those who were, mm per coordinate: the
#: likelihood of each of the 18 people under the others' shapes is largest there (-2 log L 105.5 without, 84.7 at 0.5,
#: 84.0 at 0.75, 89.3 at 1.0; chi-square per degree of freedom 2.3, 1.3, 0.95, 0.7).
UNSEEN_SD_MM = 0.7

#: Landmark at the origin of the frame.
ORIGIN = "EMINENCE"

#: The patella turns with the tibia by this part of its flexion.
PATELLA_FOLLOWS = 0.6

#: The knee bends about the axis through the centres of the condyles, so far in front of their rearmost points, mm.
AXIS_IN_FRONT_MM = 20.0

#: Flexion of a patient in the scanner: standard deviation about the neutral pose, deg. The measured people lay
#: extended; a coil or a cushion bends a knee by up to 15 deg.
FLEXION_SD_DEG = 7.5

#: Prior of the fit, deg: wider, so that a knee that is bent far is not drawn back to the neutral pose. With landmarks
#: 2 mm off, the femur's pitch of knees bent by 15 deg is 0.3 instead of 1.1 deg off on average, and scatters as much.
FIT_SD_DEG = 15.0


def describes_knee(anatomy_json: Path) -> bool:
    """Whether the file is an anatomy of joined bones, which this module measures; ProtocolError where it is damaged."""
    return "parts" in read_json(anatomy_json, ProtocolError, "Correct the anatomy file.")


def update_knee(anatomy_json: Path, labels_folder: Path) -> None:
    """Replace the numbers of the knee's anatomy file by those of the people in ``labels_folder``, without KEPT_BACK.

    Raises:
        ProtocolError: the anatomy file is damaged.
        InputError: the label maps cannot be read.
        UsageError: the file cannot be written.
    """
    remedy = "Correct the anatomy file."
    data = read_json(anatomy_json, ProtocolError, remedy)
    require_schema(data, "anatomy", anatomy_json, ProtocolError, remedy)
    constellation = constellation_from_dict(data, anatomy_json)
    people = read_people(labels_folder)
    if len(people) < 3:
        raise InputError("has fewer than three people", source=str(labels_folder), remedy="Add label maps.")
    data = data | measured(data, constellation, people)
    lines = own_lines(constellation_from_dict(data, anatomy_json), _named(people, constellation.names), ORIGIN)
    write_text(anatomy_json, json_text(data | {"lines": [each.to_dict() for each in lines]}))


def _named(
    people: Mapping[int, Sequence[KneeLandmarks]], names: Sequence[str]
) -> dict[int, list[dict[str, np.ndarray]]]:
    """Number of the person -> name -> (3,) mm of every visit, those that were found."""
    return {
        number: [
            {
                name: place
                for name, place in zip(names, stacked(knee, tuple(names)), strict=True)
                if np.isfinite(place).all()
            }
            for knee in visits
        ]
        for number, visits in people.items()
    }


def measured(
    data: Mapping[str, Any], constellation: Constellation, people: Mapping[int, Sequence[KneeLandmarks]]
) -> dict[str, Any]:
    """The measured entries of the anatomy file."""
    names = constellation.names
    parts = {bone: [names.index(name) for name in data["parts"][bone]] for bone in (BASE, *MOVING)}
    visits = [knee for knees in people.values() for knee in knees]
    shapes = np.array([stacked(knee, names) for knee in visits])
    knees = articulated(shapes, parts)
    knees = _in_frame(knees, names, parts)
    rigid_mean, rigid_sd, rigid_modes = _rigid_without_side(knees, constellation.mirror_indices, parts, len(people))
    rigid_mean = rigid_mean - rigid_mean[names.index(ORIGIN)]
    entries = [
        entry | {"reference_mm": _rounded(place), "sd_mm": _rounded(sd)}
        for entry, place, sd in zip(data["landmarks"], rigid_mean, rigid_sd, strict=True)
    ]
    sd, modes = _variation((knees.shapes_mm - knees.mean_mm).reshape(len(visits), -1), len(people))
    return {
        "landmarks": entries,
        "modes_mm": [_rounded(mode) for mode in rigid_modes],
        "articulated": {
            "side": "right",
            "reference_mm": _rounded(knees.mean_mm),
            "sd_mm": _rounded(np.hypot(sd, UNSEEN_SD_MM)),
            "modes_mm": [_rounded(mode) for mode in modes],
            "log_scale_sd": round(float(np.log(knees.scales).std()), 4),
        },
        "hinges": [_hinge(bone, knees, names, parts[bone]) for bone in MOVING],
    }


def _in_frame(knees: ArticulatedShapes, names: Sequence[str], parts: Mapping[str, list[int]]) -> ArticulatedShapes:
    """All in the knee's frame: origin ORIGIN, right along the rear of the condyles, superior along the femur."""
    mean = dict(zip(names, knees.mean_mm, strict=True))
    # The people's own axes agree with those of the mean but for the noise of each; the shaft's two centres give it.
    axes = knee_axes(mean["COND_POST_R"] - mean["COND_POST_L"], mean["FEMUR_SHAFT_HIGH"] - mean["FEMUR_SHAFT_LOW"])
    origin = mean[ORIGIN]
    return ArticulatedShapes(
        (knees.mean_mm - origin) @ axes.T,
        (knees.shapes_mm - origin) @ axes.T,
        knees.scales,
        {bone: turn @ axes.T for bone, turn in knees.rotations_deg.items()},
        {bone: shift @ axes.T for bone, shift in knees.shifts_mm.items()},
    )


def _rigid_without_side(
    knees: ArticulatedShapes, mirror: np.ndarray, parts: Mapping[str, list[int]], people: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (k, 3), standard deviation and modes of the knees as they lay, and of their mirror images, as one body."""
    shapes = np.array([_as_it_lay(knees, number, parts) for number in range(len(knees.shapes_mm))])
    shapes = np.concatenate([shapes, (shapes * [-1, 1, 1])[:, mirror]])
    mean = shapes.mean(axis=0)
    for _ in range(10):
        shapes = np.array([fitted(shape, mean).of(shape) for shape in shapes])
        mean = shapes.mean(axis=0)
        mean = (mean + (mean * [-1, 1, 1])[mirror]) / 2
    return mean, *_variation((shapes - mean).reshape(len(shapes), -1), people)


def _as_it_lay(knees: ArticulatedShapes, number: int, parts: Mapping[str, list[int]]) -> np.ndarray:
    """(k, 3) one knee with its bones in its own pose, femur in the frame."""
    from scipy.spatial.transform import Rotation

    shape = knees.shapes_mm[number].copy()
    for bone in MOVING:
        center = knees.mean_mm[parts[bone]].mean(axis=0)
        turn = Rotation.from_rotvec(knees.rotations_deg[bone][number], degrees=True)
        shape[parts[bone]] = turn.apply(shape[parts[bone]] - center) + center + knees.shifts_mm[bone][number]
    return shape


def _variation(residuals: np.ndarray, people: int) -> tuple[np.ndarray, np.ndarray]:
    """(k, 3) standard deviations and (m, k, 3) modes of residuals (n, 3k), unbiased for the number of people."""
    covariance = residuals.T @ residuals / len(residuals) * people / (people - 1)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    enough = 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), EXPLAINED))
    modes = (vectors * np.sqrt(values)).T[: min(enough, MAX_MODES)]
    largest = np.take_along_axis(modes, np.abs(modes).argmax(axis=1)[:, None], axis=1)
    modes = modes * np.sign(largest)
    return np.sqrt(np.diag(covariance)).reshape(-1, 3), modes.reshape(len(modes), -1, 3)


def _hinge(bone: str, knees: ArticulatedShapes, names: Sequence[str], own: Sequence[int]) -> dict[str, Any]:
    """The hinge of a bone on the femur: its axis and center, and prior standard deviations.

    Args:
        own: indices of the bone's landmarks.
    """
    rear = (knees.mean_mm[names.index("COND_POST_R")] + knees.mean_mm[names.index("COND_POST_L")]) / 2
    sd = knees.rotations_deg[bone].std(axis=0)
    center, follows = rear + [0, AXIS_IN_FRONT_MM, 0], 1.0 if bone == "tibia" else PATELLA_FOLLOWS
    # The tibia's own rotation about right is the angle of the joint.
    turn_deg = follows * knees.rotations_deg["tibia"][:, 0]
    loose_deg, loose_mm = _left_open(knees, bone, turn_deg, knees.mean_mm[own].mean(axis=0) - center)
    return {
        "part": bone,
        "on": BASE,
        "axis": [-1.0, 0.0, 0.0],  # a positive angle bends the knee: the shin points backwards
        "center_mm": _rounded(center),
        "follows": follows,
        "flexion_sd_deg": FLEXION_SD_DEG,
        "fit_sd_deg": FIT_SD_DEG,
        "measured_sd_deg": _rounded(sd),
        "measured_sd_mm": _rounded(knees.shifts_mm[bone].std(axis=0)),
        "loose_sd_deg": _rounded(loose_deg),
        "loose_sd_mm": _rounded(loose_mm),
    }


def _left_open(
    knees: ArticulatedShapes, bone: str, turn_deg: np.ndarray, arm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3,) deg and (3,) mm: what a hinge leaves open of a bone's motion, once it has turned by ``turn_deg`` (n,).

    Args:
        arm: (3,) from the hinge's center to the bone's centre of landmarks.
    """
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_rotvec(np.outer(turn_deg, [1.0, 0.0, 0.0]), degrees=True)
    rotations = knees.rotations_deg[bone] - turn.as_rotvec(degrees=True)
    return rotations.std(axis=0), (knees.shifts_mm[bone] - (turn.apply(arm) - arm)).std(axis=0)


def _rounded(values: np.ndarray) -> list:
    return (np.round(values, 2) + 0.0).tolist()  # + 0.0 turns -0.0 into 0.0
