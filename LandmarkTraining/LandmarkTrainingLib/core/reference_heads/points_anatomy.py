"""Anatomy files from the points of people: a new one, or new numbers for one that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import (
    Constellation,
    LineVariation,
    constellation_from_dict,
)
from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import FrameRule, Protocol, line_axes
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError, shortened
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame

from .constellation import rounded
from .mean_shape import principal_modes
from .people import EXACT_MM, PeopleShape, pose_on
from .point_sets import PointSet
from .shape_frame import ShapeFrame

FORMAT = "AutoVolumeCalibration/anatomy/1"


def pairs_by_name(names: Sequence[str]) -> np.ndarray:
    """(n,) index of each landmark's partner: RX and LX, X_R and X_L; its own where there is none."""
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(_other_side(name), i) for i, name in enumerate(names)])


def pairs_of(constellation: Constellation, names: Sequence[str]) -> np.ndarray:
    """(n,) index of each landmark's partner as the anatomy states it, its own where the partner is not measured."""
    index = {name: i for i, name in enumerate(names)}
    partner = {landmark.name: landmark.mirror for landmark in constellation.landmarks}
    return np.array([index.get(partner[name] or name, i) for i, name in enumerate(names)])


def new_anatomy(people: PeopleShape, name: str, source: str) -> dict[str, Any]:
    """The content of an anatomy file of exactly these landmarks."""
    measured = zip(people.names, people.aligned.mean_mm, people.aligned.sd_mm, people.mirror, strict=True)
    return {
        "format": FORMAT,
        "name": name,
        "source": source,
        "landmarks": [
            {
                "name": landmark,
                "reference_mm": rounded(mean),
                "sd_mm": rounded(sd),
                "planes": list(PLANES),
                "mirror": None if people.names[partner] == landmark else people.names[partner],
            }
            for landmark, mean, sd, partner in measured
        ],
        "modes_mm": [rounded(mode.reshape(-1, 3)) for mode in principal_modes(people.aligned.covariance_mm2)],
    }


def with_places_of(
    data: Mapping[str, Any], people: PeopleShape, source: Path | str, *, keep_variation: bool
) -> dict[str, Any]:
    """The content of an anatomy file with the people's mean places.

    Landmarks that were not placed keep their places against the others: they follow the pose that fits best. Their
    size stays, too, and the people's mean is scaled to it.

    Args:
        data: fits the anatomy schema.
        keep_variation: leave deviations and modes as they are; else they become those of the people.

    Raises:
        UsageError: ``keep_variation`` is off, and landmarks of the file were not placed.
    """
    constellation = constellation_from_dict(data, source)
    unplaced = [name for name in constellation.names if name not in people.names]
    if unplaced and not keep_variation:
        raise UsageError(
            f"nobody placed {shortened(unplaced)}, so how they vary with the others is not known",
            remedy="Keep the variation of the file, or leave them out of it.",
        )
    places = dict(zip(people.names, people.aligned.mean_mm, strict=True))
    if unplaced:
        pose = pose_on(constellation, people.names, people.aligned.mean_mm)
        carried = pose.to_world(constellation.reference_mm)
        places = {
            name: places.get(name, at) / pose.scale for name, at in zip(constellation.names, carried, strict=True)
        }
    landmarks = [{**entry, "reference_mm": rounded(places[entry["name"]])} for entry in data["landmarks"]]
    if keep_variation:
        return {**data, "landmarks": landmarks}
    deviations = dict(zip(people.names, people.aligned.sd_mm, strict=True))
    order = [people.names.index(entry["name"]) for entry in landmarks]
    modes = principal_modes(people.aligned.covariance_mm2).reshape(-1, len(order), 3)[:, order]
    landmarks = [{**entry, "sd_mm": rounded(deviations[entry["name"]])} for entry in landmarks]
    return {**data, "landmarks": landmarks, "modes_mm": [rounded(mode) for mode in modes]}


def line_variation(
    sets: Sequence[PointSet], constellation: Constellation, frame: ShapeFrame, source: Path | str
) -> tuple[LineVariation, np.ndarray]:
    """How each person's own line is pitched against the typical head fitted to all of the person's points.

    Returns:
        The variation, and the pitch (h,) of every person in degrees, positive where the line points up.

    Raises:
        InputError: the frame has no line.
    """
    if frame.line is None or frame.origin is None:
        raise InputError("the axes follow no line, so its variation cannot be measured", remedy="Name origin and line.")
    protocol = Protocol("points", "", "", constellation, FrameRule(frame.origin, frame.line), (), Path(source))
    pitches = []
    for each in sets:
        marks = [
            Landmark(name, at, np.eye(3) * EXACT_MM**2, 1.0, PREDICTED)
            for name, at in each.points.items()
            if name in constellation.names
        ]
        axes = fit_frame(marks, protocol).axes
        anterior = line_axes(axes, frame.line, each.points)[1]
        pitches.append(np.rad2deg(np.arctan2(anterior @ axes[2], anterior @ axes[1])))
    return LineVariation(frame.line, float(np.std(pitches, ddof=1)), len(sets)), np.array(pitches)


def with_line(data: Mapping[str, Any], variation: LineVariation) -> dict[str, Any]:
    """The content of an anatomy file with this variation in the place of an earlier one of the same line."""
    entry = replace(variation, pitch_sd_deg=round(variation.pitch_sd_deg, 2)).to_dict()
    others = [each for each in data.get("lines", ()) if (_names(each["from"]), _names(each["to"])) != variation.line]
    return {**data, "lines": [*others, entry]}


def _other_side(name: str) -> str:
    for side, other in (("_R", "_L"), ("_L", "_R")):
        if name.endswith(side):
            return name[: -len(side)] + other
    return {"R": "L", "L": "R"}.get(name[:1], "") + name[1:] if "_" not in name else ""


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
