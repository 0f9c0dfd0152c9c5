"""The landmarks of an anatomy that was not measured yet: names, definitions and left/right partners, no positions.

``autovolume anatomy new`` writes a draft, the points of people turn it into an anatomy
(``reference_heads.points_anatomy``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, LandmarkDefinition
from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.storage.markups import landmarks_to_markups

DRAFT_FORMAT = "AutoVolumeCalibration/anatomy-draft/1"

#: Fewer landmarks determine no pose.
FEWEST_LANDMARKS = 3

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class DraftLandmark:
    """A landmark without a position; fields as in ``constellation.LandmarkDefinition``."""

    name: str
    title: str = ""
    definition: str = ""
    planes: tuple[str, ...] = PLANES
    mirror: str | None = None


@dataclass(frozen=True)
class Draft:
    """An anatomy's ``name`` and ``title``, and its landmarks in channel order."""

    name: str
    title: str
    landmarks: tuple[DraftLandmark, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(landmark.name for landmark in self.landmarks)

    @property
    def mirror(self) -> np.ndarray:
        """(n,) index of each landmark's partner, its own where it has none."""
        names = self.names
        return np.array([names.index(landmark.mirror or landmark.name) for landmark in self.landmarks])

    def text(self) -> str:
        """The draft's file."""
        landmarks = [
            {
                "name": landmark.name,
                "title": landmark.title or landmark.name,
                "definition": landmark.definition,
                "planes": list(landmark.planes),
                "mirror": landmark.mirror,
            }
            for landmark in self.landmarks
        ]
        return json_text({"format": DRAFT_FORMAT, "name": self.name, "title": self.title, "landmarks": landmarks})

    def constellation(self) -> Constellation:
        """The landmarks as an anatomy in which every position is unknown (NaN): names and partners only."""
        unknown = np.full(3, np.nan)
        landmarks = tuple(
            LandmarkDefinition(each.name, each.title, each.definition, unknown, unknown, each.planes, each.mirror)
            for each in self.landmarks
        )
        return Constellation(landmarks, np.zeros((0, 3 * len(landmarks))))


def is_draft(data: Any) -> bool:
    """Whether the content of a JSON file is a draft."""
    return isinstance(data, dict) and data.get("format") == DRAFT_FORMAT


def draft_from_dict(data: Mapping[str, Any], source: Path | str) -> Draft:
    """The draft of ``data``; ProtocolError, naming ``source``, where it is damaged."""
    try:
        landmarks = tuple(
            DraftLandmark(
                str(entry["name"]),
                str(entry.get("title", "")),
                str(entry.get("definition", "")),
                tuple(entry.get("planes", PLANES)),
                entry.get("mirror"),
            )
            for entry in data["landmarks"]
        )
        draft = Draft(str(data["name"]), str(data.get("title") or data["name"]), landmarks)
    except (KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(
            f"is not a draft of an anatomy ({error})", source=str(source), remedy="Write the draft again."
        ) from error
    require_consistent(draft, source)
    return draft


def require_consistent(draft: Draft, source: Path | str) -> None:
    """ProtocolError where names are invalid or repeat, partners do not name each other, or a plane is unknown."""
    names = draft.names
    wrong = [name for name in (draft.name, *names) if not _NAME.fullmatch(name)]
    if wrong:
        raise _wrong(f"{wrong[0]!r} is not a valid name", source, "Use letters, digits and _, first a letter.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _wrong(f"names {', '.join(repeated)} more than once", source, "Give each landmark its own name.")
    if len(names) < FEWEST_LANDMARKS:
        raise _wrong(f"has {len(names)} landmarks", source, f"Name at least {FEWEST_LANDMARKS}, better six or more.")
    partner = {landmark.name: landmark.mirror for landmark in draft.landmarks}
    for name, other in partner.items():
        if other is not None and (other == name or partner.get(other) != name):
            raise _wrong(
                f"the partner of {name}, {other}, does not name it as its own",
                source,
                "Let both sides name each other, or leave mirror empty for both.",
            )
    for landmark in draft.landmarks:
        unknown = [plane for plane in landmark.planes if plane not in PLANES]
        if unknown or not landmark.planes:
            raise _wrong(
                f"planes of {landmark.name}: {', '.join(unknown) or 'none'}",
                source,
                f"Name some of {', '.join(PLANES)}.",
            )


def template_text(draft: Draft) -> str:
    """A Slicer point list of all landmarks, none placed: each click in a view places the next one."""
    markups = landmarks_to_markups([Landmark(name) for name in draft.names], draft.constellation())
    definitions = {each.name: f"{each.title}: {each.definition}".strip(": ") for each in draft.landmarks}
    for point in markups["markups"][0]["controlPoints"]:
        # Slicer places points that are "undefined" in turn, and skips those that are "missing".
        point.update(positionStatus="undefined", description=definitions[point["label"]])
    return json_text(markups)


def measured(draft: Draft, anatomy: Mapping[str, Any]) -> dict[str, Any]:
    """The content of an anatomy file of people's points, with the draft's titles, definitions, planes and partners.

    Args:
        anatomy: ``points_anatomy.new_anatomy`` of exactly the draft's landmarks, in any order of its own.
    """
    words = {
        each.name: {"title": each.title or each.name, "definition": each.definition, "planes": list(each.planes)}
        for each in draft.landmarks
    }
    landmarks = [{**entry, **words[entry["name"]]} for entry in anatomy["landmarks"]]
    return {**anatomy, "name": draft.name, "title": draft.title, "landmarks": landmarks}


def pairs_text(names: Sequence[str], mirror: np.ndarray) -> str:
    """Which landmarks count as left/right partners, and what follows for the others."""
    pairs = [f"{names[i]} / {names[j]}" for i, j in enumerate(mirror) if i < j]
    if not pairs:
        return "no left/right partners: the anatomy is one-sided, and training does not mirror its images"
    midline = [names[i] for i, j in enumerate(mirror) if i == j]
    return f"partners: {', '.join(pairs)}; on the midline: {', '.join(midline) or 'none'}"


def _wrong(what: str, source: Path | str, remedy: str) -> ProtocolError:
    return ProtocolError(what, source=str(source), remedy=remedy)
