"""Calibrate a model's stated uncertainty by split conformal prediction: the factors of ``planning.face_uncertainty``.

Cases of one subject are correlated, so subjects count, not cases: each has the same weight, regardless of the number of
its poses and volumes. Every simulated study is a subject of its own, because size and shape of the head are drawn anew.
Where real and simulated heads need different factors the larger one is used, so that it holds for both. Coverage of
unseen subjects is measured by leaving each real one out in turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import LEVEL, Coverage, rule_key

from ..evaluation.case_log import CaseResult
from ..simulator.label_maps import numbers_of_maps
from ..simulator.people_of_maps import PEOPLE_FILE, read_people_of_maps

#: With fewer subjects split conformal prediction cannot guarantee 95 % of subjects (Vovk 2012): 0.95 (n + 1) > n.
FEWEST_PERSONS = 19

#: To find the coverage of others each is left out in turn.
FEWEST_LEFT_OUT = 2

ANGLES = ("pitch", "roll", "yaw")


@dataclass(frozen=True, eq=False)
class Scores:
    """Stated and true errors of c planned cases.

    Attributes:
        persons: (c,) subject of each case.
        scouts: (c,) name of the slices' geometry.
        needed_mm, face_sd_mm: (c, 6) margins needed, and deviations stated, order FACES.
        angles_deg, angles_sd_deg: (c, 3) errors of pitch, roll and yaw, and deviations stated.
    """

    persons: np.ndarray
    scouts: np.ndarray
    needed_mm: np.ndarray
    face_sd_mm: np.ndarray
    angles_deg: np.ndarray
    angles_sd_deg: np.ndarray

    def part(self, chosen: np.ndarray) -> Scores:
        """The cases ``chosen``, (c,) bool."""
        return Scores(*(values[chosen] for values in vars(self).values()))


def scores_of(cases: Sequence[CaseResult], subjects: Mapping[str, str]) -> Scores:
    """The planned cases with a known truth; ``subjects`` maps a head's id to its subject.

    Raises:
        InputError: no case holds the needed margins (an older log does not).
    """
    known = [case for case in cases if case.box and len(case.needed_mm) and len(case.face_sd_mm)]
    if not known:
        raise InputError(
            "no case holds the margins that it would have needed", remedy="Evaluate again into another folder."
        )
    return Scores(
        np.array([person_of(subjects[case.head]) for case in known]),
        np.array([case.geometry for case in known]),
        *(
            np.array([getattr(case, name) for case in known], dtype=float)
            for name in ("needed_mm", "face_sd_mm", "frame_angles_deg", "angles_sd_deg")
        ),
    )


def scores_of_maps(cases: Sequence[CaseResult], labels: Path) -> Scores:
    """The planned cases of ``evaluate --labels``; maps of one person count as that person's.

    Raises:
        InputError: no case is of a label map in the folder or holds the needed margins, or all are of one person.
    """
    people, maps = read_people_of_maps(labels), set(numbers_of_maps(labels).values())
    unknown = sorted({case.head for case in cases} - maps)
    if unknown:
        raise InputError(
            f"has no label map {unknown[0]}, which a case is of",
            source=str(labels),
            remedy="Name the label maps of evaluate --labels, or --data for heads.",
        )
    scores = scores_of(cases, {name: people[name] for name in maps})
    if len(set(scores.persons.tolist())) < FEWEST_LEFT_OUT:
        raise InputError(
            "all cases are of one person, so the coverage of others cannot be measured",
            source=str(labels),
            remedy=f"Evaluate label maps of several people, or say whose they are in {PEOPLE_FILE}.",
        )
    return scores


def simulated_coverage(scores: Scores, rule: BoxRule) -> Coverage:
    """Factors of cases whose scouts are all simulated: their people count as simulated ones."""
    measured = measure_coverage([scores], rule)
    return replace(measured, simulated=measured.heads)


def person_of(subject: str) -> str:
    """The subject without a table's remarks, as in "probably S-CR" or "NC01 (elderly)"."""
    return re.sub(r"^probably\s+|\s*\(.*\)$", "", subject)


