"""Learn a site's own box rule from the volumes that its users planned.

For every study with landmarks and a reference box, the rule is computed that gives this box for this head (margins
beyond the landmarks of each face, tilts from the anatomical frame); the site's rule is their median, so that a few
unusual examinations have no influence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, box_rule
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.planning.protocol_editing import save_by_example
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from AutoVolumeCalibrationLib.core.storage.results import box_from_dict

from ..reference_heads.truth import true_frame
from .building import Skipped
from .from_archive import REFERENCE_BOX

#: Median absolute deviation to standard deviation, for normally distributed values.
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class SiteProtocol:
    """A site's rule and how consistent the site is.

    Attributes:
        text: the protocol as JSON.
        studies: names of the studies that it was learnt from.
        skipped: the other studies, each with the reason.
        margin_sd_mm: face -> robust standard deviation of its margin among the studies.
        tilt_sd_deg: ``about_right``, ... -> robust standard deviation of the tilt.
    """

    text: str
    studies: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    margin_sd_mm: Mapping[str, float]
    tilt_sd_deg: Mapping[str, float]


def site_protocol(
    studies: Iterable[LabelledStudy], protocol: Protocol, *, name: str, title: str, box: str | None = None
) -> SiteProtocol:
    """The protocol ``name`` whose only box lies where the site plans it.

    Args:
        studies: with landmarks, placed or predicted, and a ``reference_box`` in their provenance.
        protocol: gives landmarks, frame, line, and the landmarks of each face.
        box: which of its boxes, the first when None.

    Raises:
        InputError: no study has both.
        ProtocolError: the protocol has no such box.
        UsageError: ``name`` cannot be used.
    """
    rule = box_rule(protocol, box)
    examples: dict[str, dict[str, Any]] = {}
    skipped: list[Skipped] = []
    for study in studies:
        try:
            examples[study.name] = _example(study, protocol, rule.name, name, title)
        except InputError as error:
            skipped.append(Skipped(study.name, error.what))
    if not examples:
        reasons = "; ".join(sorted({one.reason for one in skipped})) or "the data set is empty"
        raise InputError(
            f"no study has both landmarks and a reference box ({reasons})",
            remedy="Build the set from an archive, and calibrate its studies.",
        )
    rules = [example["boxes"][0] for example in examples.values()]
    margins = {face: [one["faces"][face]["margin_mm"] for one in rules] for face in rules[0]["faces"]}
    tilts = {axis: [one["tilt_deg"][axis] for one in rules] for axis in rules[0]["tilt_deg"]}
    site = next(iter(examples.values()))
    site["definition"] = f"Median of {len(rules)} volumes planned by hand, relative to {protocol.name}."
    faces = {face: {**entry, "margin_mm": _median(margins[face])} for face, entry in rules[0]["faces"].items()}
    tilt = {axis: _median(values) for axis, values in tilts.items()}
    site["boxes"] = [{**rules[0], "faces": faces, "tilt_deg": tilt, "round_up_to_slices": rule.round_up_to_slices}]
    return SiteProtocol(
        json_text(site),
        tuple(examples),
        tuple(skipped),
        {face: _spread(values) for face, values in margins.items()},
        {axis: _spread(values) for axis, values in tilts.items()},
    )


def _example(study: LabelledStudy, protocol: Protocol, box: str, name: str, title: str) -> dict[str, Any]:
    """The protocol that gives the study's reference box for its head; InputError if either is unknown."""
    entry = study.provenance.get(REFERENCE_BOX)
    if entry is None:
        raise InputError("has no reference box")
    try:
        reference = replace(box_from_dict(entry), name=box)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("its reference box is damaged") from error
    frame = true_frame(study.landmarks, protocol)
    return json.loads(save_by_example(protocol, frame, frame.expected_mm, reference, name, title))


def _median(values: list[float]) -> float:
    return round(float(np.median(values)), 3)


def _spread(values: list[float]) -> float:
    return float(np.median(np.abs(np.array(values) - np.median(values))) * _MAD_TO_SD)