def measure_coverage(groups: Sequence[Scores], rule: BoxRule, level: float = LEVEL) -> Coverage:
    """Factors that cover a share ``level`` of the heads in every one of the groups (real heads, simulated ones).

    Groups without cases are ignored; at least one must have some. The first group is that of the real heads.
    """
    simulated = sum(len(set(group.persons.tolist())) for group in groups[1:])
    groups = [group for group in groups if len(group.persons)]
    offsets = np.mean([_person_mean(group.needed_mm, group.persons) for group in groups], axis=0)
    measured = [_factors(group, offsets, level) for group in groups]
    factors = np.max([faces for faces, _, _ in measured], axis=0)
    joint = np.max([joint for _, joint, _ in measured])
    angles = np.max([angles for _, _, angles in measured], axis=0)
    return Coverage(
        rule_key(rule),
        dict(zip(FACES, offsets.tolist(), strict=True)),
        dict(zip(FACES, factors.tolist(), strict=True)),
        float(joint),
        tuple(angles.tolist()),
        heads=sum(len(set(group.persons.tolist())) for group in groups),
        cases=sum(len(group.persons) for group in groups),
        simulated=simulated,
    )


def _factors(group: Scores, offsets: np.ndarray, level: float) -> tuple[np.ndarray, float, np.ndarray]:
    """Factors of the faces (6,), of all faces at once, and of the angles (3,); none below 0."""
    faces = (group.needed_mm - offsets) / group.face_sd_mm
    angles = np.abs(group.angles_deg) / group.angles_sd_deg
    columns = (*faces.T, faces.max(axis=1), *angles.T)
    quantiles = np.maximum([conformal_quantile(column, group.persons, level) for column in columns], 0.0)
    return quantiles[:6], float(quantiles[6]), quantiles[7:]


def conformal_quantile(scores: np.ndarray, persons: np.ndarray, level: float) -> float:
    """Quantile ``level`` of the scores, with every subject weighing the same.

    With p subjects the required share is ``level (p + 1) / p``: the next subject is one of p + 1 exchangeable ones (Lei
    et al. 2018). If that exceeds 1, with fewer than FEWEST_PERSONS for 95 %, it is the largest score.
    """
    _, index, counts = np.unique(persons, return_inverse=True, return_counts=True)
    order = np.argsort(scores)
    weight = np.cumsum(1 / counts[index][order]) / len(counts)
    wanted = level * (len(counts) + 1) / len(counts)
    index_wanted = int(np.searchsorted(weight, wanted - 1e-9))
    return float(scores[order][min(index_wanted, len(scores) - 1)])


def _person_mean(values: np.ndarray, persons: np.ndarray) -> np.ndarray:
    return np.mean([values[persons == person].mean(axis=0) for person in np.unique(persons)], axis=0)


@dataclass(frozen=True, eq=False)
class Covered:
    """Which cases (c,) the factors of the other subjects cover.

    Attributes:
        faces: (c, 6) bool, each face alone; joint: (c,) all faces with the margins for all at once.
        angles: (c, 3) bool.
        margins_mm: (c, 6) those margins.
    """

    faces: np.ndarray
    joint: np.ndarray
    angles: np.ndarray
    margins_mm: np.ndarray


def covered_when_left_out(real: Scores, simulated: Sequence[Scores], rule: BoxRule, level: float = LEVEL) -> Covered:
    """Coverage of every real case by factors measured without its subject."""
    parts, numbers = [], []
    for person in np.unique(real.persons):
        own = real.persons == person
        coverage = measure_coverage([real.part(~own), *simulated], rule, level)
        parts.append(covered_by(real.part(own), coverage))
        numbers.append(np.flatnonzero(own))
    back = np.argsort(np.concatenate(numbers))
    return Covered(*(np.concatenate([vars(p)[name] for p in parts])[back] for name in vars(parts[0])))


def covered_by(scores: Scores, coverage: Coverage) -> Covered:
    """Which cases the factors cover."""
    offsets = np.array([coverage.offset_mm[face] for face in FACES])
    factors = np.array([coverage.factors[face] for face in FACES])
    margins = offsets + coverage.joint_factor * scores.face_sd_mm
    return Covered(
        scores.needed_mm <= offsets + factors * scores.face_sd_mm,
        np.all(scores.needed_mm <= margins, axis=1),
        np.abs(scores.angles_deg) <= coverage.angle_factors * scores.angles_sd_deg,
        margins,
    )
